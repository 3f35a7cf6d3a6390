// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"slices"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/detect"
	"github.com/ipmpd/ipmpd/pkg/group"
)

// inheritance is what a unit takes over from the one of the same group that it replaces.
type inheritance struct {
	was    *unit
	states map[int]group.MemberStart // by member, in the new file order
	probes map[*member]probedAs
	owners []int // by address: a member that stays, or -1
	used   []int // the same, -1 also where the address was not in use
	known  []bool
}

// probedAs is what an instance is to its target: another one is judged anew.
type probedAs struct {
	kind   [bpf.Families]detect.Kind
	source [bpf.Families]netip.Addr
}

func (m *member) probedAs() (p probedAs) {
	p.kind = m.kind
	for f := range p.source {
		p.source[f] = m.test(f)
	}
	return p
}

// inherit from a unit: members that stay are the same, with all that is known of them. The old unit is
// of no use afterwards, but to ask where its addresses were.
func (u *unit) inherit(was *unit) *inheritance {
	in := &inheritance{was: was, states: map[int]group.MemberStart{}, probes: map[*member]probedAs{}}
	for i, m := range u.members {
		at := slices.IndexFunc(was.members, func(o *member) bool { return o.cfg.Name == m.cfg.Name })
		if at < 0 {
			continue
		}
		old := was.members[at]
		in.states[i] = was.state.Carry(at)
		in.probes[old] = old.probedAs()
		old.cfg, old.index = m.cfg, i
		u.members[i] = old
	}
	in.findOwners(u)
	u.inheritSides(was)
	u.pending = was.pending
	u.adopted, u.beside = was.adopted, was.beside
	u.tracker = was.tracker
	u.tracker.Configure(u.settings())
	for ip, number := range was.owners {
		if u.address(ip) >= 0 {
			u.owners[ip] = number
		}
	}
	return in
}

// findOwners: where the addresses that the old unit had are now, in the new one's terms.
func (in *inheritance) findOwners(u *unit) {
	for _, a := range u.cfg.Addresses {
		owner, used := -1, -1
		at := in.was.address(a.Prefix.Addr())
		if at >= 0 {
			if o := in.was.state.Owner(at); o >= 0 && slices.Contains(u.members, in.was.members[o]) {
				owner = in.was.members[o].index
			}
			if !in.was.isHeld(at) {
				used = owner
			}
		}
		in.owners, in.used, in.known = append(in.owners, owner), append(in.used, used), append(in.known, at >= 0)
	}
}

func (u *unit) inheritSides(was *unit) {
	for f := range u.side {
		s, old := &u.side[f], &was.side[f]
		s.used = s.used || u.monitors() && old.used
		if !s.used || !old.used {
			continue
		}
		adapt := s.adapt
		*s = *old
		if old.adapt.Configured != adapt.Configured || old.adapt.Enabled != adapt.Enabled {
			s.adapt, s.said = adapt, 0
		}
	}
}

// start of the group's state machine: what stays goes on, what is new starts as at a start.
func (in *inheritance) start(st group.Start) group.Start {
	st.Was = in.was.state
	for i, known := range in.states {
		st.Members[i] = known
	}
	for i, known := range in.known {
		if known {
			st.Owners[i] = in.owners[i]
		}
	}
	return st
}

// hold addresses as before: those that were in use stay so; of those that were not, it is still known
// who has them.
func (in *inheritance) hold(u *unit) {
	for i, a := range u.cfg.Addresses {
		if !in.known[i] || !u.isHeld(i) {
			continue
		}
		if at := in.was.address(a.Prefix.Addr()); in.was.isHeld(at) {
			u.held[i].by, u.held[i].again = in.was.held[at].by, in.was.held[at].again
		} else {
			u.held[i] = nil
			delete(u.owners, a.Prefix.Addr()) // what the map lost by being held is written again
		}
	}
	for _, t := range in.was.unasked {
		stays := slices.Contains(u.members, t.m) && slices.Contains(t.m.cfg.Test, t.prefix)
		if u.cfg.DuplicateCheck && stays && !slices.Contains(u.unasked, t) {
			u.unasked = append(u.unasked, t)
		}
	}
}

// succeed the member that the interface was in another group: what belongs to the interface stays.
func (m *member) succeed(u *unit, from *member) {
	m.ifindex, m.mac, m.linkLocal = from.ifindex, from.mac, from.linkLocal
	for f := range m.leftFailed {
		state, _, _ := u.tracker.State(from.number, detect.Family(f))
		m.leftFailed[f] = state == detect.Failed
	}
	m.attachment, m.attachedAs, m.attachErr = from.attachment, from.attachedAs, from.attachErr
	m.link, m.linkAt, m.flaps = from.link, from.linkAt, from.flaps
	from.attachment = nil
}

// address with an IP, by its place in the file; -1: none.
func (u *unit) address(ip netip.Addr) int {
	for i, a := range u.cfg.Addresses {
		if a.Prefix.Addr() == ip {
			return i
		}
	}
	return -1
}

// usableBits of a family: whoever may take over from somebody who leaves.
func (u *unit) usableBits(family int) []uint8 {
	var first, rest []uint8
	active, usable := u.state.Active(group.Family(family)), u.state.Usable(group.Family(family))
	for i, m := range u.members {
		switch {
		case active&(1<<i) != 0:
			first = append(first, uint8(m.bit))
		case usable&(1<<i) != 0:
			rest = append(rest, uint8(m.bit))
		}
	}
	return append(first, rest...)
}

// named by the unit: its data and test addresses.
func (u *unit) named() []netip.Addr {
	var list []netip.Addr
	for _, a := range u.cfg.Addresses {
		list = append(list, a.Prefix.Addr())
	}
	if u.monitors() {
		return nil // its addresses are the host's
	}
	for _, m := range u.cfg.Interfaces {
		for _, p := range m.Test {
			list = append(list, p.Addr())
		}
	}
	return list
}

// succeedRoutes takes over the adopted routes of groups that are gone and had one of the new group's
// interfaces: a group that is only renamed keeps its routes.
func (n *successor) succeedRoutes(was, units []*unit) {
	for _, u := range was {
		if slices.Contains(units, u) || slices.ContainsFunc(units, func(o *unit) bool { return o.cfg.Name == u.cfg.Name }) {
			continue
		}
		if slices.ContainsFunc(u.members, func(m *member) bool {
			return slices.ContainsFunc(n.members, func(o *member) bool { return o.cfg.Name == m.cfg.Name })
		}) {
			n.remember(u.adopted)
		}
	}
}
