// SPDX-License-Identifier: Apache-2.0

package group

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestAnyOrder: whatever happens in whatever order, the contract holds after every step (see
// checker); the same events give the same answers; Contingency says what Step then does, and
// changes nothing.
func TestAnyOrder(t *testing.T) { rapid.Check(t, anyOrder) }

// FuzzAnyOrder is the same, steered by coverage.
func FuzzAnyOrder(f *testing.F) { f.Fuzz(rapid.MakeFuzz(anyOrder)) }

func anyOrder(t *rapid.T) {
	cfg := genConfig(t)
	start := genStart(t, cfg)
	n := len(cfg.Members)
	c := newChecker(t, cfg, start)
	twin, _ := New(cfg, 0, start)
	for range rapid.IntRange(1, 25).Draw(t, "events") {
		ev := genEvent(t, n)
		if rapid.IntRange(0, 3).Draw(t, "contingency") == 0 {
			ev = checkContingency(t, c.g, rapid.IntRange(0, n-1).Draw(t, "member"), genFamily.Draw(t, "family"))
		}
		require.Equal(t, c.step(ev), twin.Step(1, ev), "not deterministic")
		require.Equal(t, c.g.View(), twin.View())
	}
}

// checkContingency returns the event that was reckoned with; the caller's Step must end there.
func checkContingency(t *rapid.T, g *Group, member int, f Family) Event {
	view := g.View()
	want := g.Contingency(member, f)
	require.Equal(t, view, g.View(), "Contingency changed the group")
	ev := HealthChanged{Member: member, Family: f, Health: Failed, Cause: CauseProbe}
	if f == Both {
		ev.Cause = CauseLink
	}
	after := g.clone()
	after.Step(1, ev)
	require.Equal(t, want, after.Placement(), "contingency of %d %v", member, f)
	require.Equal(t, view, g.View(), "the copy shares state")
	return ev
}

// TestAllGood: when everything is reported good, whatever was before, the group is ok, the normal
// members are active, the standbys are not, and with failback every address is at home.
func TestAllGood(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := genConfig(t)
		c := newChecker(t, cfg, genStart(t, cfg))
		for range rapid.IntRange(0, 25).Draw(t, "events") {
			c.step(genEvent(t, len(cfg.Members)))
		}
		for _, ev := range everythingGood(len(cfg.Members)) {
			c.step(ev)
		}
		require.Equal(t, GroupOK, c.view.State)
		require.False(t, c.failure, "a group failure without its end")
		for _, failed := range c.open {
			require.False(t, failed, "a failover without its repair")
		}
		if !cfg.Failback {
			return
		}
		normal := 0
		for _, m := range cfg.Members {
			if !m.Standby {
				normal++
			}
		}
		for i, m := range c.view.Members {
			require.True(t, normal == 0 || m.Active == !cfg.Members[i].Standby, "member %d active: %v", i, m.Active)
		}
		for a, at := range c.before.Owners {
			if home := cfg.Addresses[a].Home; home >= 0 {
				require.Equal(t, home, at, "address %d is not at home", a)
			}
		}
	})
}

// TestSurvivors: every other member once; usable before not usable, active before not active.
func TestSurvivors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := genConfig(t)
		c := newChecker(t, cfg, genStart(t, cfg))
		for range rapid.IntRange(0, 10).Draw(t, "events") {
			c.step(genEvent(t, len(cfg.Members)))
		}
		for i := range cfg.Members {
			for f := range Family(Families) {
				rank := func(m int) int {
					v := c.view.Members[m].Families[f]
					return map[[2]bool]int{{true, true}: 0, {true, false}: 1, {false, false}: 2}[[2]bool{v.Usable, v.Active}]
				}
				var seen uint32
				order := c.g.Survivors(i, f)
				for k, m := range order {
					require.NotEqual(t, i, m)
					require.Zero(t, seen&bit(m), "twice: %v", order)
					seen |= bit(m)
					require.True(t, k == 0 || rank(order[k-1]) <= rank(m), "order %v of %d", order, i)
				}
				require.Equal(t, c.g.Usable(f)&^bit(i), seen&c.g.Usable(f), "not all usable members")
			}
		}
	})
}
