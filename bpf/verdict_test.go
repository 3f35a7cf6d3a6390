// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// first round of the scenarios.
const first = 300

// scenario is one run of rounds, in which member 0 falls silent; it alone is armed.
type scenario struct {
	*rig
	family int
	next   uint32
}

func (r *rig) scenario(t testing.TB, family int) *scenario {
	t.Helper()
	r.reset(t)
	for i := 1; i < rigCount; i++ {
		r.inst(i, family).Limit = 0
	}
	return &scenario{rig: r, family: family, next: first}
}

// round begins and sends a round on members 0 to 2, and has those given answer it.
func (s *scenario) round(t testing.TB, target uint16, answers ...int) uint32 {
	t.Helper()
	n := s.next
	s.next++
	s.begin(t, s.family, n, 100*time.Microsecond, target, 0, 1, 2)
	for _, i := range answers {
		s.reply(t, i, s.family, n)
	}
	if slices.Contains(answers, 0) {
		s.quiet()
	}
	return n
}

// quiet gives the members the round-trip times of a quiet wire: 100 us ago is due.
func (s *scenario) quiet() {
	for i := range rigCount {
		inst := s.inst(i, s.family)
		inst.RttNs, inst.RttDevNs, inst.RttMinNs = 20000, 5000, 15000
	}
}

// warm has three answered rounds.
func (s *scenario) warm(t testing.TB) {
	t.Helper()
	for range 3 {
		s.round(t, 0, 0, 1, 2)
	}
	require.NotZero(t, s.word().Usable&s.bit(0))
}

func (s *scenario) word() Word { return ReadWord(s.track(s.family)) }

// confirmed brings the suspicion of member 0 to its confirmation: with timers it comes by itself,
// without it is the prober that asks.
func (s *scenario) confirm(t testing.TB) {
	t.Helper()
	inst := s.inst(0, s.family)
	require.NotZero(t, atomic.LoadUint32(&inst.Suspicions), "no suspicion arose")
	if !s.o.Timer {
		s.age(inst)
		require.NoError(t, s.o.Confirm(InstanceNumber(s.number(0), s.family)))
	}
}

// age makes a suspicion older by two rounds, as if time had passed.
func (s *scenario) age(inst *Instance) { atomic.AddUint64(&inst.SuspectedNs, ^uint64(2*interval-1)) }

// usable asserts that member 0 is, and that nobody was told anything else.
func (s *scenario) usable(t testing.TB) {
	t.Helper()
	s.settled(t, 0, s.family)
	s.noEvent(t)
	require.Equal(t, Word{Generation: 7, Usable: s.track(s.family).Members}, s.word())
}

func TestVerdict(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		families(t, r, func(t *testing.T, family int) {
			s := r.scenario(t, family)
			s.warm(t)
			last := s.inst(0, family).LastReplyNs
			s.round(t, 0, 1)
			s.round(t, 1, 1)
			require.Zero(t, s.inst(0, family).Suspicions, "below the limit")
			began := uint64(monotonic(t))
			var n uint32
			var e Event
			counted := s.counted(t, func() {
				n = s.round(t, 0, 1)
				require.EqualValues(t, 1, s.inst(0, family).Suspicions)
				s.confirm(t)
				e = s.event(t)
				s.settled(t, 0, family)
			})
			require.Equal(t, map[string]uint64{"reply": 1, "suspect": 1, "verdict": 1}, counted)
			require.Equal(t, Word{Generation: 7, Usable: r.track(family).Members &^ r.bit(0)}, s.word())
			require.LessOrEqual(t, e.SuspectedNs, e.VerdictNs)
			require.GreaterOrEqual(t, e.VerdictNs, began)
			require.LessOrEqual(t, e.VerdictNs, uint64(monotonic(t)))
			require.Equal(t, Event{
				Kind: EventVerdict, Group: rigGroup, Member: rigFirst, Family: uint8(family), Bit: rigBit,
				Generation: 7, Usable: s.word().Usable, Round: n, Acked: first + 2, Misses: 3, Limit: 3,
				LastReplyNs: last, SuspectedNs: e.SuspectedNs, VerdictNs: e.VerdictNs,
			}, e)
			// The other family stays.
			require.Equal(t, r.track(1-family).Members, ReadWord(r.track(1-family)).Usable)
			// And nothing more is said of a member that is out.
			for range 10 {
				s.round(t, 0, 1, 2)
			}
			require.EqualValues(t, 1, s.inst(0, family).Suspicions)
			s.noEvent(t)
		})
	})
}

// Rounds that are no misses of member 0.
func TestNoMiss(t *testing.T) {
	rows := []struct {
		name string
		do   func(t testing.TB, s *scenario)
	}{
		{"void: nobody answers", func(t testing.TB, s *scenario) {
			for range 20 {
				s.round(t, 0)
			}
			s.round(t, 0, 1)
			s.round(t, 0, 1)
		}},
		{"void rounds in between", func(t testing.TB, s *scenario) {
			s.round(t, 0, 1)
			s.round(t, 0)
			s.round(t, 0, 1)
		}},
		{"not sent here", func(t testing.TB, s *scenario) {
			for range 20 {
				s.begin(t, s.family, s.next, 100*time.Microsecond, 0, 1, 2)
				s.reply(t, 1, s.family, s.next)
				s.next++
			}
		}},
		{"not due: its RTT is long", func(t testing.TB, s *scenario) {
			s.inst(0, s.family).RttNs = uint32(time.Hour / 4000)
			s.inst(0, s.family).RttDevNs = 0
			for range 20 {
				s.round(t, 0, 1)
			}
		}},
		{"not due: its RTT varies", func(t testing.TB, s *scenario) {
			s.inst(0, s.family).RttDevNs = uint32(time.Hour / 16000)
			for range 20 {
				s.round(t, 0, 1)
			}
		}},
		{"not armed", func(t testing.TB, s *scenario) {
			s.inst(0, s.family).Limit = 0
			for range 20 {
				s.round(t, 0, 1)
			}
		}},
		{"higher limit", func(t testing.TB, s *scenario) {
			s.inst(0, s.family).Limit = 6
			for range 5 {
				s.round(t, 0, 1)
			}
		}},
		{"not in a row", func(t testing.TB, s *scenario) {
			for range 5 {
				s.round(t, 0, 1)
				s.round(t, 0, 1)
				s.round(t, 0, 0, 1)
			}
		}},
	}
	rigs(t, func(t *testing.T, r *rig) {
		for _, row := range rows {
			s := r.scenario(t, 0)
			s.warm(t)
			row.do(t, s)
			require.Zero(t, s.inst(0, 0).Suspicions, row.name)
			s.usable(t)
		}
	})
}

// A member that joins or is repaired when 2^31 rounds have passed is judged like any other.
func TestVerdictAfterLongTime(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		s := r.scenario(t, 0)
		s.next = 0x80000010
		s.inst(0, 0).Acked = 200
		s.warm(t)
		for range 3 {
			s.round(t, 0, 1)
		}
		s.confirm(t)
		require.EqualValues(t, EventVerdict, s.event(t).Kind)
	})
}

// The suspect answers between suspicion and confirmation. With timers the confirmation is too
// quick for a test: its part is played by Confirm, which is the same function.
func TestCleared(t *testing.T) {
	r := newRig(t, true)
	s := r.scenario(t, 0)
	s.warm(t)
	for range 3 {
		s.round(t, 0, 1)
	}
	require.NotZero(t, s.inst(0, 0).Suspect)
	s.reply(t, 0, 0, s.next-1)
	s.age(s.inst(0, 0))
	counted := s.counted(t, func() {
		require.NoError(t, s.o.Confirm(InstanceNumber(s.number(0), 0)))
	})
	require.Equal(t, map[string]uint64{"cleared": 1}, counted)
	s.usable(t)

	// Or a judgement finds it, at a sibling's next reply.
	s.quiet()
	for range 3 {
		s.round(t, 0, 1)
	}
	require.NotZero(t, s.inst(0, 0).Suspect)
	s.reply(t, 0, 0, s.next-1)
	s.quiet()
	counted = s.counted(t, func() { s.round(t, 0, 1) })
	require.Equal(t, map[string]uint64{"cleared": 1, "reply": 1}, counted)
	s.usable(t)
}

// Without timers the next answered round confirms, if it was begun after the suspicion.
func TestConfirmedByRound(t *testing.T) {
	r := newRig(t, true)
	s := r.scenario(t, 0)
	s.warm(t)
	for range 3 {
		s.round(t, 0, 1)
	}
	// Begun before: out of the same queue, after a stall.
	for range 5 {
		s.begin(t, 0, s.next, 0, 0, 0, 1, 2)
		s.track(0).Round[s.next&WindowMask].BegunNs = s.inst(0, 0).SuspectedNs - uint64(time.Millisecond)
		s.reply(t, 1, 0, s.next)
		s.reply(t, 2, 0, s.next)
		s.next++
	}
	require.NotZero(t, s.inst(0, 0).Suspect)
	s.noEvent(t)
	s.age(s.inst(0, 0))
	s.round(t, 0, 1)
	require.EqualValues(t, EventVerdict, s.event(t).Kind)
}

// The prober's tick may come while the replies of a stall are still being drained.
func TestTickIsPatient(t *testing.T) {
	r := newRig(t, true)
	s := r.scenario(t, 0)
	s.track(0).IntervalNs = uint32(time.Second)
	s.warm(t)
	for range 3 {
		s.round(t, 0, 1)
	}
	require.NoError(t, s.o.Confirm(InstanceNumber(s.number(0), 0)))
	s.noEvent(t)
	require.NotZero(t, s.inst(0, 0).Suspect)
	s.inst(0, 0).SuspectedNs -= uint64(time.Second) / 2
	require.NoError(t, s.o.Confirm(InstanceNumber(s.number(0), 0)))
	require.EqualValues(t, EventVerdict, s.event(t).Kind)
}

func TestConfirmWithoutSuspicion(t *testing.T) {
	r := newRig(t, true)
	s := r.scenario(t, 0)
	s.warm(t)
	require.Empty(t, s.counted(t, func() {
		require.NoError(t, s.o.Confirm(InstanceNumber(s.number(0), 0)))
	}))
	s.usable(t)
	require.Equal(t, map[string]uint64{"lookup": 1}, s.counted(t, func() {
		require.NoError(t, s.o.Confirm(Instances))
	}))
}

// A full ring buffer loses the event, not the verdict.
func TestRingFull(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		s := r.scenario(t, 0)
		counted := s.counted(t, func() {
			for range 64*1024/(64+8) + 1 {
				s.track(0).Word |= uint64(s.bit(0))
				s.warm(t)
				for range 3 {
					s.round(t, 0, 1)
				}
				s.confirm(t)
				require.Eventually(t, func() bool { return s.word().Usable&s.bit(0) == 0 }, deadline, 20*time.Microsecond)
			}
		})
		require.NotZero(t, counted["ring_full"])
		for {
			if _, err := s.readEvent(0); err != nil {
				break
			}
		}
	})
}

// A timer that does not start: the confirmation falls back to the rounds.
func TestTimerFails(t *testing.T) {
	r := newRig(t, false)
	if isRealtime() {
		t.Skip("needs a kernel without PREEMPT_RT: bpf_timer")
	}
	s := r.scenario(t, 0)
	s.pin(t)
	s.warm(t)
	// Timers belong to the user space that holds their map.
	require.NoError(t, r.o.maps[timerMap].Close())
	counted := s.counted(t, func() {
		for range 3 {
			s.round(t, 0, 1)
		}
		s.age(s.inst(0, 0))
		for range 3 {
			s.round(t, 0, 1)
		}
		require.EqualValues(t, EventVerdict, s.event(t).Kind)
	})
	require.NotZero(t, counted["timer_init"])
	require.NotZero(t, counted["timer_start"])
}

// A second run takes over maps with a timer in them, and takes verdicts.
func TestVerdictAfterAdoption(t *testing.T) {
	needRoot(t)
	for _, second := range []bool{false, true} {
		t.Run(fmt.Sprintf("without timer %v", second), func(t *testing.T) {
			opt := Options{PinPath: pinFolder(t)}
			r := newRigOn(t, opt)
			for _, opt.WithoutTimer = range []bool{false, second, false} {
				r.o.Close()
				r.o = loadForTest(t, opt)
				require.True(t, r.o.Adopted)
				require.Equal(t, !opt.WithoutTimer && !isRealtime(), r.o.Timer)
				r.listen(t)
				s := r.scenario(t, 0)
				s.warm(t)
				for range 3 {
					s.round(t, 0, 1)
				}
				s.confirm(t)
				require.EqualValues(t, EventVerdict, s.event(t).Kind)
			}
		})
	}
}
