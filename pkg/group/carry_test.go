// SPDX-License-Identifier: Apache-2.0

package group

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func carryConfig(members ...string) Config {
	cfg := Config{Addresses: []AddressConfig{{Prefix: netip.MustParsePrefix("192.0.2.10/24")}}}
	for _, name := range members {
		cfg.Members = append(cfg.Members, MemberConfig{Name: name, Probed: [Families]bool{true, false}})
	}
	return cfg
}

// running group of two members that answer.
func running(cfg Config) *Group {
	there := MemberStart{Exists: true, Link: LinkUp}
	g, _ := New(cfg, 0, Start{Members: []MemberStart{there, there}})
	for i := range cfg.Members {
		g.Step(0, HealthChanged{Member: i, Family: Both, Health: OK, Cause: CauseProbe})
	}
	return g
}

// A group under another configuration knows what it knew.
func TestCarry(t *testing.T) {
	cfg := carryConfig("A", "B")
	g := running(cfg)
	g.Step(1, HealthChanged{Member: 0, Family: Both, Health: Failed, Cause: CauseProbe, Detail: "tx-path"})
	require.Equal(t, 1, g.Owner(0))

	// The other way round, and one more in between.
	next, actions := New(carryConfig("B", "C", "A"), 2, Start{Was: g,
		Members: []MemberStart{g.Carry(1), {Exists: true, Link: LinkUp}, g.Carry(0)}, Owners: []int{0}})
	require.Equal(t, []Action{Publish{}}, actions, "nothing moves")
	v := next.View()
	require.Equal(t, []State{StateOK, StateUnknown, StateFailed}, []State{v.Members[0].State, v.Members[1].State, v.Members[2].State})
	require.Equal(t, "tx-path", v.Members[2].Detail)
	require.EqualValues(t, 1, v.Members[2].Since)

	// Its repair is one, as if there had been no reload.
	var kinds []Kind
	for _, a := range next.Step(3, HealthChanged{Member: 2, Family: Both, Health: OK, Cause: CauseProbe}) {
		if r, ok := a.(Record); ok {
			kinds = append(kinds, r.Kind)
		}
	}
	require.Equal(t, []Kind{KindRepair}, kinds)
}

// With failback: false a repaired member stays inactive over a reload, and one that is repaired after
// it, too.
func TestCarryWithoutFailback(t *testing.T) {
	cfg := carryConfig("A", "B")
	g := running(cfg)
	carried := func() (*Group, []Action) {
		return New(cfg, 2, Start{Was: g, Members: []MemberStart{g.Carry(0), g.Carry(1)}, Owners: []int{g.Owner(0)}})
	}
	g.Step(1, HealthChanged{Member: 0, Family: Both, Health: Failed, Cause: CauseProbe})
	g, _ = carried()
	g.Step(2, HealthChanged{Member: 0, Family: Both, Health: OK, Cause: CauseProbe})
	require.EqualValues(t, 0b10, g.Active(IPv4))
	g, actions := carried()
	require.Equal(t, []Action{Publish{}}, actions)
	require.EqualValues(t, 0b10, g.Active(IPv4))
	require.Equal(t, 1, g.Owner(0))
}

// The failure of the whole group goes on, and ends once.
func TestCarryOfAGroupFailure(t *testing.T) {
	cfg := carryConfig("A", "B")
	g := running(cfg)
	g.Step(1, GroupFailed{Cause: CauseProbe})
	next, _ := New(cfg, 2, Start{Was: g, Members: []MemberStart{g.Carry(0), g.Carry(1)}, Owners: []int{0}})
	require.Equal(t, GroupDown, next.View().State)
	var kinds []Kind
	for _, a := range next.Step(3, HealthChanged{Member: 0, Family: Both, Health: OK, Cause: CauseProbe}) {
		if r, ok := a.(Record); ok {
			kinds = append(kinds, r.Kind)
		}
	}
	require.Contains(t, kinds, KindGroupRepair)
}

// reloaded is the group under another configuration; was says which member each of its members was.
func reloaded(g *Group, cfg Config, owners []int, was ...int) *Group {
	start := Start{Was: g, Owners: owners}
	for _, i := range was {
		start.Members = append(start.Members, g.Carry(i))
	}
	next, _ := New(cfg, 2, start)
	return next
}

// Spec section 5.4: an interface that becomes a standby is let go where enough others are active, and
// called again when it is none any more.
func TestCarryToAStandby(t *testing.T) {
	cfg := carryConfig("A", "B")
	g := running(cfg)
	require.EqualValues(t, 0b11, g.Active(IPv4))

	standby := carryConfig("A", "B")
	standby.Members[0].Standby = true
	standby.Addresses[0].Home = 1
	g = reloaded(g, standby, []int{g.Owner(0)}, 0, 1)
	require.EqualValues(t, 0b10, g.Active(IPv4))
	require.Equal(t, 1, g.Owner(0), "what it had is on the other")

	cfg.Failback = true
	g = reloaded(g, cfg, []int{g.Owner(0)}, 0, 1)
	require.EqualValues(t, 0b11, g.Active(IPv4))
	require.Equal(t, 0, g.Owner(0), "and home again")

	g.Step(3, HealthChanged{Member: 1, Family: Both, Health: Failed, Cause: CauseProbe})
	standby.Failback = true
	g = reloaded(g, standby, []int{g.Owner(0)}, 0, 1)
	require.EqualValues(t, 0b01, g.Active(IPv4), "fewer than N are active without it")
	require.Equal(t, 0, g.Owner(0))
}

// Spec section 5.4: a standby that stands in leaves the group, and another is called; the last active
// member leaves, and one is.
func TestCarryWithoutTheActiveOne(t *testing.T) {
	cfg := carryConfig("A", "S", "T")
	cfg.Members[1].Standby, cfg.Members[2].Standby = true, true
	there := MemberStart{Exists: true, Link: LinkUp}
	g, _ := New(cfg, 0, Start{Members: []MemberStart{there, there, there}})
	for i := range cfg.Members {
		g.Step(0, HealthChanged{Member: i, Family: Both, Health: OK, Cause: CauseProbe})
	}
	require.EqualValues(t, 0b001, g.Active(IPv4))
	g.Step(1, HealthChanged{Member: 0, Family: Both, Health: Failed, Cause: CauseProbe})
	require.EqualValues(t, 0b010, g.Active(IPv4))

	without := carryConfig("A", "T")
	without.Members[1].Standby = true
	next := reloaded(g, without, []int{-1}, 0, 2)
	require.EqualValues(t, 0b10, next.Active(IPv4))
	require.Equal(t, 1, next.Owner(0))

	standbys := carryConfig("S", "T")
	standbys.Members[0].Standby, standbys.Members[1].Standby = true, true
	next = reloaded(g, standbys, []int{0}, 1, 2)
	require.EqualValues(t, 0b01, next.Active(IPv4), "who had the address keeps it")
	require.Equal(t, 0, next.Owner(0))
}
