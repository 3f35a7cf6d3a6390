// SPDX-License-Identifier: Apache-2.0

package group

import (
	"math/bits"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The properties of a group, each by its own name, over random histories of failures, repairs, link
// flaps, offline and online, reloads, and members that are missing and appear: 2 to 8 members, both
// families, up to 64 addresses (history_test.go). -rapid.checks=N for more of them.

// often is how many steps a history has at most.
const often = 25

// TestEveryAddressIsOnOneUsableMember: whenever a member can carry a family, each address of it is on
// exactly one that can, after each step. What can is reckoned from what is shown.
func TestEveryAddressIsOnOneUsableMember(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		drawHistory(t, often, func(s *step) {
			var usable [Families]uint32
			for i, m := range s.view.Members {
				for f, v := range m.Families {
					if v.State == StateOK || v.State == StateUnknown && m.Link == LinkUp {
						usable[f] |= bit(i)
					}
				}
			}
			require.Len(t, s.after.Owners, len(s.cfg.Addresses))
			for a, at := range s.after.Owners {
				require.Less(t, at, len(s.cfg.Members))
				if can := usable[s.family(a)]; can != 0 {
					require.True(t, at >= 0 && can&bit(at) != 0, "address %d is on %d, usable are %b", a, at, can)
				}
			}
		})
	})
}

// TestNothingMovesWithoutAReason: what changes its owner is told as a move, and its owner cannot carry
// it any more, or its home is back, or it was on a standby that stands in for nobody. A reload is no reason.
func TestNothingMovesWithoutAReason(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		drawHistory(t, often, func(s *step) {
			owners := slices.Clone(s.before.Owners)
			for _, m := range s.moves() {
				require.Equal(t, owners[m.Address], m.From, "%+v", m)
				owners[m.Address] = m.To
				require.Contains(t, s.reasons(m), m.Why, "%+v %+v\n%+v\n%+v", s.event, m, s.before, s.after)
			}
			require.True(t, slices.Equal(s.after.Owners, owners), "owners that changed without a word")
		})
	})
}

// reasons that there are for a move, reckoned from outside.
func (s *step) reasons(m Move) (list []Why) {
	f := s.family(m.Address)
	switch {
	case m.From < 0 && s.event == nil: // it is new, or its owner has left
		return []Why{WhyStart, WhyUnusable}
	case m.From < 0 || s.after.Usable[f]&bit(m.From) == 0:
		return []Why{WhyUnusable}
	}
	if m.To == s.cfg.Addresses[m.Address].Home && s.goesHome(m.Address) {
		list = append(list, WhyHome)
	}
	if s.unneeded(f, m.From) {
		list = append(list, WhyNotNeeded)
	}
	return list
}

// goesHome: the home of an address carries data, is proved good, and failback or the operator's online
// lets it.
func (s *step) goesHome(address int) bool {
	home := s.cfg.Addresses[address].Home
	if home < 0 || !s.cfg.Failback && !s.returned[home] {
		return false
	}
	f := s.family(address)
	return s.after.Active[f]&s.readied[f]&bit(home) != 0
}

// unneeded: a standby beside which as many others are active and proved good as there are normal members.
func (s *step) unneeded(f, member int) bool {
	return s.cfg.Members[member].Standby && bits.OnesCount32(s.after.Active[f]&s.readied[f]&^bit(member)) >= max(s.normal(), 1)
}

func (s *step) normal() (n int) {
	for _, m := range s.cfg.Members {
		if !m.Standby {
			n++
		}
	}
	return n
}

// TestNoMoreMovesThanNeeded: an address moves once at most, and only if it had to, or may go home; no
// active member is relieved but a standby that is not needed; for each active one that is lost, at most
// one is called.
func TestNoMoreMovesThanNeeded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		drawHistory(t, often, func(s *step) {
			needed := 0
			for a, at := range s.before.Owners {
				f := s.family(a)
				active := s.after.Active[f]
				switch {
				case active != 0 && (at < 0 || active&bit(at) == 0):
					needed++
				case at < 0 && s.after.Owners[a] >= 0:
					needed++ // new: somewhere, although nobody can carry it
				case at >= 0 && at != s.cfg.Addresses[a].Home && s.g.mayGoHome(f, s.cfg.Addresses[a].Home):
					needed++
				}
			}
			require.Len(t, s.moves(), needed, "%+v\n%+v\n%+v", s.event, s.before, s.after)
			for f := range Families {
				s.calls(t, f)
			}
		})
	})
}

// calls: who was called to carry data in this step, and who was relieved.
func (s *step) calls(t *rapid.T, f int) {
	for i := range each(s.before.Active[f] & s.after.Usable[f] &^ s.after.Active[f]) {
		require.True(t, s.unneeded(f, i), "%+v: %d is relieved; before %+v, after %+v", s.event, i, s.before, s.after)
	}
	lost := bits.OnesCount32(s.before.Active[f] &^ s.after.Usable[f])
	for old := range s.wasConfig.Members { // and who has left, or has another role
		now := slices.Index(s.was, old)
		if now < 0 || s.wasConfig.Members[old].Standby != s.cfg.Members[now].Standby {
			lost++
		}
	}
	was := &step{cfg: s.wasConfig}
	lost += max(0, s.normal()-was.normal()) // more are wanted
	called := s.after.Active[f] & s.before.Usable[f] &^ s.before.Active[f]
	if s.cfg.Failback && !s.wasConfig.Failback {
		for i, m := range s.cfg.Members { // who was repaired and waited for this
			if !m.Standby {
				called &^= bit(i)
			}
		}
	}
	require.LessOrEqual(t, bits.OnesCount32(called), lost, "%+v: %b are called; before %+v, after %+v", s.event, called, s.before, s.after)
}

// TestReloadOfTheSameChangesNothing: a group that is reloaded again and again does what one does that
// never is, and a reload itself moves nothing and says nothing. (Addresses that are nowhere excepted: they
// are put where they can at least be configured, as at any start.)
func TestReloadOfTheSameChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := genConfig(t)
		start := genStart(t, cfg)
		g, _ := New(cfg, 0, start)
		never, _ := New(cfg, 0, start)
		for range rapid.IntRange(1, often).Draw(t, "events") {
			if genBool.Draw(t, "reload") && !slices.Contains(g.owner, -1) {
				again := Start{Was: g, Owners: slices.Clone(g.owner)}
				same := cfg
				same.Members = slices.Clone(cfg.Members)
				for i := range cfg.Members {
					again.Members = append(again.Members, g.Carry(i))
					same.Members[i].Probed = g.members[i].probed
				}
				var actions []Action
				g, actions = New(same, 1, again)
				require.Equal(t, []Action{Publish{}}, actions, "a reload of the same")
				require.Equal(t, never.View(), g.View())
			}
			ev := genEvent(t, len(cfg.Members))
			require.Equal(t, never.Step(1, ev), g.Step(1, ev), "%+v", ev)
			require.Equal(t, never.View(), g.View())
		}
	})
}

// TestWhoAnswersIsUsable: from the step on in which a member in service with link answers, its group has
// a usable member in that family, which carries data; nothing is waited for. How soon that step comes,
// whatever repair, hold-down and flap limit say, is pkg/detect's (TestTrackerProperties there, and both
// together in cmd/ipmpd, TestEngineWhoAnswersIsUsable).
func TestWhoAnswersIsUsable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g, cfg := drawHistory(t, often, func(*step) {})
		i := rapid.IntRange(0, len(cfg.Members)-1).Draw(t, "who answers")
		for _, ev := range []Event{PresenceChanged{i, true}, Online{i}, Suspended{Member: i}, LinkChanged{i, LinkUp, ""}} {
			g.Step(1, ev)
		}
		f := genFamily.Draw(t, "family")
		g.Step(1, HealthChanged{Member: i, Family: f, Health: OK, Cause: CauseProbe})
		for k := range Family(Families) {
			if f != Both && k != f || !g.members[i].probed[k] {
				continue // a family without probes follows the other
			}
			require.NotZero(t, g.Usable(k)&bit(i), "member %d answers, family %v", i, k)
			require.NotZero(t, g.Active(k))
			for a := range cfg.Addresses {
				if FamilyOf(cfg.Addresses[a].Prefix) == k {
					require.NotZero(t, g.Active(k)&bit(g.Owner(a)))
				}
			}
		}
	})
}

// TestAllGood: when everything is reported good, whatever was before, the group is ok, the normal
// members are active, the standbys are not, and with failback every address is at home.
func TestAllGood(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g, cfg := drawHistory(t, often, func(*step) {})
		for _, ev := range everythingGood(len(cfg.Members)) {
			g.Step(1, ev)
		}
		v := g.View()
		require.Equal(t, GroupOK, v.State)
		if !cfg.Failback {
			return
		}
		normal := (&step{cfg: cfg}).normal()
		for i, m := range v.Members {
			require.True(t, normal == 0 || m.Active == !cfg.Members[i].Standby, "member %d active: %v", i, m.Active)
		}
		for a, at := range g.Placement().Owners {
			if home := cfg.Addresses[a].Home; home >= 0 {
				require.Equal(t, home, at, "address %d is not at home", a)
			}
		}
	})
}

// TestContingencyIsWhatStepDoes: what is prepared for the loss of a member is what comes of it, in
// whichever way it is lost, and asking for it changes nothing.
func TestContingencyIsWhatStepDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		drawHistory(t, often, func(s *step) {
			g := s.g
			for i := range s.cfg.Members {
				for _, f := range []Family{IPv4, IPv6, Both} {
					if g.Usable(f)&bit(i) == 0 {
						continue
					}
					want := g.Contingency(i, f)
					require.Equal(t, s.view, g.View(), "asking for it changed the group")
					require.Equal(t, s.after, g.Placement(), "asking for it changed the group")
					for name, events := range waysToLose(g, i, f) {
						lost := g.clone()
						for _, ev := range events {
							lost.Step(1, ev)
						}
						require.Equal(t, want, lost.Placement(), "%s: %d %v", name, i, f)
					}
				}
			}
		})
	})
}

// waysToLose a member's family, by name, as the engine tells of it.
func waysToLose(g *Group, i int, f Family) map[string][]Event {
	verdict := HealthChanged{Member: i, Family: f, Health: Failed, Cause: CauseProbe, Detail: "both"}
	if f != Both {
		return map[string][]Event{"verdict": {verdict}}
	}
	ways := map[string][]Event{
		"link": {HealthChanged{Member: i, Family: Both, Health: Failed, Cause: CauseLink, Detail: "carrier"}, LinkChanged{i, LinkDown, "carrier"}},
		"gone": {PresenceChanged{i, false}},
	}
	for probed, other := range []Family{IPv6, IPv4} {
		if g.members[i].probed[probed] && !g.members[i].probed[other] {
			// The kernel takes both bits away; the engine is told of the family that has the probes.
			verdict.Family = Family(probed)
			ways["verdict on the one family that is probed"] = []Event{verdict}
		}
	}
	return ways
}

// TestStepIsDeterministic: the same events and reloads give the same answers.
func TestStepIsDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var twin *Group
		cfg := genConfig(t)
		start := genStart(t, cfg)
		g, _ := New(cfg, 0, start)
		twin, _ = New(cfg, 0, start)
		for range rapid.IntRange(1, often).Draw(t, "steps") {
			if rapid.IntRange(0, 7).Draw(t, "reload") == 0 {
				r := genReload(t, g)
				theirs := Start{Was: twin, Owners: r.start.Owners, Members: slices.Clone(r.start.Members)}
				for i, old := range r.was {
					if old >= 0 {
						theirs.Members[i] = twin.Carry(old)
						theirs.Members[i].Suspended = r.start.Members[i].Suspended
					}
				}
				next, actions := New(r.cfg, 1, r.start)
				after, same := New(r.cfg, 1, theirs)
				require.Equal(t, actions, same)
				g, twin, cfg = next, after, r.cfg
			} else {
				ev := genEvent(t, len(cfg.Members))
				require.Equal(t, g.Step(1, ev), twin.Step(1, ev))
			}
			require.Equal(t, g.View(), twin.View())
		}
	})
}

// TestAnyOrder: events in any order, also such as make no sense, never panic, and after each the group
// is what the contract says, its actions are what happened, and so is its history (see checker).
func TestAnyOrder(t *testing.T) { rapid.Check(t, anyOrder) }

// FuzzAnyOrder is the same, steered by coverage.
func FuzzAnyOrder(f *testing.F) { f.Fuzz(rapid.MakeFuzz(anyOrder)) }

func anyOrder(t *rapid.T) {
	cfg := genConfig(t)
	c := newChecker(t, cfg, genStart(t, cfg))
	for range rapid.IntRange(1, often).Draw(t, "steps") {
		if rapid.IntRange(0, 7).Draw(t, "reload") == 0 {
			c.reload(genReload(t, c.g))
		} else {
			c.step(genEvent(t, len(c.cfg.Members)))
		}
	}
	for _, ev := range everythingGood(len(c.cfg.Members)) {
		c.step(ev)
	}
	require.False(t, c.failure, "a group failure without its end")
	for _, failed := range c.open {
		require.False(t, failed, "a failover without its repair")
	}
}

// TestSurvivors: every other member once; usable before not usable, active before not active.
func TestSurvivors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g, cfg := drawHistory(t, 10, func(*step) {})
		view := g.View()
		for i := range cfg.Members {
			for f := range Family(Families) {
				rank := func(m int) int {
					v := view.Members[m].Families[f]
					return map[[2]bool]int{{true, true}: 0, {true, false}: 1, {false, false}: 2}[[2]bool{v.Usable, v.Active}]
				}
				var seen uint32
				order := g.Survivors(i, f)
				for k, m := range order {
					require.NotEqual(t, i, m)
					require.Zero(t, seen&bit(m), "twice: %v", order)
					seen |= bit(m)
					require.True(t, k == 0 || rank(order[k-1]) <= rank(m), "order %v of %d", order, i)
				}
				require.Equal(t, g.Usable(f)&^bit(i), seen&g.Usable(f), "not all usable members")
			}
		}
	})
}
