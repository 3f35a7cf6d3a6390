// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
	"github.com/ipmpd/ipmpd/test/lab/flow"
)

// traffic between the peer and the data address, and a flow that nothing cuts.
type traffic struct {
	s                  *scene
	in, out, reference *flow.Flow
	download           *flow.Download
}

// traffic starts, a packet each way every 100 us, or FLOW, and is there when it returns. It ends with
// the test.
func (s *scene) traffic() *traffic {
	s.t.Helper()
	interval := 100 * time.Microsecond
	if text := os.Getenv("FLOW"); text != "" {
		var err error
		interval, err = time.ParseDuration(text)
		require.NoError(s.t, err, "FLOW is the time between packets")
	}
	return s.trafficEvery(interval)
}

func (s *scene) trafficEvery(interval time.Duration) *traffic {
	s.t.Helper()
	s.reached(lab.Data)
	flows, err := flow.Start(
		flow.Spec{Name: "in", From: s.Peer, To: s.Host, Source: lab.Peer, Destination: lab.Data, Interval: interval},
		flow.Spec{Name: "out", From: s.Host, To: s.Peer, Source: lab.Data, Destination: lab.Peer, Interval: interval},
		flow.Spec{Name: "reference", From: s.Peer, To: s.Router, Source: lab.Peer, Destination: lab.Router, Interval: interval},
	)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, flows.Close()) })
	tr := &traffic{s: s, in: flows.Flows[0], out: flows.Flows[1], reference: flows.Flows[2]}
	tr.download, err = flow.StartDownload(flow.DownloadSpec{
		Client: s.Host, Server: s.Peer, Source: lab.Data, Address: lab.Peer, Rate: 5_000_000})
	require.NoError(s.t, err)
	tr.flows(faults.Now())
	return tr
}

// flows waits for steady traffic of every kind after a moment, CLOCK_MONOTONIC ns.
func (tr *traffic) flows(since int64) {
	tr.s.t.Helper()
	bytes := tr.download.Bytes()
	tr.s.wait("steady traffic", func() (bool, error) {
		in, out, got := tr.in.ArrivedSince(since), tr.out.ArrivedSince(since), tr.download.Bytes()-bytes
		if in < 200 || out < 200 || got < 1e6 {
			return false, fmt.Errorf("in %d packets, out %d, download %d bytes", in, out, got)
		}
		return true, nil
	})
}

// lossless requires that nothing was lost since a moment, but where this machine loses what nobody
// has cut, too.
func (tr *traffic) lossless(since int64) {
	tr.s.t.Helper()
	if lost := tr.loses(since); lost != "" {
		tr.s.t.Fatal(lost)
	}
}

// loses says what was lost since a moment, "" for nothing.
func (tr *traffic) loses(since int64) string {
	tr.s.t.Helper()
	to := faults.Now()
	tr.s.wait("the logs", func() (bool, error) { return faults.Now() > to+int64(50*time.Millisecond), nil })
	in, out, reference := tr.in.Gap(since, to), tr.out.Gap(since, to), tr.reference.Gap(since, to)
	if reference.Lost > 0 {
		tr.s.t.Logf("not judged: the flow that nothing cuts lost %d packets", reference.Lost)
		return ""
	}
	require.Positive(tr.s.t, in.Sent)
	require.Positive(tr.s.t, out.Sent)
	if in.Lost > 0 || out.Lost > 0 {
		return fmt.Sprintf("lost %d of %d inbound (%s), %d of %d outbound (%s); longest gaps %v, %v",
			in.Lost, in.Sent, lostAt(tr.in, since, to), out.Lost, out.Sent, lostAt(tr.out, since, to), in.Longest, out.Longest)
	}
	return ""
}

// lostAt names the first losses of a window by the time since its beginning.
func lostAt(f *flow.Flow, since, to int64) string {
	const some = 5
	var at []string
	for _, p := range f.Packets(since, to) {
		if p.Arrived == 0 && len(at) < some {
			at = append(at, "+"+time.Duration(p.Sent-since).String())
		}
	}
	return strings.Join(at, " ")
}

// finish ends the download: the connection lives and what arrived is what was sent.
func (tr *traffic) finish() {
	tr.s.t.Helper()
	_, err := tr.download.Finish(patience)
	require.NoError(tr.s.t, err)
}
