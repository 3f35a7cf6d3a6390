// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"cmp"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// adopts says whether routes of a protocol (RTPROT_*) are ours to take over: those that an
// administrator, a DHCP client or the kernel's router discovery set. Routing daemons keep theirs.
func adopts(protocol uint8) bool {
	switch protocol {
	case unix.RTPROT_BOOT, unix.RTPROT_STATIC, unix.RTPROT_DHCP, unix.RTPROT_RA:
		return true
	}
	return false
}

// Adoptable are the routes on the host that go through a member of g and are to follow the group
// from now on (contract section 3, "Existing routes").
//
// Of taken, ours take the place: what was there is on the host no more, so the caller remembers them
// (and, for release, what Replaced says). Beside those that the kernel looks after itself, learnt
// from router advertisements or with a lifetime, ours stand with a metric one lower, for as long as
// they are there: the kernel renews them, and would add them again.
//
// Left alone are routes that cannot follow: those of a family that the group has no data address of,
// those that prefer a source that does not move, and those whose gateway is in the subnet of such an
// address only.
func Adoptable(g *Group, o *Observed) (taken, beside []Route) {
	a := adopter{g: g, o: o, members: map[int]bool{}, data: map[netip.Addr]bool{}, tests: map[netip.Addr]bool{}}
	for _, m := range g.Members {
		if m.Index != 0 {
			a.members[m.Index] = true
		}
		for _, t := range m.Tests {
			a.tests[t.Addr()] = true
		}
	}
	for _, x := range g.Addresses {
		a.data[x.Prefix.Addr()] = true
	}
	for i := range o.Routes {
		h := &o.Routes[i]
		switch {
		case !a.follows(h):
		case h.Protocol != unix.RTPROT_RA && !h.Expires:
			taken = append(taken, a.route(h))
		case h.Metric > 0:
			r := a.route(h)
			r.Metric--
			beside = append(beside, r)
		}
	}
	return taken, beside
}

// Inherited are the routes of ours on the host that g's file does not name: those that a former run
// had adopted, for a start without its memory.
func Inherited(g *Group, o *Observed) []Route {
	named := map[routeKey]bool{}
	for _, r := range g.Routes {
		named[keyOfRoute(r)] = true
	}
	for _, a := range g.Addresses {
		named[g.connectedKey(a.Prefix)] = true
	}
	gateways := map[uint32]netip.Addr{}
	for _, n := range o.Nexthops {
		gateways[n.ID] = n.Gateway
	}
	var out []Route
	for i := range o.Routes {
		h := &o.Routes[i]
		slot, what := int(h.NHID>>18&63), h.NHID&63
		if _, ours := idFamily(h.NHID); h.Protocol != Protocol || !ours || slot != g.Slot || what != idGroup || named[keyOf(*h)] {
			continue
		}
		r := Route{To: h.To, Src: h.Src, Metric: h.Metric, Table: h.Table, Metrics: h.Metrics, Adopted: true}
		for _, n := range o.Nexthops {
			if n.ID == h.NHID && len(n.Hops) > 0 {
				r.Via = gateways[n.Hops[0]]
			}
		}
		out = append(out, r)
	}
	return out
}

// table is where the group's routes are.
func (g *Group) table() uint32 { return cmp.Or(g.Table, unix.RT_TABLE_MAIN) }

// keyOfRoute is the key that a desired route takes.
func keyOfRoute(r Route) routeKey {
	key := routeKey{cmp.Or(r.Table, unix.RT_TABLE_MAIN), r.To.Masked(), r.Metric}
	if familyOf(r.To.Addr()) == 1 && key.metric == 0 {
		key.metric = defaultMetric6
	}
	return key
}

// Place is what a route takes: of two with the same one replaces the other.
type Place struct{ key routeKey }

// Place of the route: its table, destination and metric.
func (r Route) Place() Place { return Place{keyOfRoute(r)} }

type adopter struct {
	g           *Group
	o           *Observed
	members     map[int]bool // by interface index
	data, tests map[netip.Addr]bool
}

func (a *adopter) follows(h *HostRoute) bool {
	to := h.To.Addr()
	return h.Table == a.g.table() && h.NHID == 0 && !h.Special && adopts(h.Protocol) && a.members[h.Link] &&
		hasFamily(a.g, familyOf(to)) && !to.IsMulticast() && !to.IsLinkLocalUnicast() && a.source(h) && a.gateway(h)
}

func (a *adopter) route(h *HostRoute) Route {
	r := Route{To: h.To, Via: h.Via, Metric: h.Metric, Table: h.Table, Metrics: h.Metrics, Adopted: true}
	if a.data[h.Src] {
		r.Src = h.Src
	}
	return r
}

// source: none, or one that moves, or a test address, which must not be one.
func (a *adopter) source(h *HostRoute) bool {
	return !h.Src.IsValid() || a.data[h.Src] || a.tests[h.Src]
}

// gateway: none, or one that the group's addresses reach.
func (a *adopter) gateway(h *HostRoute) bool {
	if !h.Via.IsValid() || h.Via.IsLinkLocalUnicast() {
		return true
	}
	if slices.ContainsFunc(a.g.Addresses, func(x Address) bool { return x.Prefix.Contains(h.Via) }) {
		return true
	}
	for i := range a.o.Addresses {
		x := &a.o.Addresses[i]
		if x.Prefix.Addr() == h.Via {
			return false // an address of this host
		}
		if ip := x.Prefix.Addr(); a.members[x.Link] && x.Prefix.Contains(h.Via) && !a.data[ip] && !a.tests[ip] {
			return false
		}
	}
	return true
}

// Replaced are the routes of others that ops take the place of, or take away: what release has to
// put back. o is the host before ops.
func Replaced(ops []Op, o *Observed) []HostRoute {
	var out []HostRoute
	m := newModel(o)
	for i := range ops {
		op := &ops[i]
		switch op.Kind {
		case SetRoute:
			key := routeKey{op.Table, op.Prefix, op.Metric}
			if at := m.replaced(key); at >= 0 && m.routes[key][at].Protocol != Protocol {
				out = append(out, m.routes[key][at])
			}
		case DeleteRoute:
			for _, h := range m.routes[routeKey{op.Table, op.Prefix, op.Metric}] {
				if h.Protocol != Protocol && int(h.Protocol) == op.Protocol && h.Link == op.Link && h.Src == op.Src {
					out = append(out, h)
				}
			}
		}
		_ = m.apply(op) // refused: nothing changes
	}
	return out
}
