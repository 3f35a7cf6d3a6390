// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/detect"
	"github.com/ipmpd/ipmpd/pkg/group"
)

// TestEngineWhoAnswersIsUsable: whenever members answer for a detection time, and one turn of the
// housekeeping, a member that answers is usable, and has the addresses, whatever `repair`, `hold-down` and
// `flap-limit` say, and whatever was before: verdicts, cables, members out of service, failures of the
// whole group. Detection is pkg/detect, with rounds that are made up; the engine carries its findings to
// pkg/group and a host that is made up.
func TestEngineWhoAnswersIsUsable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRounds(t)
		for range rapid.IntRange(1, 12).Draw(t, "periods") {
			r.act()
		}
	})
}

// rounds are those of one group on a host that is made up.
type rounds struct {
	*world
	u       *unit
	now     int64
	samples []detect.Sample
	// by is who answers in a family.
	by [bpf.Families][]*member
}

func drawRounds(t *rapid.T) *rounds {
	w := newWorld(t)
	members := rapid.IntRange(2, 4).Draw(t, "members")
	file := fmt.Sprintf("groups:\n  g0:\n    duplicate-check: false\n    detection-time: 4ms\n    misses: %d\n    repair: %d\n    hold-down: %s\n    flap-limit: %d\n    failback: %v\n    interfaces:\n",
		rapid.SampledFrom([]int{1, 3}).Draw(t, "misses"), rapid.SampledFrom([]int{1, 10, 1000}).Draw(t, "repair"),
		rapid.SampledFrom([]string{"0s", "100ms", "1m"}).Draw(t, "hold-down"), rapid.IntRange(0, 2).Draw(t, "flap-limit"), rapid.Bool().Draw(t, "failback"))
	for i := range members {
		file += fmt.Sprintf("      hme%d: {test: [192.0.2.%d/24, \"2001:db8:0::%d/64\"], standby: %v}\n", i, 101+i, 101+i, i > 0 && rapid.Bool().Draw(t, "standby"))
	}
	file += "    addresses: [192.0.2.10/24, 192.0.2.11/24, \"2001:db8:0::1000/64\"]\n"
	cfg, err := config.Parse("rounds.yaml", []byte(file))
	require.NoError(t, err)
	w.open(cfg)
	r := &rounds{world: w, u: w.e.units[0], now: monotonic()}
	for _, m := range r.u.members {
		for f := range bpf.Families {
			r.samples = append(r.samples, detect.Sample{Member: m.number, Family: detect.Family(f), Kind: detect.KindICMP, Targets: 2})
		}
		r.by[0], r.by[1] = append(r.by[0], m), append(r.by[1], m)
	}
	r.run(r.u.cfg.Repair + 1) // all are armed
	return r
}

// act lets something happen, and time pass.
func (r *rounds) act() {
	t := r.t
	m := rapid.SampledFrom(r.u.members).Draw(t, "member")
	switch rapid.SampledFrom([]string{"cable", "offline", "online", "answers", "answers", "answers", "silence"}).Draw(t, "what") {
	case "cable":
		up := m.link == group.LinkDown
		r.h.SetCarrier(m.ifindex, up)
		if n, _ := r.e.carrier(m.number, m.ifindex, up, true, r.now); n != nil {
			n.fired.finish()
			r.e.events <- n
		}
		r.hear()
	case "offline":
		m.offline = r.e.step(r.u, group.Offline{Member: m.index, Force: rapid.Bool().Draw(t, "force")}, nil) == nil
	case "online":
		m.offline = false
		_ = r.e.step(r.u, group.Online{Member: m.index}, nil)
	case "silence":
		r.by = [bpf.Families][]*member{}
	case "answers":
		f := rapid.IntRange(0, 1).Draw(t, "family")
		r.by[f] = nil
		for _, m := range r.u.members {
			if rapid.Bool().Draw(t, "answers") {
				r.by[f] = append(r.by[f], m)
			}
		}
	}
	detection := r.u.cfg.Misses + 1
	r.run(detection + turn + rapid.SampledFrom([]int{0, 1, 30, 3000}).Draw(t, "longer"))
	r.hold()
}

// turn of the housekeeping, in rounds (engine.tickInterval).
const turn = 4

// hold the group to what is promised.
func (r *rounds) hold() {
	for f := range bpf.Families {
		var answer uint32
		armed := true
		for _, m := range r.u.members {
			if !m.out() && m.link == group.LinkUp {
				armed = armed && r.u.tracker.Limit(m.number, detect.Family(f)) > 0
				if slices.Contains(r.by[f], m) {
					answer |= 1 << m.index
				}
			}
		}
		if answer == 0 || !armed {
			continue
		}
		usable := r.u.state.Usable(group.Family(f))
		require.NotZero(r.t, usable&answer, "family %d: %b answer, %b are usable", f, answer, usable)
		for i, a := range r.u.cfg.Addresses {
			if group.FamilyOf(a.Prefix) == group.Family(f) {
				owner := r.u.state.Owner(i)
				require.NotZero(r.t, usable&(1<<owner), "%s", a.Prefix)
				require.Contains(r.t, r.h.Where(a.Prefix.Addr()), r.u.members[owner].ifindex)
			}
		}
	}
}

// run n rounds, and the housekeeping as often as it comes.
func (r *rounds) run(n int) {
	for i := range n {
		r.now += r.u.cfg.Interval().Nanoseconds()
		for f := range bpf.Families {
			r.round(f)
		}
		if i%turn == turn-1 {
			r.look()
			r.e.findings(r.u, r.u.tracker.Observe(r.now, r.samples))
			r.hear()
		}
	}
}

func (r *rounds) sample(m *member, f int) *detect.Sample { return &r.samples[m.index*bpf.Families+f] }

// look at what is known of the members beside their rounds.
func (r *rounds) look() {
	for _, m := range r.u.members {
		for f := range bpf.Families {
			s := r.sample(m, f)
			s.Disabled, s.Link = m.out(), detect.LinkDown
			if m.link == group.LinkUp {
				s.Link = detect.LinkUp
			}
		}
	}
}

// round of a family: who answers, and what the BPF programs make of who does not.
func (r *rounds) round(f int) {
	var answer []*member
	for _, m := range r.by[f] {
		if !m.out() && m.link == group.LinkUp {
			answer = append(answer, m)
		}
	}
	if len(answer) == 0 {
		return // void
	}
	for _, m := range r.u.members {
		s := r.sample(m, f)
		if m.out() {
			continue
		}
		s.Answered++
		s.Judged = min(s.Judged+1, 1000)
		if slices.Contains(answer, m) {
			s.Streak, s.Answering, s.Missing, s.LastReply = s.Streak+1, s.Answering+1, 0, r.now
		} else {
			s.Missed, s.Streak, s.Answering, s.Missing, s.LastMiss = s.Missed+1, 0, 0, s.Missing+1, r.now
		}
	}
	for _, m := range r.u.members {
		if s := r.sample(m, f); !m.out() && m.armed[f] > 0 && s.Missing >= int(m.armed[f]) {
			r.suspect(m, f)
		}
	}
}

// suspect has missed its rounds: a verdict, or, of the last usable one, word of it.
func (r *rounds) suspect(m *member, f int) {
	word := bpf.ReadWord(&r.e.tracks[bpf.TrackNumber(r.u.slot, f)]).Usable
	switch {
	case word&(1<<m.bit) == 0:
	case word == 1<<m.bit:
		r.look()
		r.e.findings(r.u, r.u.tracker.Last(r.now, r.samples))
	default:
		r.u.tracker.Verdict(r.now, m.number, detect.Family(f), false)
		r.kernelVerdict(r.u, m, f)
	}
	r.hear()
}
