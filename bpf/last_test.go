// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// The last usable member is never taken out; it is said once, and again only after a while.
func TestLast(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		s := r.scenario(t, 0)
		s.warm(t)
		alone := ChangeWord(s.track(0), 0, s.bit(1)|s.bit(2)|s.bit(3))
		inst := s.inst(0, 0)
		told := func() {
			var e Event
			counted := s.counted(t, func() {
				for range 3 {
					s.round(t, 0, 1)
				}
				s.confirm(t)
				e = s.event(t)
			})
			require.EqualValues(t, 1, counted["last"])
			require.EqualValues(t, EventLast, e.Kind)
			require.Equal(t, alone.Generation, e.Generation)
			require.Equal(t, s.bit(0), e.Usable)
			require.Equal(t, alone, s.word())
			require.Eventually(t, func() bool { return atomic.LoadUint32(&inst.Stage) == stageTold }, deadline, time.Millisecond)
		}
		told()
		for range 40 {
			atomic.StoreUint64(&inst.SuspectedNs, uint64(monotonic(t)))
			s.round(t, 0, 1)
			require.NoError(t, s.o.Confirm(InstanceNumber(s.number(0), 0)))
		}
		require.EqualValues(t, 1, inst.Suspicions)
		s.noEvent(t)
		// 16 rounds of 100 ms; 10 ms alone are not enough.
		inst.SuspectedNs -= 12 * interval
		s.round(t, 0, 1)
		require.EqualValues(t, 1, inst.Suspicions)
		inst.SuspectedNs -= 6 * interval
		told()
		// It answers: the suspicion is over.
		s.round(t, 0, 0, 1)
		s.settled(t, 0, 0)
		// It fell silent again, and was told; now another becomes usable, and takes over at once.
		told()
		ChangeWord(s.track(0), s.bit(1), 0)
		s.round(t, 0, 1)
		s.confirm(t)
		require.EqualValues(t, EventVerdict, s.event(t).Kind)
		require.Equal(t, s.bit(1), s.word().Usable)
	})
}

const stageTold = uint32(timerIpmpStageIPMP_STAGE_TOLD)

// Two suspects of each other, and one sibling after the other: somebody always stays.
func TestNotEverybody(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		s := r.scenario(t, 0)
		s.warm(t)
		s.inst(1, 0).Limit = 3
		ChangeWord(s.track(0), 0, s.bit(2)|s.bit(3))
		// Member 2 is out of service but answers: both others miss.
		for range 20 {
			s.round(t, 0, 2)
			for i := range 2 {
				s.age(s.inst(i, 0))
				require.NoError(t, s.o.Confirm(InstanceNumber(s.number(i), 0)))
			}
		}
		require.NotZero(t, s.word().Usable)
		require.NotZero(t, s.inst(0, 0).Suspicions)
		require.NotZero(t, s.inst(1, 0).Suspicions)
		clear(r.o.Instances()) // end what still runs
		for {
			if _, err := s.readEvent(20 * time.Millisecond); err != nil {
				break
			}
		}
	})
}

// The same with all of them at once, each at a different round: some verdicts are taken, but never
// the last.
func TestNotEverybodyAtOnce(t *testing.T) {
	r := newRig(t, true)
	verdicts := 0
	for range 100 {
		s := r.scenario(t, 0)
		for i := range 3 {
			s.inst(i, 0).Limit = 3
		}
		s.warm(t)
		ChangeWord(s.track(0), 0, s.bit(3))
		s.inst(3, 0).Limit = 0
		s.round(t, 0, 1, 2)
		s.round(t, 0, 2)
		s.quiet()
		for range 4 {
			s.begin(t, 0, s.next, 100*time.Microsecond, 0, 0, 1, 2)
			s.reply(t, 3, 0, s.next) // out of service, but it answers
			s.next++
		}
		var group errgroup.Group
		for i := range 3 {
			require.NotZero(t, s.inst(i, 0).Suspect)
			s.age(s.inst(i, 0))
			group.Go(func() error { return s.o.Confirm(InstanceNumber(s.number(i), 0)) })
		}
		require.NoError(t, group.Wait())
		require.NotZero(t, s.word().Usable)
		for {
			e, err := s.readEvent(0)
			if err != nil {
				break
			}
			if e.Kind == EventVerdict {
				verdicts++
				require.NotZero(t, e.Usable)
			}
		}
	}
	require.NotZero(t, verdicts)
}

func TestTakesBoth(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		families(t, r, func(t *testing.T, family int) {
			s := r.scenario(t, family)
			s.warm(t)
			s.inst(0, family).Flags = TakesBoth
			for range 3 {
				s.round(t, 0, 1)
			}
			s.confirm(t)
			e := s.event(t)
			require.EqualValues(t, 1, e.Both)
			require.EqualValues(t, family, e.Family)
			for f := range Families {
				require.Equal(t, Word{Generation: 7, Usable: r.track(f).Members &^ r.bit(0)}, ReadWord(r.track(f)))
			}
		})
	})
}

// The other family keeps its last member all the same.
func TestTakesBothButTheLast(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		s := r.scenario(t, 0)
		s.warm(t)
		ChangeWord(s.track(1), 0, ^s.bit(0))
		s.inst(0, 0).Flags = TakesBoth
		for range 3 {
			s.round(t, 0, 1)
		}
		s.confirm(t)
		require.Zero(t, s.event(t).Both)
		require.Equal(t, s.bit(0), ReadWord(s.track(1)).Usable)
	})
}
