// SPDX-License-Identifier: Apache-2.0

package group

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestSuccessionIsWhatStepDoes: members fail one after another, and the addresses go where the group
// sends them when it hears of it, with the contingency of the first followed or not.
func TestSuccessionIsWhatStepDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := genConfig(t)
		g, _ := New(cfg, 0, genStart(t, cfg))
		for range rapid.IntRange(0, 10).Draw(t, "before") {
			g.Step(0, genEvent(t, len(cfg.Members)))
		}
		s := g.Succession()
		for n := range rapid.IntRange(1, 4).Draw(t, "failures") {
			f := rapid.SampledFrom([]Family{IPv4, IPv6, Both}).Draw(t, "family")
			m := rapid.IntRange(0, len(cfg.Members)-1).Draw(t, "member")
			if g.Usable(f)&bit(m) == 0 || f < Families && g.Usable(f) == bit(m) {
				continue // nothing to fail, or the last one, which no verdict takes out
			}
			ev := HealthChanged{Member: m, Family: f, Health: Failed, Cause: CauseProbe}
			if f == Both {
				ev.Cause = CauseLink
			}
			before := s.owners()
			if to := g.Contingency(m, f); n == 0 && genBool.Draw(t, "prepared") {
				s.Follow(g.Placement(), to)
			} else {
				usable := to.Usable
				s.Fail(usable, func(address, to int) {
					require.NotEqual(t, before[address], to)
					require.NotZero(t, usable[s.family[address]]&bit(to), "to one that is out")
				})
			}
			g.Step(0, ev)
			if g.set[IPv4].ready != s.set[IPv4].ready&g.set[IPv4].usable || g.set[IPv6].ready != s.set[IPv6].ready&g.set[IPv6].usable {
				return // who is proved good is another by what failed: the group looks for the fewest among others
			}
			require.Equal(t, g.Placement().Owners, s.owners())
			require.Equal(t, g.load, s.load)
		}
	})
}

func (s *Succession) owners() []int {
	list := make([]int, len(s.owner))
	for i := range list {
		list[i] = s.Owner(i)
	}
	return list
}

// Nothing is allocated when a member fails.
func TestSuccessionDoesNotAllocate(t *testing.T) {
	g := large()
	s, n := g.Succession(), 0
	usable := [Families]uint32{g.Usable(IPv4), g.Usable(IPv6)}
	i := 0
	require.Zero(t, testing.AllocsPerRun(20, func() {
		usable[IPv4] &^= bit(i)
		s.Fail(usable, func(int, int) { n++ })
		i++
	}))
	require.Greater(t, n, 250, "the addresses of all that failed moved")
}

// BenchmarkSuccession is the failure of a member with 250 of a thousand addresses.
func BenchmarkSuccession(b *testing.B) {
	g := large()
	usable := [Families]uint32{g.Usable(IPv4) &^ bit(4), g.Usable(IPv6)}
	for b.Loop() {
		g.Succession().Fail(usable, func(int, int) {})
	}
}
