// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"net/netip"
	"slices"
)

// gate is one way out of a group: on link (the zero via) or through one gateway, in one family.
// All routes that go this way go through its nexthop group, so one message re-points them.
type gate struct {
	group  *Group
	family int
	via    netip.Addr
	number int
	// src is the preferred source of the first route that goes this way.
	src netip.Addr
	// standing says that its routes have a second one through the standing group.
	standing bool
	// parts are the ways by one gateway each that this one spreads over, with their weights; nil: it is
	// such a way itself.
	parts   []*gate
	weights []int
	// routed: a route goes this way. Else it is only a part of another.
	routed bool
}

// each of the ways by one gateway that this one has.
func (g *gate) each() []*gate {
	if g.parts == nil {
		return []*gate{g}
	}
	return g.parts
}

func (g *gate) id(what int) uint32 { return nexthopID(g.group.Slot, g.family, g.number, what) }

// ours says whether id is free or ours: it carries our protocol number, or somebody has replaced what
// our routes or groups go through, which takes the number away. That of others stays.
func (p *planner) ours(id uint32) bool {
	n, exists := p.m.nexthops[id]
	return !exists || n.Protocol == Protocol || p.used()[id]
}

// used are the ids that routes of ours go through, and groups of those or of ours. It is made when
// an id is found that somebody else has.
func (p *planner) used() map[uint32]bool {
	if p.usedIDs != nil {
		return p.usedIDs
	}
	p.usedIDs = make(map[uint32]bool)
	for _, list := range p.m.routes {
		for _, r := range list {
			if r.Protocol == Protocol && r.NHID != 0 {
				p.usedIDs[r.NHID] = true
			}
		}
	}
	for id, n := range p.m.nexthops {
		if n.Protocol == Protocol || p.usedIDs[id] {
			for _, hop := range n.Hops {
				p.usedIDs[hop] = true
			}
		}
	}
	return p.usedIDs
}

// setNexthops makes the device nexthops of all members that the kernel accepts one over, whether
// they carry traffic now or not: then a failover is one message.
func (p *planner) setNexthops(g *gate) {
	if g.parts != nil {
		return // theirs
	}
	for i := range g.group.Members {
		m := &g.group.Members[i]
		id := g.id(i)
		if !p.sends(m) || !p.ours(id) || g.via.Is4() && p.m.ipv4 == 0 {
			continue
		}
		if n, ok := p.m.nexthops[id]; ok && n.Protocol == Protocol && n.Link == m.Index && n.Gateway == g.via {
			continue
		}
		p.do(Op{Kind: SetNexthop, Group: g.group.Slot, ID: id, Link: m.Index, LinkName: m.Name, Gateway: g.via,
			Why: "next hop of the group over this member"})
	}
}

func (p *planner) setNexthopGroups(g *gate) {
	primary, standing := g.id(idGroup), g.id(idStanding)
	if !g.routed || !p.ours(primary) || !p.ours(standing) {
		return
	}
	carriers := p.carriers(g)
	if len(carriers) == 0 {
		// Nobody to send by: all stays as it is.
		g.standing = len(p.m.nexthops[standing].Hops) > 0
		return
	}
	p.setGroup(g, primary, carriers, "members that carry outgoing traffic")
	if len(carriers) > 1 {
		return
	}
	// The kernel deletes a group over one member, and every route through it, with the carrier of that one.
	// A second route of a higher metric lets it fall through by itself until we have seen it.
	g.standing = len(p.m.nexthops[standing].Hops) > 0 && p.within(g, standing)
	if next := p.standby(g, carriers[0]); next >= 0 {
		g.standing = true
		p.setGroup(g, standing, []int{next}, "what the kernel falls through to when the only member loses its link")
	}
}

// within says whether all nexthops of a group are over members of g: not over one that has left.
func (p *planner) within(g *gate, id uint32) bool {
	for _, hop := range p.m.nexthops[id].Hops {
		over := p.m.nexthops[hop].Link
		if !slices.ContainsFunc(g.group.Members, func(m Member) bool { return m.Index == over }) {
			return false
		}
	}
	return true
}

func (p *planner) setGroup(g *gate, id uint32, members []int, why string) {
	hops, weights := p.hops(g, members)
	if is := p.m.nexthops[id]; is.Protocol != Protocol || !slices.Equal(is.Hops, hops) || !slices.Equal(is.Weights, weights) {
		p.do(Op{Kind: SetNexthopGroup, Group: g.group.Slot, ID: id, Hops: hops, Weights: weights, Why: why})
	}
}

// hops are the nexthops of g over members, to each gateway over each of them.
func (p *planner) hops(g *gate, members []int) (ids []uint32, weights []int) {
	for _, i := range members {
		if len(ids)+len(g.parts) > resilientBuckets {
			break // more than there are buckets would get none
		}
		for j, part := range g.each() {
			if !p.over(part, i) {
				continue
			}
			ids = append(ids, part.id(i))
			if g.parts != nil {
				weights = append(weights, g.weights[j])
			}
		}
	}
	return ids, evenly(weights)
}

// evenly is nil for weights that are all 1, as they are where nobody gives any.
func evenly(weights []int) []int {
	if !slices.ContainsFunc(weights, func(w int) bool { return w != 1 }) {
		return nil
	}
	return weights
}

// over says whether the nexthop of a way by one gateway over member i is there.
func (p *planner) over(g *gate, i int) bool {
	n, exists := p.m.nexthops[g.id(i)]
	return exists && n.Protocol == Protocol && n.Link == g.group.Members[i].Index
}

// carriers are the members that carry the traffic of g, none: leave the group as it is.
func (p *planner) carriers(g *gate) []int {
	members := g.group.Members
	active := p.able(g, func(i int) bool { return members[i].Active[g.family] })
	if len(active) == 0 {
		active = p.able(g, func(i int) bool { return members[i].Usable[g.family] })
	}
	if len(active) == 0 {
		if len(p.m.nexthops[g.id(idGroup)].Hops) > 0 {
			return nil
		}
		// Nothing is there that could stay: whatever has link is better than no route.
		active = p.able(g, func(int) bool { return true })
	}
	own := filter(active, func(i int) bool { return ownAddress(&members[i], g.family) })
	if !g.group.Spread {
		if owner := p.owner(g); slices.Contains(active, owner) {
			return []int{owner}
		}
		for _, list := range [][]int{own, active} {
			if len(list) > 0 {
				return list[:1]
			}
		}
		return nil
	}
	// A member without an address of its own would send its ARP requests from a data address that
	// lives elsewhere, and pull it over.
	if len(own) == 0 {
		own = filter(active, func(i int) bool {
			return slices.ContainsFunc(g.group.Addresses, func(a Address) bool {
				return a.Member == i && familyOf(a.Prefix.Addr()) == g.family
			})
		})
	}
	if len(own) == 0 {
		own = active
	}
	return own
}

// able are the members, in file order, that a nexthop exists for and that ok accepts.
func (p *planner) able(g *gate, ok func(int) bool) []int {
	var list []int
	for i := range g.group.Members {
		m := &g.group.Members[i]
		if ok(i) && p.sends(m) && slices.ContainsFunc(g.each(), func(part *gate) bool { return p.over(part, i) }) {
			list = append(list, i)
		}
	}
	return list
}

// owner is the member that carries the source of the way's first route, -1 for none.
func (p *planner) owner(g *gate) int {
	for _, a := range g.group.Addresses {
		if a.Prefix.Addr() == g.src {
			return a.Member
		}
	}
	return -1
}

// standby is the member to fall through to when the carrier goes: an active one before a standby, in
// file order; -1 for none.
func (p *planner) standby(g *gate, carrier int) int {
	members := g.group.Members
	for _, ok := range []func(int) bool{
		func(i int) bool { return members[i].Active[g.family] },
		func(i int) bool { return members[i].Usable[g.family] },
	} {
		for _, i := range p.able(g, ok) {
			if i != carrier {
				return i
			}
		}
	}
	return -1
}

// deleteNexthops deletes ours that nothing needs any more: groups first, as a nexthop that goes
// takes itself out of its groups.
func (p *planner) deleteNexthops() {
	keep := make(map[uint32]bool)
	for _, g := range p.gates {
		keep[g.id(idGroup)] = g.routed
		if g.standing {
			keep[g.id(idStanding)] = true
		}
		for i, m := range g.group.Members {
			// One over an interface that has lost its name is not kept.
			keep[g.id(i)] = p.m.nexthops[g.id(i)].Link == m.Index
		}
	}
	for _, list := range p.m.routes {
		for _, r := range list {
			keep[r.NHID] = true
		}
	}
	var groups, hops []uint32
	for id, n := range p.m.nexthops {
		switch {
		case len(n.Hops) > 0 && (keep[id] || n.Protocol != Protocol):
			for _, hop := range n.Hops {
				keep[hop] = true
			}
		case len(n.Hops) > 0:
			groups = append(groups, id)
		}
	}
	for id, n := range p.m.nexthops {
		if len(n.Hops) == 0 && n.Protocol == Protocol && !keep[id] {
			hops = append(hops, id)
		}
	}
	slices.Sort(groups)
	slices.Sort(hops)
	for _, id := range append(groups, hops...) {
		p.do(Op{Kind: DeleteNexthop, Group: int(id >> 18 & 63), ID: id, Why: "no route of the configuration goes this way any more"})
	}
}

func filter(list []int, ok func(int) bool) []int {
	var kept []int
	for _, i := range list {
		if ok(i) {
			kept = append(kept, i)
		}
	}
	return kept
}
