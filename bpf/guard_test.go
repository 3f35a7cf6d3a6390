// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Two targets answer; member 0 misses those of one only.
func TestGuardTargets(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		s := r.scenario(t, 0)
		s.warm(t)
		s.round(t, 1, 0, 1, 2)
		counted := s.counted(t, func() {
			for range 3 {
				s.round(t, 0, 1)
			}
			s.confirm(t)
			s.usable(t)
		})
		require.NotZero(t, counted["guard_targets"])
		// It misses the other's as well.
		for range 3 {
			s.round(t, 1, 1)
		}
		s.confirm(t)
		require.EqualValues(t, EventVerdict, s.event(t).Kind)
	})
}

// Nobody who misses more than half as much takes over.
func TestGuardSurvivor(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		s := r.scenario(t, 0)
		s.warm(t)
		ChangeWord(s.track(0), 0, s.bit(3))
		generation := s.word()
		s.inst(0, 0).RecentMissed = 10
		s.inst(1, 0).RecentMissed = 9
		s.inst(2, 0).RecentMissed = 9
		counted := s.counted(t, func() {
			for range 3 {
				s.round(t, 0, 1, 2)
			}
			s.confirm(t)
			s.settled(t, 0, 0)
		})
		require.NotZero(t, counted["guard_survivor"])
		require.Equal(t, generation, s.word())
		s.noEvent(t)
		s.inst(2, 0).RecentMissed = 6
		s.round(t, 0, 1, 2)
		s.confirm(t)
		require.EqualValues(t, EventVerdict, s.event(t).Kind)
	})
}

// A sibling that has missed a round of late takes over only after a longer run: a policer may have
// begun to drop replies, of which nothing is known yet.
func TestGuardLooseMisses(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		s := r.scenario(t, 0)
		s.warm(t)
		ChangeWord(s.track(0), 0, s.bit(2)|s.bit(3))
		generation := s.word()
		s.round(t, 0, 0)
		s.round(t, 0, 0, 1)
		counted := s.counted(t, func() {
			for range 3 {
				s.round(t, 0, 1)
			}
			s.confirm(t)
			s.settled(t, 0, 0)
		})
		require.NotZero(t, counted["guard_survivor"])
		require.Equal(t, generation, s.word())
		s.noEvent(t)
		s.round(t, 0, 1)
		s.confirm(t)
		require.EqualValues(t, EventVerdict, s.event(t).Kind)
	})
}

// A sibling that answered, but longer ago than the suspect, is no survivor either; by distance,
// not by sign: it may have been silent for 2^31 rounds.
func TestGuardSurvivorSilent(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		for _, acked := range []uint32{0, first, 0x80000010} {
			s := r.scenario(t, 0)
			s.next = 0x80001000
			s.warm(t)
			ChangeWord(s.track(0), 0, s.bit(1)|s.bit(3))
			s.inst(2, 0).Acked = acked
			counted := s.counted(t, func() {
				for range 3 {
					s.round(t, 0, 1)
				}
				s.confirm(t)
				s.settled(t, 0, 0)
			})
			require.NotZero(t, counted["guard_survivor"], "acked %d", acked)
			require.Equal(t, s.bit(0)|s.bit(2), s.word().Usable)
			s.noEvent(t)
		}
	})
}

// A sibling without probes may take over: there is nothing against it.
func TestSurvivorUnprobed(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		s := r.scenario(t, 0)
		s.warm(t)
		ChangeWord(s.track(0), 0, s.bit(1)|s.bit(2))
		s.inst(3, 0).Kind = KindNone
		for range 3 {
			s.round(t, 0, 1)
		}
		s.confirm(t)
		require.EqualValues(t, EventVerdict, s.event(t).Kind)
	})
}

// Replies may wait on a CPU that has not run: one interval more, then the verdict.
func TestGuardCPU(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		s := r.scenario(t, 0)
		s.warm(t)
		here := r.pin(t)
		s.inst(0, 0).ReplyCpu[0] = uint8(1 - min(here, 1) + 1) // another one, where nothing ran
		counted := s.counted(t, func() {
			for range 3 {
				s.round(t, 0, 1)
			}
			s.confirm(t)
			if !s.o.Timer {
				require.EqualValues(t, timerIpmpStageIPMP_STAGE_WAITED, s.inst(0, 0).Stage)
				s.noEvent(t)
				s.confirm(t)
			}
			e := s.event(t)
			require.EqualValues(t, 1, e.Guarded)
			require.EqualValues(t, EventVerdict, e.Kind)
			require.GreaterOrEqual(t, e.VerdictNs-e.SuspectedNs, uint64(interval))
		})
		require.EqualValues(t, 1, counted["guard_cpu"])

		// The reply that it waited for has come: no verdict.
		s = r.scenario(t, 0)
		s.warm(t)
		s.track(0).IntervalNs = uint32(200 * time.Millisecond)
		s.inst(0, 0).ReplyCpu[0] = uint8(1 - min(here, 1) + 1)
		for range 3 {
			s.round(t, 0, 1)
		}
		s.inst(0, 0).SuspectedNs -= uint64(200 * time.Millisecond)
		if !s.o.Timer {
			require.NoError(t, s.o.Confirm(InstanceNumber(s.number(0), 0)))
		}
		s.reply(t, 0, 0, s.next-1)
		if !s.o.Timer {
			s.inst(0, 0).SuspectedNs -= uint64(200 * time.Millisecond)
			require.NoError(t, s.o.Confirm(InstanceNumber(s.number(0), 0)))
		}
		s.usable(t)
	})
}

// The siblings' answers were late, so there was a stall, in which others' may wait still.
func TestGuardLate(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		s := r.scenario(t, 0)
		s.warm(t)
		s.begin(t, 0, s.next, interval, 0, 0, 1, 2)
		s.reply(t, 1, 0, s.next)
		s.next++
		s.round(t, 0, 1)
		counted := s.counted(t, func() {
			s.round(t, 0, 1)
			s.confirm(t)
			if !s.o.Timer {
				s.noEvent(t)
				s.confirm(t)
			}
			require.EqualValues(t, 1, s.event(t).Guarded)
		})
		require.EqualValues(t, 1, counted["guard_cpu"])
	})
}

// Our programs ran on the CPU of the replies since: nothing waits there.
func TestGuardCPURan(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		s := r.scenario(t, 0)
		s.warm(t)
		other := 1 - min(r.pin(t), 1)
		s.inst(0, 0).ReplyCpu[0] = uint8(other + 1)
		s.round(t, 0, 1)
		s.round(t, 0, 1)
		n := s.next
		s.next++
		s.begin(t, 0, n, 50*time.Microsecond, 0, 0, 1, 2)
		s.ranOn(t, other, 2, n)
		s.reply(t, 1, 0, n)
		s.confirm(t)
		require.Zero(t, s.event(t).Guarded)
	})
}
