// SPDX-License-Identifier: Apache-2.0

package group

import "math/bits"

// startActive chooses the active members at the start: all normal ones, but for those that a former
// run left inactive, then standbys while there are fewer than N (spec 5.4, "first sight"). Under
// another configuration, whoever carried data goes on, unless it is not needed any more.
func (g *Group) startActive(start Start) {
	for f := range g.set {
		var joining []int
		for i := range g.members {
			if g.startInactive(f, i, start) {
				joining = append(joining, i)
			}
		}
		g.refreshActive(f)
		for _, i := range joining {
			g.join(f, i, start.Members[i].known.suspended != "")
		}
		for range g.departed(f, start) {
			if bits.OnesCount32(g.set[f].active) < g.normal {
				g.activateOne(f, false)
			}
		}
		for bits.OnesCount32(g.set[f].active) < g.normal && g.activateOne(f, true) {
		}
		g.letGo(f)
		g.neverNone(f)
	}
}

// startInactive says whether a usable member is inactive at first; true: it has become usable by
// another configuration, and joins as in any step.
func (g *Group) startInactive(f, i int, start Start) (joins bool) {
	m, standby := &g.members[i], g.cfg.Members[i].Standby
	var s MemberStart
	if i < len(start.Members) {
		s = start.Members[i]
	}
	usable := g.set[f].usable&bit(i) != 0
	switch {
	case s.known == nil:
		m.inactive[f] = usable && (standby || s.Inactive[f] && !g.cfg.Failback)
	case !usable:
		m.inactive[f] = false
	case !s.known.usable(f):
		m.inactive[f] = true
		return true
	case !standby && g.cfg.Failback:
		m.inactive[f] = false
	}
	return false
}

// departed counts the active members that have not come along to another configuration, or are not usable
// under it.
func (g *Group) departed(f int, start Start) int {
	if start.Was == nil {
		return 0
	}
	n := bits.OnesCount32(start.Was.set[f].active)
	for i := range each(g.set[f].usable) {
		if i < len(start.Members) {
			if m := start.Members[i].known; m != nil && m.usable(f) && !m.inactive[f] {
				n--
			}
		}
	}
	return max(n, 0)
}

// activate follows spec 5.4 after a change of the usable members, each family for itself.
func (g *Group) activate(old [Families]sets, online bool) {
	for f := range g.set {
		s := &g.set[f]
		lost := old[f].usable &^ s.usable
		for i := range each(lost) {
			g.members[i].inactive[f] = false
		}
		g.refreshActive(f)
		// For each active member lost, one that is not. More than N are active only while a member
		// that came back is not proved good; then nothing has to take its place.
		for range each(lost & old[f].active) {
			if bits.OnesCount32(s.active) < g.normal {
				g.activateOne(f, false)
			}
		}
		for i := range each(s.usable &^ old[f].usable) {
			g.join(f, i, online)
		}
		g.letGo(f)
		g.neverNone(f)
	}
}

// isReturn: somebody comes back who had not failed, so that failback has no say.
func isReturn(ev Event) bool {
	switch e := ev.(type) {
	case Online:
		return true
	case Suspended:
		return e.Detail == ""
	default:
		return false
	}
}

// join decides whether a member that became usable carries data. That the first one after a group
// failure does, whatever failback says, neverNone sees to.
func (g *Group) join(f, i int, online bool) {
	m := &g.members[i]
	others := g.set[f].active &^ bit(i)
	if g.cfg.Members[i].Standby {
		m.inactive[f] = bits.OnesCount32(others) >= g.normal
	} else {
		m.inactive[f] = !(online || g.cfg.Failback || !m.seen[f])
	}
	m.seen[f] = true
	m.returning = m.returning && !m.inactive[f]
	g.refreshActive(f)
}

// activateOne of the usable members that are not active: standbys first, in file order.
func (g *Group) activateOne(f int, standbysOnly bool) bool {
	s := g.set[f]
	for _, standby := range []bool{true, false} {
		if !standby && standbysOnly {
			break
		}
		for i := range each(s.usable &^ s.active) {
			if g.cfg.Members[i].Standby == standby {
				g.members[i].inactive[f] = false
				g.refreshActive(f)
				return true
			}
		}
	}
	return false
}

// letGo standbys that stand in for nobody: N others are active and proved good. First the one with
// the fewest addresses that then have to go elsewhere than home; of equals the last in file order,
// as the first is called first.
func (g *Group) letGo(f int) {
	for {
		s := g.set[f]
		least, one := 0, -1
		for i := range each(s.active) {
			others := s.active & s.ready &^ bit(i)
			if !g.cfg.Members[i].Standby || bits.OnesCount32(others) < max(g.normal, 1) {
				continue
			}
			if n := g.homeless(f, i); one < 0 || n <= least {
				least, one = n, i
			}
		}
		if one < 0 {
			return
		}
		g.members[one].inactive[f] = true
		g.refreshActive(f)
	}
}

// homeless addresses of a member: those that do not go home now.
func (g *Group) homeless(f, member int) int {
	n := 0
	for a, at := range g.owner {
		if at == member && g.family(a) == f && !g.mayGoHome(f, g.cfg.Addresses[a].Home) {
			n++
		}
	}
	return n
}

// neverNone: while a member is usable, one is active.
func (g *Group) neverNone(f int) {
	if g.set[f].active == 0 {
		g.activateOne(f, false)
	}
}

func (g *Group) refreshActive(f int) {
	s := &g.set[f]
	s.active = 0
	for i := range g.members {
		if s.usable&bit(i) != 0 && !g.members[i].inactive[f] {
			s.active |= bit(i)
		}
	}
}

// each member of a mask, in file order.
func each(mask uint32) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for ; mask != 0; mask &= mask - 1 {
			if !yield(bits.TrailingZeros32(mask)) {
				return
			}
		}
	}
}
