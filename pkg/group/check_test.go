// SPDX-License-Identifier: Apache-2.0

package group

import (
	"fmt"
	"math/bits"
	"slices"

	"pgregory.net/rapid"
)

// checker holds a group to the contract from outside: by its View, its Placement and its actions.
type checker struct {
	t        *rapid.T
	cfg      Config
	g        *Group
	before   Placement
	view     View
	open     map[string]bool // failures in the history without their repair, by member and family
	failure  bool            // the same of the group
	returned map[int]bool    // put back online: goes home also without failback
}

func newChecker(t *rapid.T, cfg Config, start Start) *checker {
	g, actions := New(cfg, 0, start)
	c := &checker{t: t, cfg: cfg, g: g, open: map[string]bool{}, returned: map[int]bool{}}
	if len(actions) == 0 || actions[0] != (Publish{}) {
		t.Fatalf("New does not publish: %v", actions)
	}
	c.before, c.view = g.Placement(), g.View()
	c.states()
	c.places()
	for i, m := range c.view.Members {
		for f := range m.Families {
			c.open[c.key(i, f)] = m.Families[f].State.broken()
		}
	}
	return c
}

func (c *checker) key(member, f int) string { return fmt.Sprintf("%d.%d", member, f) }

func (c *checker) must(ok bool, format string, args ...any) {
	if !ok {
		c.t.Fatalf("%s\n%+v\n%+v", fmt.Sprintf(format, args...), c.view, c.g.View())
	}
}

// reload puts the group under another configuration.
func (c *checker) reload(r *reload) {
	g, actions := New(r.cfg, 1, r.start)
	was := c.open
	c.g, c.cfg, c.open, c.view = g, r.cfg, map[string]bool{}, g.View()
	c.must(len(actions) > 0 && actions[0] == Action(Publish{}), "New does not publish: %v", actions)
	for i, old := range r.was {
		for f := range Families {
			c.open[c.key(i, f)] = was[c.key(old, f)] // a failure goes on; it is not told again
			if old < 0 {
				c.open[c.key(i, f)] = c.view.Members[i].Families[f].State.broken()
			}
		}
	}
	c.returned = r.returned(c.returned)
	for _, a := range actions {
		if r, ok := a.(Record); ok {
			c.record(r)
		}
	}
	c.before = g.Placement()
	c.states()
	c.places()
}

// step applies an event and checks everything.
func (c *checker) step(ev Event) []Action {
	actions := c.g.Step(1, ev)
	note(c.returned, ev)
	c.moves(actions)
	c.changes(actions)
	c.records(actions)
	c.before, c.view = c.g.Placement(), c.g.View()
	c.states()
	c.places()
	return actions
}

// states: usable and active as in the table of contract section 1, and what the group is.
func (c *checker) states() {
	all, some := true, false
	for i, m := range c.view.Members {
		for f, v := range m.Families {
			usable := v.State == StateOK || v.State == StateUnknown && m.Link == LinkUp
			c.must(v.Usable == usable, "member %d family %d: usable %v", i, f, v.Usable)
			c.must(v.Usable || !v.Active, "member %d family %d: active, not usable", i, f)
			c.must(m.Link != LinkDown || !usable, "member %d: usable without link", i)
			all, some = all && usable, some || usable
			c.must((c.g.Usable(Family(f))&bit(i) != 0) == v.Usable, "mask of usable")
			c.must((c.g.Active(Family(f))&bit(i) != 0) == v.Active, "mask of active")
		}
	}
	want := map[bool]GroupState{true: GroupOK, false: GroupDegraded}[all]
	if !some {
		want = GroupDown
	}
	c.must(c.view.State == want, "group is %v, not %v", c.view.State, want)
	normal := 0
	for _, m := range c.cfg.Members {
		if !m.Standby {
			normal++
		}
	}
	for f := range Families {
		usable, active := c.before.Usable[f], c.before.Active[f]
		c.must(usable == 0 || active != 0, "nobody active")
		proved := 0
		for i, m := range c.view.Members {
			if active&bit(i) != 0 && !c.cfg.Members[i].Standby && m.Families[f].State == StateOK {
				proved++
			}
		}
		for i, m := range c.cfg.Members {
			c.must(!m.Standby || active&bit(i) == 0 || normal == 0 || proved < normal,
				"standby %d active beside all %d normal members", i, normal)
		}
	}
}

// places: every address is on one member that is active, whenever there is one.
func (c *checker) places() {
	for a, at := range c.before.Owners {
		f := FamilyOf(c.cfg.Addresses[a].Prefix)
		c.must(at == c.g.Owner(a) && at == c.view.Addresses[a].Owner, "owner of %d", a)
		if c.before.Active[f] != 0 {
			c.must(at >= 0 && c.before.Active[f]&bit(at) != 0, "address %d is on %d, which is not active", a, at)
			c.must(c.view.Addresses[a].Up, "address %d is down", a)
		}
		c.must(c.view.State != GroupDown || !c.view.Addresses[a].Up, "address %d is up in a failed group", a)
	}
}

// moves: each has a reason, each changes one owner, no other owner changes, and who takes an
// address had the fewest.
func (c *checker) moves(actions []Action) {
	now := c.g.Placement()
	load := make([]int, len(c.cfg.Members))
	for _, at := range c.before.Owners {
		if at >= 0 {
			load[at]++
		}
	}
	owners := slices.Clone(c.before.Owners)
	for _, homeFirst := range []bool{true, false} {
		for _, action := range actions {
			m, ok := action.(Move)
			if !ok {
				continue
			}
			f := FamilyOf(c.cfg.Addresses[m.Address].Prefix)
			home := c.cfg.Addresses[m.Address].Home
			if (m.To == home && c.g.mayGoHome(int(f), home)) != homeFirst {
				continue
			}
			c.must(owners[m.Address] == m.From && m.From != m.To, "%+v: was on %d", m, owners[m.Address])
			c.must(now.Active[f]&bit(m.To) != 0, "%+v: to a member that is not active", m)
			stranded := m.From < 0 || now.Active[f]&bit(m.From) == 0
			c.must(stranded || c.goesHome(m), "%+v: without a reason", m)
			owners[m.Address] = m.To
			if m.From >= 0 {
				load[m.From]--
			}
			if !homeFirst {
				for i := range c.cfg.Members {
					c.must(c.g.set[f].ready&now.Active[f]&bit(i) == 0 || load[m.To] <= load[i],
						"%+v: %d has fewer", m, i)
				}
			}
			load[m.To]++
		}
	}
	c.must(slices.Equal(owners, now.Owners), "owners %v, by moves %v", now.Owners, owners)
	changed := now.Usable != c.before.Usable || now.Active != c.before.Active || !slices.Equal(owners, c.before.Owners)
	published := slices.Contains(actions, Action(Publish{}))
	c.must(changed == published, "published %v", published)
	c.must(!published || actions[0] == Action(Publish{}), "publish is not first")
}

// goesHome: a move that failback, or the operator's online, explains.
func (c *checker) goesHome(m Move) bool {
	home := c.cfg.Addresses[m.Address].Home
	f := FamilyOf(c.cfg.Addresses[m.Address].Prefix)
	return m.To == home && (c.cfg.Failback || c.returned[home]) && c.g.set[f].ready&bit(home) != 0
}

// changes: what was announced is what happened.
func (c *checker) changes(actions []Action) {
	after := c.g.View()
	state := map[string]State{}
	for i, m := range c.view.Members {
		for f := range m.Families {
			state[c.key(i, f)] = m.Families[f].State
		}
	}
	for _, action := range actions {
		switch a := action.(type) {
		case MemberChanged:
			for f := range Families {
				if a.Family == Both || int(a.Family) == f {
					c.must(state[c.key(a.Member, f)] == a.Old && a.Old != a.New, "%+v: was %v", a, state[c.key(a.Member, f)])
					state[c.key(a.Member, f)] = a.New
				}
			}
		case GroupChanged:
			c.must(a.Old == c.view.State && a.New == after.State && a.Old != a.New, "%+v", a)
		}
	}
	for i, m := range after.Members {
		for f := range m.Families {
			c.must(state[c.key(i, f)] == m.Families[f].State, "member %d family %d changed without a word", i, f)
		}
	}
}

// records: failures and repairs alternate, and every move is in exactly one entry.
func (c *checker) records(actions []Action) {
	var moves, recorded []Move
	for _, action := range actions {
		switch a := action.(type) {
		case Move:
			moves = append(moves, a)
		case Record:
			recorded = append(recorded, a.Moved...)
			c.record(a)
		}
	}
	slices.SortFunc(recorded, func(a, b Move) int { return a.Address - b.Address })
	c.must(slices.Equal(moves, recorded), "moves %v, in the history %v", moves, recorded)
}

func (c *checker) record(r Record) {
	c.must(r.Cause != CauseNone, "%+v: no cause", r)
	for f := range Families {
		if r.Family != Both && int(r.Family) != f {
			continue
		}
		switch r.Kind {
		case KindFailover:
			c.must(!c.open[c.key(r.Member, f)], "%+v: failed before", r)
			c.open[c.key(r.Member, f)] = true
		case KindRepair:
			c.must(c.g.Usable(Family(f))&bit(r.Member) != 0, "%+v: not usable", r)
			c.open[c.key(r.Member, f)] = false
		}
	}
	switch r.Kind {
	case KindGroupFailure, KindGroupRepair:
		c.must(c.failure == (r.Kind == KindGroupRepair), "%+v twice", r)
		c.failure = r.Kind == KindGroupFailure
		c.must(c.failure || c.g.Usable(Both)&bit(r.Member) != 0, "%+v: not usable", r)
		c.must(c.failure == (bits.OnesCount32(c.g.Usable(Both)) == 0), "%+v: usable %b", r, c.g.Usable(Both))
	}
}
