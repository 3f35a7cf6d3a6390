// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/bpf"
)

// detection.md section 1: a late prober never catches up in a burst, rounds are at least interval/2
// apart.
func TestScheduleLate(t *testing.T) {
	const interval = 100
	for _, row := range []struct{ late, ticks, next int64 }{
		{0, 1, 1100},
		{50, 1, 1100},
		{51, 2, 1200},
		{99, 2, 1200},
		{100, 2, 1200},
		{151, 3, 1300},
		{100_000, 1001, 101_100},
	} {
		t.Run(fmt.Sprint(row.late, " late"), func(t *testing.T) {
			s := &trackState{next: 1000}
			s.interval.Store(interval)
			require.False(t, s.schedule(999, interval))
			require.True(t, s.schedule(1000+row.late, interval))
			require.Equal(t, row.next, s.next)
			require.GreaterOrEqual(t, s.next-(1000+row.late), int64(interval/2))
			require.EqualValues(t, row.ticks, s.ticks.Load())
			require.EqualValues(t, row.ticks-1, s.skipped.Load())
		})
	}
}

func TestScheduleNewInterval(t *testing.T) {
	s := &trackState{}
	require.False(t, s.schedule(1234, 100))
	require.EqualValues(t, 1300, s.next, "a multiple of the interval, so that tracks wake together")
	require.True(t, s.schedule(1300, 100))
	require.False(t, s.schedule(1400, 1000), "another interval begins with a pause, not with a burst")
	require.EqualValues(t, 2000, s.next)
}

// Rounds start at the window, so that 0 is none, and keep their slots when the number wraps.
func TestNextRound(t *testing.T) {
	require.EqualValues(t, 128, nextRound(0))
	require.EqualValues(t, 129, nextRound(128))
	require.EqualValues(t, 128, nextRound(0xffffffff))
	require.Zero(t, nextRound(0xffffffff)&bpf.WindowMask)
}

// detection.md section 1: the order rotates by one each round; and every target sees every order.
func TestOrderRotates(t *testing.T) {
	for members := 1; members <= 6; members++ {
		for targets := 1; targets <= 5; targets++ {
			ct := compiledTrack{members: make([]compiledMember, members), cycle: uint32(leastCommonMultiple(targets, members))}
			first := make([][]int, targets)
			for i := range first {
				first[i] = make([]int, members)
			}
			steps := 0
			for n := uint32(0); n < uint32(100*members*targets); n++ {
				first[n%uint32(targets)][ct.order(n)]++
				if (ct.order(n)+1)%members == ct.order(n+1) {
					steps++
				}
			}
			for target, counts := range first {
				for m, n := range counts {
					require.InDelta(t, 100, n, 1, "%d members, %d targets: member %d first at target %d", members, targets, m, target)
				}
			}
			require.GreaterOrEqual(t, steps, 100*members*targets-100*members*targets/leastCommonMultiple(members, targets)-1)
		}
	}
}

// lab is a prober without a socket, whose replies the test makes.
type lab struct {
	*Prober
	track *compiledTrack
}

func newLab(t testing.TB, members, targets int) *lab {
	p := &Prober{instances: make([]bpf.Instance, bpf.Instances), tracks: make([]bpf.Track, bpf.Tracks)}
	c := p.compile(testPlan(members, targets), &compiledPlan{})
	p.plan.Store(c)
	require.Len(t, c.tracks, 1)
	return &lab{Prober: p, track: &c.tracks[0]}
}

// begin a round as Prober.round does, sent on the members in sent; replies from those in acked.
func (l *lab) begin(age time.Duration, sent, acked []int) uint32 {
	n := nextRound(l.track.shared.Newest)
	if !l.track.state.begunAny {
		l.track.state.begunAny, l.track.state.closed = true, n-1
	}
	slot := &l.track.shared.Round[n&bpf.WindowMask]
	slot.BegunNs = uint64(nowNs() - int64(age))
	slot.Target = uint16(n % uint32(len(l.track.asked)))
	slot.Round = n
	l.track.shared.Newest = n
	for _, m := range sent {
		l.track.members[m].publish(n)
	}
	for _, m := range acked {
		slot.Answered = n
		here := &l.track.members[m].shared.Slot[n&bpf.WindowMask]
		here.Acked, here.RttNs = n, 1000
	}
	return n
}

func (l *lab) snapshot(t *testing.T, member int) Snapshot {
	s, ok := l.Snapshot(bpf.InstanceNumber(member, 0))
	require.True(t, ok)
	return s
}

// detection.md section 3, "a policing target": who has missed the newest answered round goes first.
func TestFirstIsWhoMissed(t *testing.T) {
	l := newLab(t, 3, 1)
	all := []int{0, 1, 2}
	next := func() (first, inTurn int) {
		n := nextRound(l.track.shared.Newest)
		return l.track.first(n, nowNs()), l.track.order(n)
	}
	first, inTurn := next()
	require.Equal(t, inTurn, first, "nothing is known")
	for range 6 {
		l.begin(time.Second, all, all)
		first, inTurn = next()
		require.Equal(t, inTurn, first, "nobody missed")
	}
	for range 6 {
		l.begin(time.Second, all, []int{0, 2})
		first, _ = next()
		require.Equal(t, 1, first)
	}
	for range 3 {
		l.begin(time.Second, all, nil)
		first, _ = next()
		require.Equal(t, 1, first, "rounds that nobody answered say nothing")
	}
	l.begin(time.Second, all, all)
	first, inTurn = next()
	require.Equal(t, inTurn, first, "it answers again")
	l.begin(time.Second, []int{0, 1}, []int{0, 1})
	first, inTurn = next()
	require.Equal(t, inTurn, first, "not sent there, not missed there")
	for range 3 {
		l.begin(time.Second, all, []int{0})
		first, inTurn = next()
		require.NotEqual(t, 0, first, "of two, the next in turn")
		if inTurn != 0 {
			require.Equal(t, inTurn, first)
		}
	}
	l.instances[bpf.InstanceNumber(2, 0)].RttNs = uint32(time.Hour / 10000)
	l.begin(time.Microsecond, all, []int{0, 1})
	first, inTurn = next()
	require.Equal(t, inTurn, first, "its reply is not due yet")
}

// A round that nobody answered counts against no member; one that was not sent here neither
// (detection.md section 1).
func TestCloseRounds(t *testing.T) {
	l := newLab(t, 2, 1)
	both := []int{0, 1}
	for range 10 {
		l.begin(time.Second, both, both)
	}
	for range 5 {
		l.begin(time.Second, both, nil) // void
	}
	for range 3 {
		l.begin(time.Second, []int{1}, []int{1}) // refused on 0
	}
	for range 2 {
		l.begin(time.Second, both, []int{1}) // missed by 0
	}
	l.begin(0, both, []int{1}) // too young
	l.closeRounds(l.track, l.watching())
	s := l.snapshot(t, 0)
	require.EqualValues(t, 12, s.Answered)
	require.EqualValues(t, 2, s.Missed)
	require.EqualValues(t, 0, s.Streak)
	require.EqualValues(t, 2, s.Run)
	require.Equal(t, 2, s.RecentMissed)
	require.EqualValues(t, 2, l.instances[0].RecentMissed)
	require.NotZero(t, s.LastMiss)
	require.Zero(t, s.Share, "without the current run")
	require.Equal(t, 10, s.Judged)
	require.Equal(t, 3, s.Missing, "open rounds too")
	s = l.snapshot(t, 1)
	require.EqualValues(t, 15, s.Answered)
	require.EqualValues(t, 15, s.Streak)
	require.Equal(t, 16, s.Answering)
	require.EqualValues(t, 15, s.Targets[0].Acknowledged)
	tr, ok := l.TrackSnapshot(0)
	require.True(t, ok)
	require.EqualValues(t, 5, tr.Void)
	require.EqualValues(t, 15, tr.Answered)
	require.Zero(t, tr.VoidRun[0])
	require.Equal(t, Quantiles{N: 10, P50: 1000, P99: 1000, P999: 1000}, l.RTT(0))
}

// Rounds younger than the member's own RTT are no miss (detection.md section 3, path latency).
func TestMissingOnlyWhenDue(t *testing.T) {
	l := newLab(t, 2, 1)
	l.instances[0].RttNs = uint32(time.Hour / 10000)
	l.begin(time.Second, []int{0, 1}, []int{0, 1})
	l.begin(time.Microsecond, []int{0, 1}, []int{1})
	s := l.snapshot(t, 0)
	require.Zero(t, s.Missing)
	require.Equal(t, 1, s.Answering)
}

// Rounds are closed before their slot is used again, however long replies take.
func TestCloseBeforeSlotIsReused(t *testing.T) {
	l := newLab(t, 1, 1)
	for range 3 * bpf.Window {
		l.begin(0, []int{0}, []int{0})
		l.closeRounds(l.track, l.watching())
	}
	s := l.snapshot(t, 0)
	require.GreaterOrEqual(t, s.Answered, uint64(2*bpf.Window))
	require.Equal(t, s.Answered, s.Streak)
}

// The rotation of targets goes into their own counts.
func TestVoidRunByTarget(t *testing.T) {
	l := newLab(t, 2, 2)
	for i := range 20 {
		acked := []int{0, 1}
		if i%2 == 1 {
			acked = nil
		}
		l.begin(time.Second, []int{0, 1}, acked)
	}
	l.closeRounds(l.track, l.watching())
	s, _ := l.TrackSnapshot(0)
	require.ElementsMatch(t, []uint32{0, 10}, s.VoidRun[:2])
}

// RTTs are kept by target: a slow one is told from a member that is slow.
func TestRTTByTarget(t *testing.T) {
	l := newLab(t, 2, 3)
	for i := range 30 {
		n := l.begin(time.Second, []int{0, 1}, []int{0, 1})
		if i%3 == 1 {
			l.track.members[1].shared.Slot[n&bpf.WindowMask].RttNs = 5000
		}
		l.closeRounds(l.track, l.watching())
	}
	slow := (nextRound(0) + 1) % 3 // the second round went to it
	for target := range uint32(3) {
		rtt := l.TargetRTT(bpf.InstanceNumber(1, 0))[target]
		if target == slow {
			require.Greater(t, rtt, 5*time.Microsecond-1)
		} else {
			require.InDelta(t, 1000, rtt, 200, "steady: the deviation goes")
		}
		require.InDelta(t, 1000, l.TargetRTT(bpf.InstanceNumber(0, 0))[target], 200)
	}
	require.Zero(t, l.TargetRTT(bpf.InstanceNumber(1, 0))[3])
	require.Zero(t, l.TargetRTT(bpf.InstanceNumber(7, 0)))

	plan := testPlan(2, 3)
	plan.Tracks[0].Targets[slow].Aside = true
	require.NoError(t, l.Update(plan))
	require.Zero(t, l.TargetRTT(bpf.InstanceNumber(1, 0))[slow], "forgotten when it is set aside")
	require.NotZero(t, l.TargetRTT(bpf.InstanceNumber(1, 0))[(slow+1)%3])
}

// A plan that keeps a track keeps its counts; another target at the same index begins anew.
func TestUpdateKeepsState(t *testing.T) {
	l := newLab(t, 2, 2)
	for range 8 {
		l.begin(time.Second, []int{0, 1}, nil)
	}
	l.begin(time.Second, []int{0, 1}, []int{0, 1})
	l.closeRounds(l.track, l.watching())
	plan := testPlan(2, 2)
	plan.Tracks[0].Targets[1].Addr = plan.Tracks[0].Targets[1].Addr.Next()
	plan.Tracks[0].Members[1].Ifindex++
	require.NoError(t, l.Update(plan))
	require.EqualValues(t, 1, l.snapshot(t, 0).Answered)
	require.Zero(t, l.snapshot(t, 1).Answered, "another interface")
	s, _ := l.TrackSnapshot(0)
	require.EqualValues(t, 1, s.Answered)
	require.Zero(t, s.VoidRun[1])
	plan.Tracks[0].Interval = time.Nanosecond
	require.ErrorContains(t, l.Update(plan), "track 0: interval 1ns")
	require.EqualValues(t, 1, l.snapshot(t, 0).Answered, "the old plan stays")
	require.NoError(t, l.Update(&Plan{}))
	_, ok := l.Snapshot(0)
	require.False(t, ok)
}
