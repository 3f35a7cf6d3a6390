// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func always() bool { return true }

// move is the batch that takes addresses from the first member to the second.
func (r *rig) move(prefixes ...netip.Prefix) (*Batch, []Op) {
	r.host.t.Helper()
	from, to := &r.members[0], &r.members[1]
	var ops []Op
	var list []Announcement
	for _, p := range prefixes {
		ops = append(ops, add(to, p))
		list = append(list, Announcement{Address: p.Addr(), Link: to.Index, MAC: to.MAC})
	}
	// The last one first: deleting the primary address of a subnet promotes the next, and then
	// the time grows with the square (7 s for 1,000 addresses, instead of 7 ms).
	for _, p := range slices.Backward(prefixes) {
		ops = append(ops, del(from, p))
	}
	b, err := r.a.Prepare(ops, Frames(list), false)
	require.NoError(r.host.t, err)
	return b, ops
}

func (r *rig) peerMAC(ip string) string {
	for _, n := range r.peer.json("neigh", "show", "dev", "br0") {
		if n["dst"] == ip {
			return fmt.Sprint(n["lladdr"])
		}
	}
	return ""
}

// The peer hears of the new owner before the address has moved, also while somebody else holds
// the writer lock, and its neighbour entries change.
func TestFireAnnouncesFirst(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	m0 := &r.members[0]
	r.applied(add(m0, data4), add(m0, data6))
	for _, p := range []netip.Prefix{data4, data6} {
		r.peer.ip("neigh", "add", p.Addr().String(), "lladdr", "02:00:00:00:00:10", "dev", "br0", "nud", "reachable")
	}
	c := r.capture()
	b, _ := r.move(data4, data6)

	r.a.mu.Lock()
	done := make(chan Result)
	go func() { done <- b.Fire(always) }()
	frame := c.next("GARP", func(b []byte) bool { return isGARP(b, data4.Addr()) })
	require.Equal(t, Broadcast[:], frame[:6])
	require.Equal(t, r.members[1].MAC[:], frame[6:12])
	c.next("NA", func(b []byte) bool {
		return len(b) > 62 && b[12] == 0x86 && b[54] == icmpNA && netip.AddrFrom16([16]byte(b[62:78])) == data6.Addr()
	})
	require.ElementsMatch(t, []netip.Prefix{data4, data6}, r.host.addresses("m0"), "not moved yet")
	r.a.mu.Unlock()

	res := <-done
	require.Empty(t, res.Failures)
	require.False(t, res.Stale)
	require.Equal(t, 2, res.Frames)
	require.Positive(t, res.FirstAnnouncement)
	require.LessOrEqual(t, res.FirstAnnouncement, res.Announced)
	require.Less(t, res.Announced, res.Addresses)
	require.Zero(t, res.Routes, "there were none")
	require.Empty(t, r.host.addresses("m0"))
	require.ElementsMatch(t, []netip.Prefix{data4, data6}, r.host.addresses("m1"))
	eventually(t, "the peer's kernel believes it", func() bool {
		return r.peerMAC(data4.Addr().String()) == "02:00:00:00:00:11" && r.peerMAC(data6.Addr().String()) == "02:00:00:00:00:11"
	})
	require.True(t, b.Fire(always).Stale, "only once")
}

// A batch of a generation that is over does nothing; one that loses it while it waits for the
// lock writes nothing; and an Apply planned before a batch fired stops.
func TestFireAndApplyKeepToTheirTime(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	r.applied(add(&r.members[0], data4))
	b, ops := r.move(data4)
	require.Equal(t, Result{Stale: true}, b.Fire(func() bool { return false }))
	asked := 0
	res := b.Fire(func() bool { asked++; return asked == 1 })
	require.True(t, res.Stale)
	require.Equal(t, 1, res.Frames)
	require.Equal(t, []netip.Prefix{data4}, r.host.addresses("m0"))

	epoch := r.a.Epoch()
	require.Zero(t, res.Epoch)
	b, _ = r.move(data4)
	res = b.Fire(always)
	require.Empty(t, res.Failures)
	require.Equal(t, epoch+1, res.Epoch)
	require.Equal(t, r.a.Epoch(), res.Epoch)
	failures := r.a.Apply(epoch, []Op{add(&r.members[0], data4), del(&r.members[1], data4)})
	require.Len(t, failures, 2)
	require.ErrorIs(t, failures[0].Err, ErrOvertaken)
	require.Equal(t, []netip.Prefix{data4}, r.host.addresses("m1"))
	require.Empty(t, r.apply(ops...), "planned after it, and all done already")
}

// A verdict at every point of an Apply: after it and the plan that follows, the address is where
// the verdict put it, and nowhere else.
func TestFireInTheMiddleOfApply(t *testing.T) {
	second := netip.MustParsePrefix("192.0.2.20/24")
	for at := range 4 {
		t.Run(fmt.Sprint("before operation ", at), func(t *testing.T) {
			var b *Batch
			n := 0
			r := newRig(t, ApplierOptions{Before: func(*Op) {
				if b != nil && n == at {
					require.Empty(t, b.Fire(always).Failures)
				}
				n++
			}})
			m0, m1 := &r.members[0], &r.members[1]
			r.applied(add(m1, data4), add(m1, second))
			// A failback to m0 is under way when m0 fails.
			failback := []Op{add(m0, data4), add(m0, second), del(m1, data4), del(m1, second)}
			b, _ = r.move(data4, second)
			n = 0
			failures := r.apply(failback...)
			require.Len(t, failures, len(failback)-at)
			for _, f := range failures {
				require.ErrorIs(t, f.Err, ErrOvertaken)
			}
			require.ElementsMatch(t, []netip.Prefix{data4, second}, r.host.addresses("m1"))
			require.Empty(t, r.host.addresses("m0"))
		})
	}
}

// One operation that fails, and one frame, are reported; the rest of the batch is done.
func TestFireReportsEach(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	to := &r.members[1]
	ghost := Member{Index: 4711, MAC: mac0}
	second := netip.MustParsePrefix("192.0.2.20/24")
	ops := []Op{
		{Kind: SetNexthopGroup, ID: 4712, Hops: []uint32{4713}},
		add(&ghost, second), add(to, data4),
		{Kind: JoinMulticast, Link: 4711, Prefix: data6}, // Apply's, not the batch's
	}
	b, err := r.a.Prepare(ops, Frames([]Announcement{
		{Address: second.Addr(), Link: ghost.Index, MAC: mac0},
		{Address: data4.Addr(), Link: to.Index, MAC: to.MAC},
	}), false)
	require.NoError(t, err)
	c := r.capture()
	res := b.Fire(always)
	c.next("GARP", func(b []byte) bool { return isGARP(b, data4.Addr()) })
	require.Equal(t, 1, res.Frames)
	require.Positive(t, res.FirstAnnouncement)
	require.Len(t, res.Failures, 3)
	require.Equal(t, "announce", res.Failures[0].Op.Kind.String())
	require.ErrorIs(t, res.Failures[0].Err, unix.ENXIO)
	require.Equal(t, SetNexthopGroup, res.Failures[1].Op.Kind)
	require.Equal(t, ops[1], res.Failures[2].Op)
	require.ErrorIs(t, res.Failures[2].Err, unix.ENODEV)
	require.Less(t, res.Routes, res.Addresses)
	require.Equal(t, []netip.Prefix{data4}, r.host.addresses("m1"))

	_, err = r.a.Prepare([]Op{{Kind: AddAddress, Why: "no prefix"}}, nil, false)
	require.ErrorContains(t, err, "incomplete")
}

func TestFireThousand(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	var ops []Op
	var all []netip.Prefix
	for i := range 1000 {
		all = append(all, thousand(i))
		ops = append(ops, add(&r.members[0], all[i]))
	}
	r.applied(ops...)
	b, _ := r.move(all...)
	res := b.Fire(always)
	require.Empty(t, res.Failures)
	require.Equal(t, FirstBurst, res.Frames)
	require.Empty(t, r.host.addresses("m0"))
	require.Len(t, r.host.addresses("m1"), 1000)
	t.Logf("first announcement to all moved: %s", time.Duration(res.Addresses-res.FirstAnnouncement))
}

// The announcer repeats to everybody and to the neighbour.
func TestAnnouncerRepeats(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	c := r.capture()
	an := NewAnnouncer(r.a.Sender(), slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- an.Run(ctx) }()
	defer func() { cancel(); require.NoError(t, <-done) }()
	m1 := &r.members[1]
	peer := MAC{2, 0, 0, 0, 0, 1}
	an.Announce(Announcement{Address: ip4, Link: m1.Index, MAC: m1.MAC, Sent: true,
		Neighbors: []Neighbor{{IP: netip.MustParseAddr("192.0.2.1"), MAC: peer}},
		Policy:    Announce{Count: 3, Interval: time.Second, Rate: 1000}})
	var order []string
	for len(order) < 5 {
		f := c.next("announcement", func(b []byte) bool { return isGARP(b, ip4) })
		order = append(order, map[bool]string{true: "all", false: "one"}[MAC(f[:6]) == Broadcast])
		require.True(t, MAC(f[:6]) == Broadcast || MAC(f[:6]) == peer)
	}
	require.Equal(t, "one all one all one", strings.Join(order, " "))
}

// The gate: nothing is allocated until the first burst is out, and nothing after it either while
// all goes well.
func TestFireDoesNotAllocate(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	b, _ := r.move(data4, data6)
	only, err := r.a.Prepare([]Op{add(&r.members[1], data4), add(&r.members[1], data6)}, nil, false)
	require.NoError(t, err)
	r.host.do(func() error {
		var res Result
		if n := testing.AllocsPerRun(50, func() { res = Result{}; b.announce(&res) }); n != 0 || res.Frames != 2 {
			return fmt.Errorf("%v allocations for %d announcements", n, res.Frames)
		}
		if n := testing.AllocsPerRun(50, func() { only.write(always, &res) }); n != 0 {
			return fmt.Errorf("%v allocations for the messages", n)
		}
		return nil
	})
	require.Empty(t, only.failures)
}

func BenchmarkFire(b *testing.B) {
	for _, c := range []struct {
		name     string
		n, first int
		step     int
	}{{"1-IPv4", 1, 0, 1}, {"1000-IPv4", 1000, 0, 2}, {"1000-IPv6", 1000, 1, 2}} {
		b.Run(c.name, func(b *testing.B) {
			r := newRig(b, ApplierOptions{})
			var ops []Op
			var all []netip.Prefix
			for i := range c.n {
				all = append(all, thousand(c.first+i*c.step))
				ops = append(ops, add(&r.members[0], all[i]))
			}
			batch, _ := r.move(all...)
			var first, moved int64
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				r.applied(ops...)
				batch.fired = false
				b.StartTimer()
				from := batch.monotonic()
				res := batch.Fire(always)
				if len(res.Failures) > 0 {
					b.Fatal(res.Failures[0].Err)
				}
				first += res.FirstAnnouncement - from
				moved += res.Addresses - from
			}
			b.ReportMetric(float64(first)/float64(b.N), "ns-to-first")
			b.ReportMetric(float64(moved)/float64(b.N), "ns-to-moved")
		})
	}
}

// TestPrepareUnlimited: a batch whose announcements have no rate says everything at once.
func TestPrepareUnlimited(t *testing.T) {
	frames := make([]Frame, 2000)
	for i := range frames {
		frames[i] = Frame{Link: 1, Data: make([]byte, 42)}
	}
	for unlimited, want := range map[bool]int{false: FirstBurst, true: len(frames)} {
		b, err := (&Applier{}).Prepare(nil, frames, unlimited)
		require.NoError(t, err)
		require.Equal(t, want, b.first)
	}
}
