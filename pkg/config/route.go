// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"

	"github.com/goccy/go-yaml/ast"
)

type routeEntry struct {
	Route
	routeDraft
}

var routeKeys = []key[routeEntry]{
	{"to", func(d *decoder, n ast.Node, r *routeEntry) (err error) {
		r.to = place(n)
		r.To, err = d.destination(n)
		return err
	}},
	{"via", func(d *decoder, n ast.Node, r *routeEntry) (err error) {
		r.via = place(n)
		r.Via, err = d.address(n, "via")
		return err
	}},
	{"src", func(d *decoder, n ast.Node, r *routeEntry) (err error) {
		r.src = place(n)
		r.Src, err = d.address(n, "src")
		return err
	}},
	field("metric", func(r *routeEntry) *uint32 { return &r.Metric }, number32(0)),
	field("table", func(r *routeEntry) *uint32 { return &r.Table }, number32(1)),
}

func (d *decoder) destination(n ast.Node) (netip.Prefix, error) {
	if s, ok := n.(*ast.StringNode); ok && s.Value == "default" {
		return netip.Prefix{}, d.errorAt(place(n), "write 0.0.0.0/0 or ::/0", `to is "default", which has no family`)
	}
	p, err := d.prefix(n, "to")
	if err != nil {
		return netip.Prefix{}, err
	}
	if p != p.Masked() {
		return netip.Prefix{}, d.errorAt(place(n), "write "+p.Masked().String(), "to %s has host bits", p)
	}
	return p, nil
}

func (d *decoder) readRoutes(n ast.Node, g *draft) error {
	list, err := d.list(n, "routes")
	if err != nil {
		return err
	}
	for _, n := range list {
		var r routeEntry
		if err := decode(d, n, "a route", routeKeys, &r); err != nil {
			return err
		}
		if r.Pos = r.to; !r.To.IsValid() {
			return d.errorAt(place(n), "add `to: PREFIX`", "the route has no destination")
		}
		g.Routes = append(g.Routes, r.Route)
		g.routes = append(g.routes, r.routeDraft)
	}
	return nil
}

func (d *decoder) checkRoutes(g *draft) error {
	for i := range g.Routes {
		r, at := &g.Routes[i], g.routes[i]
		if err := d.checkVia(g, r, at.via); err != nil {
			return err
		}
		if err := d.checkSrc(g, r, at.src); err != nil {
			return err
		}
		for _, other := range g.Routes[:i] {
			if other.To == r.To && other.Metric == r.Metric && other.Table == r.Table {
				return d.errorAt(at.to, "remove one of the two, or give them metrics", "a route to %s is there already", r.To)
			}
		}
	}
	return nil
}

func (d *decoder) checkVia(g *draft, r *Route, at Pos) error {
	if !r.Via.IsValid() {
		return nil
	}
	if r.Via.Is4() != r.To.Addr().Is4() {
		return d.errorAt(at, "use one family", "via %s is not of the family of %s", r.Via, r.To)
	}
	if why := notUnicast(r.Via); why != "" {
		return d.errorAt(at, "use a unicast address", "via %s is %s", r.Via, why)
	}
	if own := ownAddress(&g.Group, r.Via); own != "" {
		return d.errorAt(at, "name the gateway", "via %s is %s itself", r.Via, own)
	}
	if _, ok := onLink(&g.Group, r.Via); !ok {
		return d.errorAt(at, "name a gateway in a subnet of the group"+listed(subnets(&g.Group, r.Via)), "via %s is not on link", r.Via)
	}
	return nil
}

// checkSrc holds src to the data addresses, or finds it: the first of the next hop's subnet, else
// the first of the family (a link-local gateway has no data address in its subnet).
func (d *decoder) checkSrc(g *draft, r *Route, at Pos) error {
	if r.Src.IsValid() {
		if r.Src.Is4() != r.To.Addr().Is4() {
			return d.errorAt(at, "use one family", "src %s is not of the family of %s", r.Src, r.To)
		}
		for _, a := range g.Addresses {
			if a.Prefix.Addr() == r.Src {
				return nil
			}
		}
		return d.errorAt(at, "name one of `addresses`", "src %s is no data address of group %s", r.Src, g.Name)
	}
	near := r.Via
	if !near.IsValid() {
		near = r.To.Addr()
	}
	for _, a := range g.Addresses {
		switch {
		case a.Prefix.Addr().Is4() != near.Is4():
		case a.Prefix.Contains(near):
			r.Src = a.Prefix.Addr()
			return nil
		case !r.Src.IsValid():
			r.Src = a.Prefix.Addr()
		}
	}
	return nil
}

// ownAddress says which address of the group a is; "" for others.
func ownAddress(g *Group, a netip.Addr) string {
	for _, own := range g.Addresses {
		if own.Prefix.Addr() == a {
			return "a data address of the group"
		}
	}
	for _, m := range g.Interfaces {
		for _, own := range m.Test {
			if own.Addr() == a {
				return "the test address of " + m.Name
			}
		}
	}
	return ""
}
