// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/bpf"
)

// start the prober's thread; it has ended, with the context's error, when the test is over.
func start(t *testing.T, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	// The thread inherits the namespace only for sockets that exist already: all of ours do.
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}

// A real kernel answers: checksums, addresses and payload are right, rounds are complete.
func TestProberIsAnswered(t *testing.T) {
	w := newWire(t)
	replies := w.socket(false)
	p := w.prober(nil)
	start(t, p.Run)
	w.ingress(replies, func() bool {
		a, _ := p.Snapshot(0)
		b, _ := p.Snapshot(2)
		return a.Streak >= 50 && b.Streak >= 50
	})
	track, ok := p.TrackSnapshot(0)
	require.True(t, ok)
	require.Positive(t, p.Lateness(0).N)
	require.Zero(t, p.Lateness(1).N, "it is not in the plan")
	require.GreaterOrEqual(t, track.Newest, uint32(bpf.Window+50))
	require.Positive(t, p.RTT(0).P50)
	require.NotZero(t, p.HeartbeatNs())
}

// Every kind of probe is understood by a real kernel, and answered to the member that asked.
func TestEveryKindIsAnswered(t *testing.T) {
	const typeAdvertisement, typeEchoReply6 = 136, 129
	answer6 := func(kind byte) func(b []byte) bool {
		return func(b []byte) bool { return len(b) >= 78 && b[12] == 0x86 && b[20] == protocolICMPv6 && b[54] == kind }
	}
	arpReply := func(b []byte) bool { return len(b) >= 42 && b[12] == 8 && b[13] == 6 && b[21] == 2 }
	for _, row := range []struct {
		name   string
		track  int
		kind   uint32
		source func(i int) netip.Addr
		known  bool // the target's MAC
		answer func(b []byte) bool
	}{
		{"ICMPv6 echo", 1, bpf.KindICMP, source6, true, answer6(typeEchoReply6)},
		{"ARP from 0.0.0.0", 0, bpf.KindARP, func(int) netip.Addr { return netip.Addr{} }, true, arpReply},
		{"ARP, MAC not known", 0, bpf.KindARP, func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)}) }, false, arpReply},
		{"solicitation", 1, bpf.KindARP, source6, true, answer6(typeAdvertisement)},
		{"solicitation, MAC not known", 1, bpf.KindARP, source6, false, answer6(typeAdvertisement)},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWire(t)
			track := w.plan.Tracks[0]
			track.Number = row.track
			track.Members = slices.Clone(track.Members)
			for i := range track.Members {
				track.Members[i].Kind = row.kind
				track.Members[i].Source = row.source(i)
			}
			target := track.Targets[0]
			if row.track == 1 {
				target.Addr = netip.MustParseAddr("2001:db8::1")
			}
			if !row.known {
				target.MAC = [6]byte{}
			}
			track.Targets = []Target{target}
			tap := w.socket(false)
			p, err := New(Options{Instances: w.instances, Tracks: w.tracks})
			require.NoError(t, err)
			t.Cleanup(func() { p.Close() })
			require.NoError(t, p.Update(&Plan{Tracks: []Track{track}}))
			start(t, p.Run)
			var answers [2]int
			for deadline := time.Now().Add(10 * time.Second); min(answers[0], answers[1]) < 10; {
				if time.Now().After(deadline) {
					t.Fatalf("answers %v: %s", answers, w.state())
				}
				r, ok := w.receive(tap)
				for i, m := range track.Members {
					if ok && r.ifindex == m.Ifindex && [6]byte(r.bytes[:6]) == m.MAC && row.answer(r.bytes) {
						answers[i]++
					}
				}
			}
		})
	}
}

// detection.md section 1: one round in one tick on every member, and the order rotates by one.
func TestProberRotates(t *testing.T) {
	w := newWire(t)
	there := w.socket(true)
	p := w.prober(nil)
	start(t, p.Run)
	ports := [2]int{w.link(w.there, "p0").Attrs().Index, w.link(w.there, "p1").Attrs().Index}
	var order []received
	deadline := time.Now().Add(10 * time.Second)
	for len(order) < 100 && time.Now().Before(deadline) {
		if r, ok := w.receive(there); ok && r.is(etherIPv4) && (r.ifindex == ports[0] || r.ifindex == ports[1]) {
			order = append(order, r)
		}
	}
	require.Len(t, order, 100)
	for i, r := range order {
		round := uint32(bpf.Window + i/2)
		require.Equal(t, round, binary.BigEndian.Uint32(r.bytes[46:]), "frame %d", i)
		slips := round / 2 // a cycle of one target and two members
		require.Equal(t, ports[(round+slips+uint32(i))%2], r.ifindex, "frame %d", i)
	}
}

// detection.md section 1, send errors: carrier off makes rounds void here and asks for the carrier;
// the dead member does not silence its sibling, in whichever order.
func TestDeadMemberDoesNotSilenceSibling(t *testing.T) {
	w := newWire(t)
	replies := w.socket(false)
	q, err := NewQuestions()
	require.NoError(t, err)
	t.Cleanup(func() { q.Close() })
	p := w.prober(q)
	start(t, p.Run)
	w.ingress(replies, func() bool { s, _ := p.Snapshot(0); return s.Streak >= 20 })

	answers := make(chan bool, 1000)
	asker := &Asker{
		Questions: q,
		Carrier: func(ifindex int) (up, sends bool, err error) {
			l, err := w.here.LinkByIndex(ifindex)
			if err != nil {
				return false, false, err
			}
			up = l.Attrs().RawFlags&unix.IFF_RUNNING != 0 && l.Attrs().OperState == netlink.OperUp
			return up, up, nil
		},
		Answer: func(member, ifindex int, up, sends bool, ns int64) {
			require.Equal(t, 0, member)
			require.Positive(t, ns)
			select {
			case answers <- up:
			default:
			}
		},
	}
	require.NoError(t, w.there.LinkSetDown(w.link(w.there, "p0")))
	start(t, asker.Run)
	w.ingress(replies, func() bool {
		s, _ := p.Snapshot(0)
		return s.Refused != 0 && len(answers) > 0
	})
	require.False(t, <-answers)
	before, _ := p.Snapshot(0)
	sibling, _ := p.Snapshot(2)
	w.ingress(replies, func() bool { s, _ := p.Snapshot(2); return s.Streak >= sibling.Streak+100 })
	after, _ := p.Snapshot(0)
	require.Equal(t, unix.ENOBUFS, after.SendError)
	require.Equal(t, before.Sent, after.Sent, "refused rounds are not sent")
	require.LessOrEqual(t, after.Missed, before.Missed+2, "and void, but for what was on the wire")
	now, _ := p.Snapshot(2)
	require.LessOrEqual(t, now.Missed, uint64(1))

	// Administratively down: ENETDOWN, a miss.
	require.NoError(t, w.here.LinkSetDown(w.link(w.here, "m0")))
	w.ingress(replies, func() bool { s, _ := p.Snapshot(0); return s.Missed >= before.Missed+50 && s.Missing > 3 })
	after, _ = p.Snapshot(0)
	require.Equal(t, unix.ENETDOWN, after.SendError)
	require.Greater(t, after.Sent, before.Sent)

	// Gone: ENXIO, a miss too.
	require.NoError(t, w.here.LinkDel(w.link(w.here, "m0")))
	w.ingress(replies, func() bool { s, _ := p.Snapshot(0); return s.SendError == unix.ENXIO && s.Missing > 3 })
	sibling, _ = p.Snapshot(2)
	require.LessOrEqual(t, sibling.Missed, uint64(1))
}

// A plan that leaves a track as it is loses no round of it.
func TestUpdateLosesNoRound(t *testing.T) {
	w := newWire(t)
	replies := w.socket(false)
	p := w.prober(nil)
	start(t, p.Run)
	n := 0
	w.ingress(replies, func() bool {
		require.NoError(t, p.Update(w.plan))
		n++
		s, _ := p.Snapshot(0)
		return s.Streak >= 100
	})
	require.Greater(t, n, 50)
	track, _ := p.TrackSnapshot(0)
	newest := atomic.LoadUint32(&w.tracks[0].Newest)
	require.InDelta(t, float64(track.Begun), float64(newest-uint32(bpf.Window)+1), 2, "numbers in a row")
	require.InDelta(t, float64(track.Ticks), float64(track.Begun+track.Skipped), 2)
	require.LessOrEqual(t, track.Late, track.Skipped)
	require.Equal(t, track.Skipped > 0, track.Late > 0)
}

// Numbers go on where a former run stopped.
func TestAdoption(t *testing.T) {
	w := newWire(t)
	w.tracks[0].Newest = 1_000_000
	replies := w.socket(false)
	p := w.prober(nil)
	start(t, p.Run)
	w.ingress(replies, func() bool { s, _ := p.Snapshot(0); return s.Streak >= 10 })
	s, _ := p.Snapshot(0)
	require.Greater(t, s.Newest, uint32(1_000_000))
	require.Less(t, s.Newest, uint32(1_100_000))
}

// One round on two members allocates nothing.
func TestRoundAllocatesNothing(t *testing.T) {
	w := newWire(t)
	p := w.prober(nil)
	track := &p.plan.Load().tracks[0]
	p.pass(p.plan.Load(), nil, nowNs())
	require.Zero(t, testing.AllocsPerRun(1000, func() { p.pass(p.plan.Load(), nil, track.state.next) }))
	require.GreaterOrEqual(t, track.state.begun.Load(), uint64(1000))
	s, _ := p.Snapshot(0)
	require.Equal(t, track.state.begun.Load(), s.Sent, "and they were sent")
}
