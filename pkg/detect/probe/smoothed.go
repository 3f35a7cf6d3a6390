// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"sync/atomic"
	"time"

	"github.com/ipmpd/ipmpd/bpf"
)

// smoothed RTT and its mean deviation, in ns, by the formula of spec section 2.8. One thread adds,
// anybody reads. The zero value has seen no sample.
type smoothed struct{ mean, deviation atomic.Uint32 }

//go:nosplit
//go:norace
func (s *smoothed) add(rttNs uint32) {
	mean, deviation, rtt := int64(s.mean.Load()), int64(s.deviation.Load()), int64(rttNs)
	if mean == 0 {
		mean, deviation = rtt, rtt/2
	} else {
		off := rtt - mean
		mean += off / 8
		deviation += (max(off, -off) - deviation) / 4
	}
	s.mean.Store(saturate(max(mean, 1)))
	s.deviation.Store(saturate(deviation))
}

func (s *smoothed) forget() {
	s.mean.Store(0)
	s.deviation.Store(0)
}

// most is how long a reply may take: the average and four deviations; 0: no sample.
func (s *smoothed) most() time.Duration {
	mean := int64(s.mean.Load())
	if mean == 0 {
		return 0
	}
	return time.Duration(mean + 4*int64(s.deviation.Load()))
}

// TargetRTT is how long replies of each target of an instance's track take, by its place in the plan:
// the average and four deviations; 0: not known. That of a target that is set aside is forgotten.
func (p *Prober) TargetRTT(instance int) (most [bpf.Targets]time.Duration) {
	if m := p.instanceOf(instance); m != nil {
		for i := range most {
			most[i] = m.targetRTT[i].most()
		}
	}
	return most
}
