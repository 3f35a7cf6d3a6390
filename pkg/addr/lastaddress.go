// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Loss is a default route of the host that is left without an address.
type Loss struct {
	// Route as it was, Via its gateway, where it has one.
	Route HostRoute
	Via   netip.Addr
	// Links that it went by, as indexes.
	Links []int
	// Sources are the addresses that packets by it had; none of them can be that any more.
	Sources []netip.Addr
}

// LastAddress says which default routes of the main table have an address before and none after: at
// most the best one of each family, as the others wait for that one. A route of others after it is as
// good, if it is preferred as much or more. tested and tests are the test addresses before and after:
// no route counts on them.
//
// A default route of ours that the file names no more is no loss as long as an address of it stays:
// the operator has taken the route out, not the address.
func LastAddress(before, after Observed, tested, tests map[netip.Addr]bool) (lost []Loss) {
	was, is := newReach(&before, tested), newReach(&after, tests)
	for _, to := range []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)} {
		best, ok := was.best(to)
		if !ok {
			continue
		}
		if now, stays := is.best(to); stays && now.Metric <= best.Metric {
			continue
		}
		l := Loss{Route: best, Links: was.links(&best), Sources: was.sources(&best)}
		if best.Protocol == Protocol && slices.ContainsFunc(l.Sources, is.source) {
			continue
		}
		l.Via = was.via(&best)
		lost = append(lost, l)
	}
	return lost
}

// reach is what default routes need of a host.
type reach struct {
	o        *Observed
	tests    map[netip.Addr]bool
	nexthops map[uint32]HostNexthop
}

func newReach(o *Observed, tests map[netip.Addr]bool) reach {
	r := reach{o, tests, make(map[uint32]HostNexthop, len(o.Nexthops))}
	for _, n := range o.Nexthops {
		r.nexthops[n.ID] = n
	}
	return r
}

// best of the routes that have an address.
func (r reach) best(to netip.Prefix) (best HostRoute, ok bool) {
	for i := range r.o.Routes {
		h := &r.o.Routes[i]
		if h.Table == unix.RT_TABLE_MAIN && h.To == to && (!ok || h.Metric < best.Metric) && len(r.sources(h)) > 0 {
			best, ok = *h, true
		}
	}
	return best, ok
}

// sources that packets by a route may have: its own one, else what its interfaces have.
func (r reach) sources(h *HostRoute) (list []netip.Addr) {
	links := r.links(h)
	bare := true
	for i := range r.o.Addresses {
		a := &r.o.Addresses[i]
		ip := a.Prefix.Addr()
		if ip.Is4() != h.To.Addr().Is4() || !slices.Contains(links, a.Link) {
			continue
		}
		bare = false
		narrow := ip.IsLinkLocalUnicast() || ip.Is4() && a.Form.Scope >= unix.RT_SCOPE_LINK
		if !h.Src.IsValid() && !narrow && !r.tests[ip] {
			list = append(list, ip)
		}
	}
	switch {
	case bare && h.NHID == 0 && h.To.Addr().Is4():
		return nil // the kernel takes every such route away with the last address of the interface
	case h.Src.IsValid() && r.source(h.Src):
		return []netip.Addr{h.Src}
	}
	return list
}

// source says whether an address is on the host and no test address.
func (r reach) source(ip netip.Addr) bool {
	return !r.tests[ip] && slices.ContainsFunc(r.o.Addresses, func(a HostAddress) bool { return a.Prefix.Addr() == ip })
}

func (r reach) links(h *HostRoute) []int {
	var links []int
	if h.NHID == 0 {
		for _, hop := range h.hops() {
			links = append(links, hop.Link)
		}
		return links
	}
	for _, n := range r.hops(h.NHID) {
		links = append(links, n.Link)
	}
	return links
}

func (r reach) via(h *HostRoute) netip.Addr {
	if h.NHID == 0 {
		return h.Via
	}
	for _, n := range r.hops(h.NHID) {
		return n.Gateway
	}
	return netip.Addr{}
}

// hops of a nexthop object: itself, or those of the group.
func (r reach) hops(id uint32) []HostNexthop {
	n, ok := r.nexthops[id]
	if !ok || len(n.Hops) == 0 {
		return []HostNexthop{n}
	}
	var list []HostNexthop
	for _, hop := range n.Hops {
		list = append(list, r.nexthops[hop])
	}
	return list
}
