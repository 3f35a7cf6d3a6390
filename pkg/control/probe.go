// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"time"
)

// The states of a Probe.
const (
	ProbeAcked = "acked"
	ProbeLost  = "lost"
	ProbeGap   = "gap" // the reader was too slow; only Time and Lost are set
)

// Probe is one line of GET /v1/probes: a probe of one member that was answered or lost, a few
// milliseconds after that is known. Every lost one is told, and at most 100 answered ones a second
// of a member and family. A nil number is one that is not known.
type Probe struct {
	Time      time.Time `json:"time"` // when it was sent
	Group     string    `json:"group"`
	Interface string    `json:"interface"`
	Family    string    `json:"family"` // ipv4, ipv6
	Probe     uint32    `json:"probe"`  // the round; all members of a group and family share them
	State     string    `json:"state"`  // acked, lost, gap
	Target    string    `json:"target"` // nothing: it is no target any more
	RTTNS     *int64    `json:"rtt_ns"` // acked
	RTTAvgNS  *int64    `json:"rtt_avg_ns"`
	RTTDevNS  *int64    `json:"rtt_dev_ns"`
	// Lost is how many probes a gap stands for; only there.
	Lost uint64 `json:"lost,omitempty"`
}

// ProbeSource hands every probe to f until ctx ends or f returns an error, which it returns. It is
// called once for each reader.
type ProbeSource func(ctx context.Context, f func(Probe) error) error
