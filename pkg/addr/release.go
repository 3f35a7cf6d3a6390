// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Released says what Release takes off the host.
type Released struct {
	Undo *Undo
	// Groups that go.
	Groups []UndoGroup
	// Routes of others, as Replaced told of them when ours took their places.
	Routes []HostRoute
	// All: no group stays, so everything of ours goes, whether a group is known for it or not.
	All bool
	// Now is CLOCK_BOOTTIME in ns.
	Now int64
}

// Release returns the operations, in order, that take what is ours off the host and put back what
// was there before: adopted addresses where they were found, routes, our nexthops, our addresses,
// mirrored neighbours, sysctls. What others have changed meanwhile stays. A second Release after
// the first has nothing to do.
//
// As in Plan, an address that stays is on some interface at every step, as far as there is one that
// can hold it, because routes go with the last copy of the source that they prefer.
func Release(r Released, o Observed) []Op {
	p := &releaser{planner: planner{m: newModel(&o)}, of: newScope(&r), Released: r, lent: make(map[string]string)}
	p.bringBack()
	p.restoreConnected()
	p.restoreRoutes()
	p.deleteRoutes()
	p.deleteAddresses()
	p.reorder()
	p.deleteAddresses()  // what stood in
	p.restoreConnected() // of what others have and the kernel made the primary one
	p.deleteNexthops()
	p.deleteNeighbors()
	p.restoreSysctls()
	return p.ops
}

// releaser is a planner of the way back. Of planner it has the model and the operations only.
type releaser struct {
	planner
	of scope
	Released
	// lent are sysctls that the release itself needs otherwise, with the values that they get back.
	lent map[string]string
}

// scope is what a release is about.
type scope struct {
	all   bool
	ports bool // no group that stays wants the sysctl
	slots map[int]bool
	links map[int]bool
	ips   map[netip.Addr]bool
}

func newScope(r *Released) scope {
	s := scope{all: r.All, ports: true, slots: make(map[int]bool), links: make(map[int]bool), ips: make(map[netip.Addr]bool)}
	for _, g := range r.Groups {
		s.slots[g.Slot] = true
		for _, a := range g.Addresses {
			s.ips[a.Addr()] = true
		}
		for _, m := range g.Members {
			s.links[m.Index] = m.Index != 0
			for _, t := range m.Tests {
				s.ips[t.Addr()] = true
			}
		}
	}
	for _, g := range r.Undo.Groups {
		s.ports = s.ports && (!g.Ports || g.Released || s.slots[g.Slot])
	}
	return s
}

func (s *scope) address(ip netip.Addr) bool { return s.all || s.ips[ip] }
func (s *scope) link(index int) bool        { return s.all || s.links[index] }

func (s *scope) nexthop(id uint32) bool {
	_, ours := idFamily(id)
	return s.all || ours && s.slots[int(id>>18&63)]
}

func (s *scope) sysctl(f FoundSysctl) bool {
	if f.Link == 0 {
		return s.all || s.ports
	}
	return s.link(f.Link)
}

// restoreRoutes puts routes of others back that ours took the place of, before ours go. The kernel's
// come with their addresses. Where somebody else has a route by now, his stays; and one whose source or
// interface is gone has nowhere to come back to.
func (p *releaser) restoreRoutes() {
	for _, h := range p.Routes {
		h = p.standingHops(h)
		l := p.m.links[h.Link]
		list := p.m.routes[keyOf(h)]
		at := p.m.replaced(keyOf(h))
		switch {
		case h.Protocol == unix.RTPROT_KERNEL, !p.of.link(h.Link), !l.Up, slices.Contains(list, h),
			at >= 0 && list[at].Protocol != Protocol, h.Src.IsValid() && !p.m.source(h.Src):
			continue
		}
		p.do(Op{Kind: RestoreRoute, Link: h.Link, LinkName: l.Name, Prefix: h.To, Src: h.Src, Gateway: h.Via, Metric: h.Metric,
			Table: h.Table, Protocol: int(h.Protocol), Was: &h, Why: "it was there before ours"})
	}
}

// standingHops is a route without those of its several next hops whose interface is gone or down: the
// kernel would refuse it with them.
func (p *releaser) standingHops(h HostRoute) HostRoute {
	if h.Hops == "" {
		return h
	}
	list := slices.DeleteFunc(h.hops(), func(hop Hop) bool { return !p.m.links[hop.Link].Up })
	switch len(list) {
	case 0:
	case 1:
		h.Link, h.Via, h.Flags, h.Hops = list[0].Link, list[0].Via, list[0].Flags, ""
	default:
		h.Link, h.Via, h.Flags, h.Hops = list[0].Link, list[0].Via, list[0].Flags, HopsOf(list)
	}
	return h
}

// Undone says whether a release was about a route of others.
func (r Released) Undone(link int) bool {
	s := newScope(&r)
	return s.link(link)
}

// deleteRoutes takes our routes away, in all tables.
func (p *releaser) deleteRoutes() {
	for _, key := range slices.Clone(p.m.keys) {
		for _, h := range slices.Clone(p.m.routes[key]) {
			if h.Protocol == Protocol && p.of.nexthop(h.NHID) {
				p.deleteRoute(h, "released")
			}
		}
	}
}

// deleteNexthops deletes ours, groups first, but for what somebody else's route or group goes by.
func (p *releaser) deleteNexthops() {
	keep := make(map[uint32]bool)
	for _, list := range p.m.routes {
		for _, h := range list {
			keep[h.NHID] = true
		}
	}
	goes := func(n HostNexthop) bool { return n.Protocol == Protocol && p.of.nexthop(n.ID) && !keep[n.ID] }
	var groups, hops []uint32
	for id, n := range p.m.nexthops {
		if len(n.Hops) > 0 && goes(n) {
			groups = append(groups, id)
			continue
		}
		for _, hop := range n.Hops {
			keep[hop] = true
		}
	}
	for id, n := range p.m.nexthops {
		if len(n.Hops) == 0 && goes(n) {
			hops = append(hops, id)
		}
	}
	slices.Sort(groups)
	slices.Sort(hops)
	for _, id := range append(groups, hops...) {
		p.do(Op{Kind: DeleteNexthop, Group: int(id >> 18 & 63), ID: id, Why: "released"})
	}
}

// deleteNeighbors deletes the entries that we have mirrored.
func (p *releaser) deleteNeighbors() {
	var list []HostNeighbor
	for at, n := range p.m.neighbors {
		if n.Protocol == Protocol && p.of.link(at.link) && n.State&unix.NUD_PERMANENT == 0 {
			list = append(list, n)
		}
	}
	sortNeighbors(list)
	for _, n := range list {
		p.do(Op{Kind: DeleteNeighbor, Link: n.Link, LinkName: p.m.links[n.Link].Name, IP: n.IP, Why: "mirrored from another member"})
	}
}

// restoreSysctls comes last: until then the addresses need them. One that no longer has the value
// that we gave it is somebody else's by now.
func (p *releaser) restoreSysctls() {
	for key, f := range p.Undo.Sysctls {
		if _, exists := p.m.links[f.Link]; !p.of.sysctl(f) || f.Link != 0 && !exists {
			continue
		}
		value, lent := p.lent[key]
		if !lent {
			value = p.m.sysctls[key]
		}
		if value == f.Set {
			p.lent[key] = f.Found
		}
	}
	for _, key := range slices.Sorted(maps.Keys(p.lent)) {
		if is, ok := p.m.sysctls[key]; ok && is != p.lent[key] {
			p.do(Op{Kind: SetSysctl, Key: key, Value: p.lent[key], Why: fmt.Sprintf("as it was found, not %s", is)})
		}
	}
}

// ReleaseKeys are the sysctls that Observed must hold for a Release.
func ReleaseKeys(u *Undo, links []HostLink) []string {
	keys := slices.Sorted(maps.Keys(u.Sysctls))
	names := []string{"all"}
	for _, l := range links {
		names = append(names, l.Name)
	}
	for _, name := range names {
		if key := sysctlKey("ipv4", name, "promote_secondaries"); !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// Arrived are the addresses that ops put on another interface than they were on, to be announced
// from there: by interface index.
func Arrived(ops []Op, o Observed) map[netip.Addr]int {
	arrived := make(map[netip.Addr]int)
	for i := range ops {
		if op := &ops[i]; op.Kind == RestoreAddress {
			arrived[op.Prefix.Addr()] = op.Link
		}
	}
	for _, a := range o.Addresses {
		if arrived[a.Prefix.Addr()] == a.Link {
			delete(arrived, a.Prefix.Addr())
		}
	}
	return arrived
}
