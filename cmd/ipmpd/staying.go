// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/check"
	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// mostForeign routes are named in the status: a member may carry a full table of a routing daemon.
const mostForeign = 100

// foreignRoutes for the status.
func foreignRoutes(staying []addr.Staying, s *netstate.Snapshot) (out []control.ForeignRoute) {
	for i := range staying {
		r := &staying[i]
		f := control.ForeignRoute{To: r.To.String(), Table: r.Table, Metric: r.Metric, Why: r.Why}
		for _, hop := range r.Over {
			if hop.Via.IsValid() && !slices.Contains(f.Via, hop.Via.String()) {
				f.Via = append(f.Via, hop.Via.String())
			}
			if l := s.Link(hop.Link); l != nil && !slices.Contains(f.Interfaces, l.Name) {
				f.Interfaces = append(f.Interfaces, l.Name)
			}
		}
		out = append(out, f)
	}
	return out
}

// staying are the routes that `check` names: all of them, as it counts them by their reasons.
func (s *survey) staying() (out []check.Route) {
	o := routesOf(s.snapshot)
	for _, u := range s.units {
		g := u.desired()
		list, _ := addr.StayingRoutes(&g, &o, len(o.Routes))
		for i := range list {
			r := &list[i]
			c := check.Route{Group: u.cfg.Name, To: r.To.String(), Why: r.Why, Daemon: !addr.Adopts(r.Protocol)}
			if r.To.Bits() == 0 && r.Table == unix.RT_TABLE_MAIN {
				c.To = "default"
			}
			for _, hop := range r.Over {
				if l := s.snapshot.Link(hop.Link); l != nil && !slices.Contains(c.Over, l.Name) {
					c.Over = append(c.Over, l.Name)
				}
			}
			out = append(out, c)
		}
	}
	return out
}
