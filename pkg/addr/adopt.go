// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"cmp"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Adopts says whether routes of a protocol (RTPROT_*) are ours to take over: those that an
// administrator, a DHCP client or the kernel's router discovery set. Routing daemons keep theirs.
func Adopts(protocol uint8) bool {
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
// One with several next hops follows with all its gateways, each over whatever members carry traffic.
//
// Left alone are routes that cannot follow, which StayingRoutes tells of.
func Adoptable(g *Group, o *Observed) (taken, beside []Route) {
	a := newAdopter(g, o)
	for i := range o.Routes {
		h := &o.Routes[i]
		switch {
		case h.Protocol == Protocol || !a.passes(h) || a.stays(h) != "":
		case h.Protocol != unix.RTPROT_RA && !h.Expires:
			taken = append(taken, a.route(h))
		default:
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
				r.Via, r.Hops = inheritedHops(n, o, gateways)
			}
		}
		out = append(out, r)
	}
	return out
}

// table is where the group's routes are.
func (g *Group) table() uint32 { return cmp.Or(g.Table, unix.RT_TABLE_MAIN) }

// inheritedHops are the gateways of a group of ours, by what it has over one member.
func inheritedHops(n HostNexthop, o *Observed, gateways map[uint32]netip.Addr) (netip.Addr, Hops) {
	links := map[uint32]int{}
	for _, x := range o.Nexthops {
		links[x.ID] = x.Link
	}
	var list []Hop
	for i, id := range n.Hops {
		if links[id] != links[n.Hops[0]] {
			continue
		}
		hop := Hop{Via: gateways[id], Weight: 1}
		if n.Weights != nil {
			hop.Weight = n.Weights[i]
		}
		list = append(list, hop)
	}
	return spread(list)
}

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
