// SPDX-License-Identifier: Apache-2.0

package group

import "slices"

// Placement is where everything would be.
type Placement struct {
	// Owners by address; -1: nobody.
	Owners         []int
	Usable, Active [Families]uint32
}

// Placement of now.
func (g *Group) Placement() Placement {
	p := Placement{Owners: slices.Clone(g.owner)}
	for f, s := range g.set {
		p.Usable[f], p.Active[f] = s.usable, s.active
	}
	return p
}

// Contingency is the placement after a failure of that member's family now (Both: of its link).
// It runs the code of Step on a copy, so that what is prepared is what will be wanted. Of a member
// out of range, or not usable, it is the placement of now or what comes of losing it for good.
func (g *Group) Contingency(member int, f Family) Placement {
	if !g.valid(member) {
		return g.Placement()
	}
	c := g.clone()
	ev := HealthChanged{Member: member, Family: f, Health: Failed, Cause: CauseProbe}
	if f == Both {
		ev.Cause = CauseLink
	}
	if c.apply(ev) {
		c.settle(ev)
	}
	return c.Placement()
}

// clone copies everything that settle changes; Config is shared and never written.
func (g *Group) clone() *Group {
	c := *g
	c.members = slices.Clone(g.members)
	c.owner = slices.Clone(g.owner)
	c.load = slices.Clone(g.load)
	return &c
}

// Survivors of a member in the order in which they take over its traffic before anything else is
// done: the active ones by fewest addresses, those without a verdict after the others; then usable
// ones that are not active, in the order in which they would be called; then, as a last resort,
// others in service with link. For one family: of Both, and of a member out of range, there are none.
func (g *Group) Survivors(member int, f Family) []int {
	if !g.valid(member) || f >= Families {
		return nil
	}
	s := g.set[f]
	var order []int
	add := func(mask uint32, before func(a, b int) bool) {
		start := len(order)
		for i := range each(mask &^ bit(member)) {
			order = append(order, i)
		}
		slices.SortStableFunc(order[start:], func(a, b int) int {
			switch {
			case before(a, b):
				return -1
			case before(b, a):
				return 1
			default:
				return 0
			}
		})
	}
	standbyFirst := func(a, b int) bool { return g.cfg.Members[a].Standby && !g.cfg.Members[b].Standby }
	add(s.active&s.ready, g.before)
	add(s.active&^s.ready, g.before)
	add(s.usable&^s.active, standbyFirst)
	add(g.linked()&^s.usable, func(int, int) bool { return false })
	return order
}

// linked: in service and with link.
func (g *Group) linked() uint32 {
	var mask uint32
	for i := range g.members {
		if g.serves(i) && g.members[i].link == LinkUp {
			mask |= bit(i)
		}
	}
	return mask
}
