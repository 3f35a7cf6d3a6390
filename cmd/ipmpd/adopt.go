// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// adoptedRoute is a route that was found on the host and follows its group, in the state file.
type adoptedRoute struct {
	Group   string       `json:"group"`
	To      netip.Prefix `json:"to"`
	Via     netip.Addr   `json:"via,omitzero"`
	Hops    addr.Hops    `json:"hops,omitempty"`
	Src     netip.Addr   `json:"src,omitzero"`
	Metric  uint32       `json:"metric,omitempty"`
	Table   uint32       `json:"table,omitempty"`
	Metrics []byte       `json:"metrics,omitempty"` // RTA_METRICS
}

// replacedRoute is a route of others that ours took the place of, in the state file.
type replacedRoute struct {
	Interface string       `json:"interface"`
	Index     int          `json:"index"`
	To        netip.Prefix `json:"to"`
	Via       netip.Addr   `json:"via,omitzero"`
	Hops      addr.Hops    `json:"hops,omitempty"`
	Src       netip.Addr   `json:"src,omitzero"`
	Metric    uint32       `json:"metric,omitempty"`
	Table     uint32       `json:"table,omitempty"`
	Protocol  uint8        `json:"protocol"`
	Scope     uint8        `json:"scope,omitempty"`
	Flags     uint32       `json:"flags,omitempty"`   // RTNH_F_ONLINK
	Metrics   []byte       `json:"metrics,omitempty"` // RTA_METRICS
}

// adopt looks for routes through members that are to follow their groups, in what the host has now.
func (e *engine) adopt(s *netstate.Snapshot) {
	e.adopted = s
	o := routesOf(s)
	for _, u := range e.groups() {
		g := u.desired()
		taken, beside := addr.Adoptable(&g, &o)
		u.staying, u.stayCount = addr.StayingRoutes(&g, &o, mostForeign)
		u.beside = beside
		if news := u.remember(taken); len(news) > 0 {
			e.journal.SetAdopted(u.cfg.Name, u.adopted)
			for _, r := range news[:min(len(news), sayAdopted)] {
				e.log.Info("route adopted", "group", u.cfg.Name, "to", r.To, "via", viaText(r.Gateways()), "metric", r.Metric)
			}
			if len(news) > sayAdopted {
				e.log.Info("more routes adopted", "group", u.cfg.Name, "routes", len(news)-sayAdopted)
			}
		}
	}
}

// viaText of a route's gateways, "": on link.
func viaText(gateways []netip.Addr) string {
	var list []string
	for _, via := range gateways {
		if via.IsValid() {
			list = append(list, via.String())
		}
	}
	return strings.Join(list, ", ")
}

// sayAdopted is how many routes are named when many are adopted at a time.
const sayAdopted = 10

// remember adopted routes, each for one that took the same place before; it returns those that are
// others than before.
func (u *unit) remember(taken []addr.Route) (news []addr.Route) {
	if len(taken) == 0 {
		return nil
	}
	at := make(map[addr.Place]int, len(u.adopted)+len(taken))
	for i, r := range u.adopted {
		at[r.Place()] = i
	}
	for _, r := range taken {
		i, known := at[r.Place()]
		switch {
		case !known:
			at[r.Place()] = len(u.adopted)
			u.adopted = append(u.adopted, r)
		case u.adopted[i] == r:
			continue
		default:
			u.adopted[i] = r
		}
		news = append(news, r)
	}
	return news
}

// recallRoutes takes over what a former run had adopted: from the state file, or, without one, from
// what is on the host.
func (e *engine) recallRoutes(s *netstate.Snapshot, units ...*unit) {
	o := routesOf(s)
	for _, u := range units {
		var known bool
		if u.adopted, known = e.journal.Adopted(u.cfg.Name); known {
			continue
		}
		g := u.desired()
		u.adopted = addr.Inherited(&g, &o)
		e.journal.SetAdopted(u.cfg.Name, u.adopted)
	}
}

// routesOf the host, with the addresses that tell which of them can follow a group.
func routesOf(s *netstate.Snapshot) addr.Observed {
	var o addr.Observed
	o.Addresses = make([]addr.HostAddress, 0, len(s.Addresses))
	for i := range s.Addresses {
		a := &s.Addresses[i]
		o.Addresses = append(o.Addresses, addr.HostAddress{Link: a.Link, Prefix: a.Prefix, Flags: a.Flags, Proto: a.Protocol})
	}
	o.Routes = make([]addr.HostRoute, 0, len(s.Routes))
	for i := range s.Routes {
		o.Routes = append(o.Routes, hostRoute(&s.Routes[i]))
	}
	o.Nexthops = make([]addr.HostNexthop, 0, len(s.Nexthops))
	for i := range s.Nexthops {
		n := &s.Nexthops[i]
		o.Nexthops = append(o.Nexthops, addr.HostNexthop{ID: n.ID, Protocol: n.Protocol, Link: n.Link, Gateway: n.Gateway, Hops: n.Group, Weights: n.Weights})
	}
	return o
}

// recordReplaced writes down which routes of others ops take the place of, before they do: release
// puts them back.
func (e *engine) recordReplaced(ops []addr.Op, o *addr.Observed) {
	if !slices.ContainsFunc(ops, func(op addr.Op) bool { return op.Kind == addr.SetRoute || op.Kind == addr.DeleteRoute }) {
		return
	}
	names := map[int]string{}
	for _, l := range o.Links {
		names[l.Index] = l.Name
	}
	var list []replacedRoute
	for _, h := range addr.Replaced(ops, o) {
		list = append(list, replacedRoute{
			Interface: names[h.Link], Index: h.Link, To: h.To, Via: h.Via, Hops: h.Hops, Src: h.Src, Metric: h.Metric, Table: h.Table,
			Protocol: h.Protocol, Scope: h.Scope, Flags: h.Flags, Metrics: []byte(h.Metrics)})
	}
	e.journal.AddReplaced(list)
}
