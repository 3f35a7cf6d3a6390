// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// observed translates what pkg/netstate saw for pkg/addr; sysctls are read as the plan needs them.
func observed(s *netstate.Snapshot, d addr.Desired) addr.Observed {
	o := translated(s)
	o.Sysctls = netstate.Sysctls(addr.SysctlKeys(d))
	return o
}

// observed is the host as it is known now.
func (e *engine) observed(d addr.Desired) addr.Observed {
	return e.observedIn(e.watcher.Snapshot(), d)
}

// observedIn a snapshot.
func (e *engine) observedIn(s *netstate.Snapshot, d addr.Desired) addr.Observed {
	o := translated(s)
	o.Sysctls = e.readSysctls(addr.SysctlKeys(d))
	return o
}

// observedFor is the same for a release.
func observedFor(s *netstate.Snapshot, u *addr.Undo) addr.Observed {
	o := translated(s)
	o.Sysctls = netstate.Sysctls(addr.ReleaseKeys(u, o.Links))
	return o
}

// translated is all but the sysctls.
func translated(s *netstate.Snapshot) addr.Observed {
	o := addr.Observed{
		Links:     make([]addr.HostLink, 0, len(s.Links)),
		Addresses: make([]addr.HostAddress, 0, len(s.Addresses)),
		Routes:    make([]addr.HostRoute, 0, len(s.Routes)),
		Nexthops:  make([]addr.HostNexthop, 0, len(s.Nexthops)),
		Neighbors: make([]addr.HostNeighbor, 0, len(s.Neighbors)),
	}
	for i := range s.Links {
		l := &s.Links[i]
		o.Links = append(o.Links, addr.HostLink{Index: l.Index, Name: l.Name, MAC: l.MAC, Up: l.Up, Carrier: l.Carrier, Table: s.TableOf(l)})
	}
	for i := range s.Addresses {
		a := &s.Addresses[i]
		o.Addresses = append(o.Addresses, addr.HostAddress{
			Link: a.Link, Prefix: a.Prefix, Flags: a.Flags, Proto: a.Protocol, Form: addr.AddressForm{
				Scope: a.Scope, Label: a.Label, Peer: a.Peer, Broadcast: a.Broadcast, Metric: a.Metric,
				Preferred: limited(a.Preferred), Valid: limited(a.Valid)}, At: a.At})
	}
	o.SortAddresses()
	for i := range s.Routes {
		o.Routes = append(o.Routes, hostRoute(&s.Routes[i]))
	}
	for i := range s.Nexthops {
		n := &s.Nexthops[i]
		o.Nexthops = append(o.Nexthops, addr.HostNexthop{
			ID: n.ID, Protocol: n.Protocol, Link: n.Link, Gateway: n.Gateway, Hops: n.Group, Weights: n.Weights})
	}
	for i := range s.Neighbors {
		n := &s.Neighbors[i]
		o.Neighbors = append(o.Neighbors, addr.HostNeighbor{Link: n.Link, IP: n.IP, MAC: n.MAC, State: n.State, Protocol: n.Protocol})
	}
	return o
}

// limited is a lifetime for pkg/addr, where 0 is for ever.
func limited(d time.Duration) time.Duration {
	if d == netstate.Forever {
		return 0
	}
	return d
}

func hostRoute(r *netstate.Route) addr.HostRoute {
	h := addr.HostRoute{
		Table: r.Table, Protocol: r.Protocol, Scope: r.Scope, Metric: r.Metric,
		To: r.Dst, Src: r.Src, NHID: r.NexthopID,
		Metrics: r.Metrics, Expires: r.Expires != netstate.Forever,
	}
	if r.NexthopID == 0 && len(r.Hops) > 0 {
		h.Via, h.Link = r.Hops[0].Gateway, r.Hops[0].Link
		h.Flags = r.Hops[0].Flags & unix.RTNH_F_ONLINK
		h.Special = r.Special || r.TOS != 0 || slices.ContainsFunc(r.Hops, func(hop netstate.Hop) bool {
			return hop.Gateway.IsValid() && hop.Gateway.Is4() != h.To.Addr().Is4()
		})
		if len(r.Hops) > 1 {
			h.Hops = severalHops(r.Hops)
		}
	}
	return h
}

// severalHops of a route, without what the kernel makes of them meanwhile (dead, linkdown).
func severalHops(list []netstate.Hop) addr.Hops {
	hops := make([]addr.Hop, 0, len(list))
	for _, hop := range list {
		hops = append(hops, addr.Hop{Link: hop.Link, Via: hop.Gateway, Weight: hop.Weight, Flags: hop.Flags & unix.RTNH_F_ONLINK})
	}
	return addr.HopsOf(hops)
}
