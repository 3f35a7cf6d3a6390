// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Staying is a route through a member that does not follow the group.
type Staying struct {
	HostRoute
	// Over are its next hops, those of a nexthop object too.
	Over []Hop
	// Why it does not, in a few words.
	Why string
}

// StayingRoutes are those through members of g that stay as they are, in the kernel's order: of them a
// failover moves at most what leaves from a data address. The kernel's own routes are not counted. The list
// ends after most of them, as a member may carry a full table of a routing daemon.
func StayingRoutes(g *Group, o *Observed, most int) (list []Staying, count int) {
	a := newAdopter(g, o)
	for i := range o.Routes {
		h := &o.Routes[i]
		to := h.To.Addr()
		if h.Protocol == Protocol || h.Protocol == unix.RTPROT_KERNEL || to.IsMulticast() || to.IsLinkLocalUnicast() || !a.passes(h) {
			continue
		}
		if why := a.stays(h); why != "" {
			if count++; count <= most {
				list = append(list, Staying{*h, a.over(h), why})
			}
		}
	}
	return list, count
}

// adopter judges routes that are on the host.
type adopter struct {
	g           *Group
	o           *Observed
	members     map[int]bool // by interface index
	data, tests map[netip.Addr]bool
	nexthops    map[uint32]HostNexthop // those of others
}

func newAdopter(g *Group, o *Observed) *adopter {
	a := &adopter{g: g, o: o, members: map[int]bool{}, data: map[netip.Addr]bool{}, tests: map[netip.Addr]bool{}, nexthops: map[uint32]HostNexthop{}}
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
	for _, n := range o.Nexthops {
		if n.Protocol != Protocol {
			a.nexthops[n.ID] = n
		}
	}
	return a
}

// passes says whether the route goes by a member.
func (a *adopter) passes(h *HostRoute) bool {
	switch {
	case h.NHID == 0 && h.Hops == "": // ten thousand routes are like this
		return a.members[h.Link]
	case h.NHID == 0:
		return slices.ContainsFunc(h.hops(), func(hop Hop) bool { return a.members[hop.Link] })
	}
	return slices.ContainsFunc(a.over(h), func(hop Hop) bool { return a.members[hop.Link] })
}

// over are the next hops of a route, its own or those of its nexthop object.
func (a *adopter) over(h *HostRoute) (list []Hop) {
	if h.NHID == 0 {
		return h.hops()
	}
	n := a.nexthops[h.NHID]
	ids := n.Hops
	if len(ids) == 0 {
		ids = []uint32{h.NHID}
	}
	for _, id := range ids {
		list = append(list, Hop{Link: a.nexthops[id].Link, Via: a.nexthops[id].Gateway, Weight: 1})
	}
	return list
}

// stays says why a route that goes by a member cannot follow the group, "": it does.
func (a *adopter) stays(h *HostRoute) string {
	to := h.To.Addr()
	switch {
	case to.IsMulticast() || to.IsLinkLocalUnicast():
		return "of one link"
	case !Adopts(h.Protocol):
		return "of a routing daemon"
	case h.Table != a.g.table():
		return fmt.Sprintf("of table %d", h.Table)
	case h.NHID != 0:
		return "by a nexthop object of somebody else"
	case h.Special:
		return "with a type of service, an encapsulation, a realm or a router preference"
	case !hasFamily(a.g, familyOf(to)):
		return "of a family that the group has no data address of"
	case h.Metric == 0 && (h.Expires || h.Protocol == unix.RTPROT_RA):
		return "with a lifetime and no metric, so that none can stand before it"
	case h.Src.IsValid() && !a.data[h.Src] && !a.tests[h.Src]: // a test address must not be a source anyhow
		return "with a source that does not move"
	}
	onLink, by := false, 0
	for _, hop := range h.hops() {
		switch {
		case !a.members[hop.Link]:
			return "by an interface of no member of the group, too"
		case !a.gateway(hop.Via):
			return "by a gateway that the group's addresses do not reach"
		case hop.Via.IsValid():
			by++
		default:
			onLink = true
		}
	}
	if onLink && by > 0 {
		return "on link and by a gateway"
	}
	if by > maxGateways {
		return fmt.Sprintf("by more than %d gateways", maxGateways)
	}
	return ""
}

// maxGateways of one route: with 32 members a nexthop group has 128 buckets for 512 nexthops, and so goes
// by 8 of the members.
const maxGateways = 16

// route of ours for one that is there.
func (a *adopter) route(h *HostRoute) Route {
	r := Route{To: h.To, Via: h.Via, Metric: h.Metric, Table: h.Table, Metrics: h.Metrics, Adopted: true}
	if h.Hops != "" {
		r.Via, r.Hops = spread(h.hops())
	}
	if a.data[h.Src] {
		r.Src = h.Src
	}
	return r
}

// gateway: none, or one that the group's addresses reach.
func (a *adopter) gateway(via netip.Addr) bool {
	if !via.IsValid() || via.IsLinkLocalUnicast() {
		return true
	}
	if slices.ContainsFunc(a.g.Addresses, func(x Address) bool { return x.Prefix.Contains(via) }) {
		return true
	}
	for i := range a.o.Addresses {
		x := &a.o.Addresses[i]
		if x.Prefix.Addr() == via {
			return false // an address of this host
		}
		if ip := x.Prefix.Addr(); a.members[x.Link] && x.Prefix.Contains(via) && !a.data[ip] && !a.tests[ip] {
			return false
		}
	}
	return true
}
