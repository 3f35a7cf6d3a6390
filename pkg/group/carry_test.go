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

// A reload is no reason to call another standby than the one that stands in: nothing moves.
func TestCarryOfTheStandbyThatStandsIn(t *testing.T) {
	cfg := carryConfig("A", "S", "T")
	cfg.Failback = true
	cfg.Members[1].Standby, cfg.Members[2].Standby = true, true
	there := MemberStart{Exists: true, Link: LinkUp, Health: [Families]Health{OK, OK}}
	g, _ := New(cfg, 0, Start{Members: []MemberStart{there, there, there}})
	g.Step(1, HealthChanged{Member: 0, Family: Both, Health: Failed, Cause: CauseProbe})
	g.Step(1, HealthChanged{Member: 1, Family: Both, Health: Failed, Cause: CauseProbe})
	g.Step(1, HealthChanged{Member: 1, Family: Both, Health: OK, Cause: CauseProbe})
	require.EqualValues(t, 0b100, g.Active(IPv4), "A and S had failed, so T stands in")
	next := reloaded(g, cfg, []int{g.Owner(0)}, 0, 1, 2)
	require.EqualValues(t, 0b100, next.Active(IPv4))
	require.Equal(t, 2, next.Owner(0))
}

// With failback: false an inactive member is called where the active one leaves the group with a reload.
func TestCarryCallsForWhoHasLeft(t *testing.T) {
	cfg := carryConfig("A", "B", "C")
	there := MemberStart{Exists: true, Link: LinkUp, Health: [Families]Health{OK, OK}}
	g, _ := New(cfg, 0, Start{Members: []MemberStart{there, there, there}})
	g.Step(1, HealthChanged{Member: 0, Family: Both, Health: Failed, Cause: CauseProbe})
	g.Step(1, HealthChanged{Member: 0, Family: Both, Health: OK, Cause: CauseProbe})
	require.EqualValues(t, 0b110, g.Active(IPv4))
	next := reloaded(g, carryConfig("A", "B"), []int{g.Owner(0)}, 0, 1)
	require.EqualValues(t, 0b11, next.Active(IPv4))
}

// The history stays whole over a reload: each failure has one repair, also where the reload brings it.
func TestCarryOfTheHistory(t *testing.T) {
	records := func(actions []Action) (list []Record) {
		for _, a := range actions {
			if r, ok := a.(Record); ok {
				list = append(list, r)
			}
		}
		return list
	}
	there := MemberStart{Exists: true, Link: LinkUp}
	none := make([]int, 1)
	for _, row := range []struct {
		name   string
		before []Event
		reload func(*Config, *Start)
		with   []Record // by the reload
		event  Event
		after  []Record // by the event after it
	}{
		{"missing, back but without link yet at the reload",
			[]Event{PresenceChanged{0, false}, PresenceChanged{0, true}}, func(*Config, *Start) {}, nil,
			LinkChanged{0, LinkUp, ""}, []Record{{Kind: KindRepair, Member: 0, Family: Both, Cause: CauseMissing}}},
		{"a member joins a failed group",
			[]Event{GroupFailed{CauseProbe, "silent"}}, func(c *Config, s *Start) {
				c.Members, s.Members = append(c.Members, MemberConfig{Name: "C"}), append(s.Members, there)
			}, []Record{{Kind: KindGroupRepair, Member: 2, Family: Both, Cause: CauseProbe, Detail: "silent"}},
			GroupFailed{CauseLink, "carrier"}, []Record{{Kind: KindGroupFailure, Member: -1, Family: Both, Cause: CauseLink, Detail: "carrier"}}},
		{"a family that had failed has no probes any more",
			[]Event{ProbingChanged{0, [2]bool{true, true}}, HealthChanged{0, IPv6, Failed, CauseProbe, "both"}}, func(c *Config, _ *Start) {
				c.Members[0].Probed = [2]bool{true, false}
			}, []Record{{Kind: KindRepair, Member: 0, Family: IPv6, Cause: CauseProbe, Detail: "both"}},
			HealthChanged{0, IPv4, Failed, CauseProbe, "both"}, []Record{{Kind: KindFailover, Member: 0, Family: Both, Cause: CauseProbe, Detail: "both",
				Moved: []Move{{Address: 0, From: 0, To: 1, Why: WhyUnusable}}}}},
		{"a member that has failed leaves",
			[]Event{HealthChanged{1, Both, Failed, CauseProbe, "both"}}, func(c *Config, s *Start) {
				c.Members, s.Members = c.Members[:1], s.Members[:1]
			}, nil,
			HealthChanged{0, Both, Failed, CauseProbe, "both"}, []Record{{Kind: KindFailover, Member: 0, Family: Both, Cause: CauseProbe, Detail: "both"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg := carryConfig("A", "B")
			g := running(cfg)
			for _, ev := range row.before {
				g.Step(1, ev)
			}
			start := Start{Was: g, Members: []MemberStart{g.Carry(0), g.Carry(1)}, Owners: none}
			next := carryConfig("A", "B")
			for i := range next.Members {
				next.Members[i].Probed = g.members[i].probed
			}
			row.reload(&next, &start)
			after, actions := New(next, 2, start)
			require.Equal(t, row.with, records(actions))
			require.Equal(t, row.after, records(after.Step(3, row.event)))
		})
	}
}

// A suspension that a reload ends is a return, as one that an event ends: addresses go home, whatever
// failback says.
func TestCarryEndsASuspension(t *testing.T) {
	cfg := carryConfig("A", "B")
	g := running(cfg)
	g.Step(1, Suspended{0, "twin"})
	require.Equal(t, 1, g.Owner(0))
	back := g.Carry(0)
	back.Suspended = ""
	next, _ := New(cfg, 2, Start{Was: g, Members: []MemberStart{back, g.Carry(1)}, Owners: []int{1}})
	require.EqualValues(t, 0b11, next.Active(IPv4))
	require.Equal(t, 0, next.Owner(0))
}
