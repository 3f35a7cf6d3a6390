// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"math"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

func TestMain(m *testing.M) {
	Child()
	os.Exit(m.Run())
}

func TestFlowSeesTheCut(t *testing.T) {
	l := lab.Start(t, lab.Options{})
	require.NoError(t, l.Host.Sysctl("ipv4/conf/all/arp_ignore", "1"))
	data := netip.PrefixFrom(lab.Data, 24)
	a, b := l.Members[0], l.Members[1]
	require.NoError(t, l.Move(nil, a, data))
	flows, err := Start(
		Spec{Name: "in", From: l.Peer, To: l.Host, Source: lab.Peer, Destination: lab.Data},
		Spec{Name: "reference", From: l.Peer, To: l.Router, Source: lab.Peer6, Destination: lab.Router6, Interval: time.Millisecond},
	)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, flows.Close()) })
	in, reference := flows.Flows[0], flows.Flows[1]
	l.Require(t, "traffic", 5*time.Second, func() (bool, error) { return in.ArrivedSince(0) > 1000, nil })

	require.NoError(t, a.CutSilent())
	var cut int64
	l.Require(t, "the cut", time.Second, func() (bool, error) {
		cut, err = a.Port.CutAt()
		return cut != 0, err
	})
	l.Require(t, "30 ms of outage", time.Second, func() (bool, error) { return faults.Now() > cut+30e6, nil })
	require.NoError(t, l.Move(a, b, data))
	moved := faults.Now()
	l.Require(t, "traffic on the other", 5*time.Second, func() (bool, error) { return in.ArrivedSince(moved) > 500, nil })

	to := faults.Now()
	l.Require(t, "the log", time.Second, func() (bool, error) { return in.ArrivedSince(to+20e6) > 0, nil })
	g := in.Gap(cut, to)
	require.False(t, g.Open)
	require.Less(t, g.Start, cut)
	require.Greater(t, g.End, cut+30e6)
	require.GreaterOrEqual(t, g.Longest, 30*time.Millisecond)
	require.Equal(t, time.Duration(g.End-g.Start), g.Longest, "with losses nothing is taken off")
	require.GreaterOrEqual(t, g.Lost, 1)
	require.Zero(t, g.Duplicates)
	require.Zero(t, reference.Gap(cut, to).Lost)
	require.Positive(t, reference.Gap(cut, to).Sent)
	t.Logf("cut flow %+v", g)
	t.Logf("reference %+v", reference.Gap(cut, to))
	require.NoError(t, flows.Stop())
	totals := in.Totals()
	require.Zero(t, totals.Refused)
	require.Positive(t, totals.Arrived)
}

func TestOpenGap(t *testing.T) {
	f := &Flow{Spec: Spec{Interval: 100 * time.Microsecond}, log: &shared{}}
	f.log.drained.Store(math.MaxInt64)
	for i := range 10 {
		f.log.tx[i] = int64(i) * 100_000
		if i < 5 {
			f.log.rx[i] = arrival{uint64(i), f.log.tx[i] + 1000}
		}
	}
	f.log.sent.Store(10)
	f.log.received.Store(5)
	g := f.Gap(450_000, 20_000_000)
	require.True(t, g.Open)
	require.Equal(t, time.Duration(20_000_000-401_000), g.Longest)
	require.Equal(t, 5, g.Lost)
}

// TestSenderPauseIsNotTheNetworks: nothing lost and the sender silent is no gap.
func TestSenderPauseIsNotTheNetworks(t *testing.T) {
	f := &Flow{Spec: Spec{Interval: 100 * time.Microsecond}, log: &shared{}}
	f.log.drained.Store(math.MaxInt64)
	for i := range 10 {
		f.log.tx[i] = int64(i) * 100_000
		if i >= 5 {
			f.log.tx[i] += 3_000_000
		}
		f.log.rx[i] = arrival{uint64(i), f.log.tx[i] + 1000}
	}
	f.log.sent.Store(10)
	f.log.received.Store(10)
	g := f.Gap(0, 3_900_000)
	require.Equal(t, 100*time.Microsecond, g.Longest)
	require.Equal(t, 3100*time.Microsecond, f.Gap(0, 100_000_000).SenderGap)
	f.log.rx[5].seq = 3 // now one is lost in the pause, and another comes twice
	require.Equal(t, 3100*time.Microsecond, f.Gap(0, 3_900_000).Longest)
}

// TestEarlyStampIsNoLoss: packets that were stamped before the window in which they were sent.
func TestEarlyStampIsNoLoss(t *testing.T) {
	f := &Flow{Spec: Spec{Interval: 100 * time.Microsecond}, log: &shared{}}
	f.log.drained.Store(math.MaxInt64)
	const start = 1_000_000_000
	for i := range 20 {
		f.log.tx[i] = start + int64(i)*100_000
		f.log.rx[i] = arrival{uint64(i), f.log.tx[i] + 20_000}
		if i < 10 {
			f.log.rx[i].at -= 300_000
		}
	}
	f.log.sent.Store(20)
	f.log.received.Store(20)
	g := f.Gap(start+550_000, start+100_000_000)
	require.Equal(t, 14, g.Sent)
	require.Zero(t, g.Lost)
	for _, p := range f.Packets(start+550_000, start+100_000_000) {
		require.NotZero(t, p.Arrived)
	}
}

func TestDownload(t *testing.T) {
	l := lab.Start(t, lab.Options{})
	require.NoError(t, l.Move(nil, l.Members[0], netip.PrefixFrom(lab.Data, 24)))
	d, err := StartDownload(DownloadSpec{Client: l.Host, Server: l.Peer, Source: lab.Data, Address: lab.Peer})
	require.NoError(t, err)
	l.Require(t, "bytes", 5*time.Second, func() (bool, error) { return d.Bytes() > 5_000_000, nil })
	r, err := d.Finish(5 * time.Second)
	require.NoError(t, err)
	require.Greater(t, r.Bytes, int64(5_000_000))
	require.Equal(t, r.Sent, r.Received)
}

// TestFlowFollowsTheAddress to another host: the same flows in both directions, received and sent wherever
// the address is.
func TestFlowFollowsTheAddress(t *testing.T) {
	l := lab.Start(t, lab.Options{TwoHosts: true})
	data := netip.PrefixFrom(lab.Data, 24)
	require.NoError(t, l.Host.AddAddr("hme0", data.String()))
	require.NoError(t, l.Host.SendFrame("hme0", lab.GratuitousARP(l.Members[0].MAC(), lab.Data)))
	flows, err := Start(
		Spec{Name: "in", From: l.Peer, To: l.Host, AlsoTo: l.Second, Source: lab.Peer, Destination: lab.Data},
		Spec{Name: "out", From: l.Host, AlsoFrom: l.Second, To: l.Peer, Source: lab.Data, Destination: lab.Peer},
	)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, flows.Close()) })
	both := func(since int64) func() (bool, error) {
		return func() (bool, error) {
			return flows.Flows[0].ArrivedSince(since) > 500 && flows.Flows[1].ArrivedSince(since) > 500, nil
		}
	}
	l.Require(t, "traffic", 5*time.Second, both(0))
	require.Zero(t, flows.Flows[1].Totals().Duplicates, "only who has the address sends")
	require.NoError(t, l.Host.DelAddr("hme0", data.String()))
	require.NoError(t, l.Second.AddAddr("hme1", data.String()))
	require.NoError(t, l.Second.SendFrame("hme1", lab.GratuitousARP(l.Members[1].MAC(), lab.Data)))
	l.Require(t, "traffic of the second host", 5*time.Second, both(faults.Now()))
	c, err := l.Members[1].Port.Count(faults.From, faults.IP(faults.Data))
	require.NoError(t, err)
	require.Greater(t, c.Packets, uint64(500))
}
