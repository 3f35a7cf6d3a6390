// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

const (
	// connectedMetric6 of our IPv6 connected routes beats the 256 of the kernel's; IPv4's have 0,
	// as ours, which replaces them in place.
	connectedMetric6 = 128
	// kernelMetric6 is that of the kernel's IPv6 connected routes.
	kernelMetric6 = 256
	// defaultMetric6 is what the kernel makes of an IPv6 route with metric 0.
	defaultMetric6 = 1024
)

// wantedRoute is a route that must go the way of gate.
type wantedRoute struct {
	gate   *gate
	key    routeKey
	src    netip.Addr
	onLink bool
	// metrics is RTA_METRICS, "" for none.
	metrics string
	// what is idGroup or idStanding.
	what int
	why  string
}

// wantRoutes derives the routes of a group and the ways that they take. A key that is taken is
// not taken again: the configured route wins over the derived one, the first group over the next.
func (p *planner) wantRoutes(g *Group) {
	ways := newWays(g)
	want := func(key routeKey, via netip.Addr, over Hops, src netip.Addr, metrics, why string) {
		if p.wanted[key] != nil {
			return
		}
		way := ways.gate(familyOf(key.to.Addr()), via, over, src)
		way.routed = true
		r := &wantedRoute{gate: way, key: key, src: src, onLink: !via.IsValid(), metrics: metrics, what: idGroup, why: why}
		p.routes = append(p.routes, *r)
		p.wanted[key] = r
	}
	for _, r := range g.Routes {
		family := familyOf(r.To.Addr())
		// A gateway that is an address of this host leads nowhere; the kernel refuses it.
		if slices.ContainsFunc(r.Gateways(), func(via netip.Addr) bool {
			return via.IsValid() && (familyOf(via) != family || p.mine(via))
		}) {
			continue
		}
		src, ok := p.source(g, r, family)
		key := keyOfRoute(r)
		if ok {
			why := "configured route"
			if r.Adopted {
				why = "adopted route"
			}
			want(key, r.Via, r.Hops, src, r.Metrics, why)
		} else if _, taken := p.wanted[key]; !taken {
			p.wanted[key] = nil // no source for it yet: what is there stays
		}
	}
	for _, a := range g.Addresses {
		ip := a.Prefix.Addr()
		if a.Prefix.IsSingleIP() || ip.IsLinkLocalUnicast() || !p.present(ip) {
			continue
		}
		want(g.connectedKey(a.Prefix), netip.Addr{}, "", ip, "", "connected route of the data subnet, from a data address")
	}
	for _, a := range g.Addresses { // no address of the subnet is there now: what is there stays
		key := g.connectedKey(a.Prefix)
		if _, taken := p.wanted[key]; !taken && !a.Prefix.IsSingleIP() {
			p.wanted[key] = nil
		}
	}
	p.gates = append(p.gates, ways.list...)
}

func (g *Group) connectedKey(p netip.Prefix) routeKey {
	key := routeKey{g.table(), p.Masked(), 0}
	if p.Addr().Is6() {
		key.metric = connectedMetric6
	}
	return key
}

// mine says whether ip is an address of this host, or about to be.
func (p *planner) mine(ip netip.Addr) bool {
	_, data := p.data[ip]
	_, test := p.tests[ip]
	return data || test || len(p.m.byIP[ip]) > 0
}

// present says whether a route may prefer ip once the addresses of this plan are added, and still when
// others are gone: with the last copy of its source a route goes too.
func (p *planner) present(ip netip.Addr) bool {
	if a, ok := p.data[ip]; ok && a.owner != nil && (!p.m.has(a.owner.Index, a.prefix) || p.m.refused(a.owner.Index, a.prefix)) {
		return true
	}
	stays := func(i int) bool { return p.unwanted(p.m.addrs[i]) == "" }
	return p.m.source(ip) && slices.ContainsFunc(p.m.byIP[ip], stays)
}

// source is the preferred source of a configured route: its own, else the first data address of
// the gateway's subnet, else of the family; never a test address. Not ok: none is there now.
func (p *planner) source(g *Group, r Route, family int) (netip.Addr, bool) {
	if _, test := p.tests[r.Src]; r.Src.IsValid() && familyOf(r.Src) == family && !test && p.present(r.Src) {
		return r.Src, true
	}
	var first netip.Addr
	for _, a := range g.Addresses {
		ip := a.Prefix.Addr()
		if familyOf(ip) != family || !p.present(ip) {
			continue
		}
		if r.Via.IsValid() && a.Prefix.Contains(r.Via) {
			return ip, true
		}
		if !first.IsValid() {
			first = ip
		}
	}
	return first, first.IsValid() || !hasFamily(g, family)
}

// setRoutes points every wanted route at the group of its way, with its source.
func (p *planner) setRoutes() {
	for _, r := range p.routes {
		p.setRoute(&r)
	}
	for _, r := range p.routes {
		key := r.key
		key.metric++
		if _, taken := p.wanted[key]; taken || key.metric == 0 || !r.gate.standing {
			continue
		}
		if !slices.ContainsFunc(p.m.routes[r.key], r.is) {
			p.wanted[key] = nil // second to nothing
			continue
		}
		r.key, r.what, r.why = key, idStanding, "standing second route"
		p.wanted[key] = &r
		p.setRoute(&r)
	}
}

func (p *planner) setRoute(r *wantedRoute) {
	id := r.gate.id(r.what)
	if n := p.m.nexthops[id]; len(n.Hops) == 0 || n.Protocol != Protocol {
		return
	}
	want := HostRoute{Table: r.key.table, Protocol: Protocol, Metric: r.key.metric, To: r.key.to, Src: r.src, NHID: id, Metrics: r.metrics}
	if r.onLink && r.gate.family == 0 {
		want.Scope = unix.RT_SCOPE_LINK
	}
	list, at := p.m.routes[r.key], p.m.replaced(r.key)
	if slices.Contains(list, want) || at >= 0 && !p.replaceable(list[at]) {
		return
	}
	// One of ours behind another route has no effect, and later could not be told from the new one.
	for i, h := range slices.Clone(list) {
		if i != at && h.Protocol == Protocol {
			p.deleteRoute(h, "hidden by another route")
		}
	}
	p.do(Op{Kind: SetRoute, Group: r.gate.group.Slot, ID: id, Prefix: r.key.to, Src: r.src,
		Metric: r.key.metric, Table: r.key.table, OnLink: r.onLink, Metrics: r.metrics, Protocol: Protocol, Why: r.why})
}

// replaceable says whether a route of ours may take the place of this one: ours, and those through
// members that the contract lets us adopt. Routing daemons' and those of other interfaces stay.
func (p *planner) replaceable(r HostRoute) bool {
	if r.Protocol == Protocol {
		return true
	}
	stays := func(h Hop) bool {
		_, member := p.members[h.Link]
		return !member && !p.leaving[h.Link]
	}
	return !slices.ContainsFunc(r.hops(), stays) && r.NHID == 0 && !r.Special && (r.Protocol == unix.RTPROT_KERNEL || Adopts(r.Protocol))
}

// deleteConnected takes the kernel's connected routes of members away where ours is in place: they
// name test addresses as sources, and members that may be dead.
func (p *planner) deleteConnected() {
	for _, r := range p.routes {
		key := r.gate.group.connectedKey(r.key.to)
		if !r.onLink || r.key != key || !slices.ContainsFunc(p.m.routes[key], func(h HostRoute) bool { return h.Protocol == Protocol }) {
			continue
		}
		kernel := key
		if r.gate.family == 1 {
			kernel.metric = kernelMetric6
		}
		for _, h := range slices.Clone(p.m.routes[kernel]) {
			if m, member := p.members[h.Link]; member && h.Protocol == unix.RTPROT_KERNEL && h.NHID == 0 && !h.Via.IsValid() {
				p.do(Op{Kind: DeleteRoute, Group: r.gate.group.Slot, Link: h.Link, LinkName: m.Name, Prefix: h.To,
					Src: h.Src, Metric: h.Metric, Table: h.Table, OnLink: true, Protocol: unix.RTPROT_KERNEL,
					Why: "our connected route has taken its place"})
			}
		}
	}
}

// deleteStaleRoutes takes away routes with our protocol number that nothing wants.
func (p *planner) deleteStaleRoutes() {
	for _, key := range slices.Clone(p.m.keys) {
		want, wanted := p.wanted[key]
		list := slices.Clone(p.m.routes[key])
		if wanted && (want == nil || !slices.ContainsFunc(list, want.is)) {
			continue // it could not be set now: what is there stays
		}
		for _, h := range list {
			if h.Protocol == Protocol && !(wanted && want.is(h)) {
				p.deleteRoute(h, "no longer wanted")
			}
		}
	}
}

// deleteRoute takes a route of ours away.
func (p *planner) deleteRoute(h HostRoute, why string) {
	p.do(Op{Kind: DeleteRoute, Group: int(h.NHID >> 18 & 63), ID: h.NHID, Prefix: h.To, Src: h.Src, Metric: h.Metric,
		Table: h.Table, Protocol: Protocol, Why: why})
}

// is says whether h is the wanted route.
func (r *wantedRoute) is(h HostRoute) bool {
	return h.Protocol == Protocol && h.Src == r.src && h.NHID == r.gate.id(r.what) && h.Metrics == r.metrics
}
