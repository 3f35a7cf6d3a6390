// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"

	"github.com/goccy/go-yaml/ast"
)

// addressKey is what must be unique: an address on the host, a link-local one on its link.
type addressKey struct {
	addr  netip.Addr
	group string
}

type addressDraft struct {
	prefix   netip.Prefix
	at, home Pos
	name     string
}

var addressKeys = []key[addressDraft]{
	{"address", func(d *decoder, n ast.Node, a *addressDraft) (err error) {
		a.at = place(n)
		a.prefix, err = d.prefix(n, "address")
		return err
	}},
	{"home", func(d *decoder, n ast.Node, a *addressDraft) (err error) {
		a.home = place(n)
		a.name, err = d.text(n, "home", "the name of an interface")
		return err
	}},
}

func (d *decoder) readAddresses(n ast.Node, g *draft) error {
	list, err := d.list(n, "addresses")
	if err != nil {
		return err
	}
	for _, n := range list {
		var a addressDraft
		if m, ok := n.(*ast.MappingNode); ok {
			if err := decode(d, m, "an entry of addresses", addressKeys, &a); err != nil {
				return err
			}
			if !a.prefix.IsValid() {
				return d.errorAt(place(m), "add `address: ADDRESS/LENGTH`", "the entry has no address")
			}
		} else {
			a.at = place(n)
			if a.prefix, err = d.prefix(n, "address"); err != nil {
				return err
			}
		}
		if d.count++; d.count > maxAddresses {
			return d.errorAt(a.at, "remove some", "there are more than %d addresses", maxAddresses)
		}
		g.Addresses = append(g.Addresses, Address{Pos: a.at, Prefix: a.prefix, Home: a.name})
		g.homes = append(g.homes, a.home)
	}
	return nil
}

func (d *decoder) checkAddresses(g *draft) error {
	for _, a := range g.Addresses {
		if err := d.checkHostAddress(a.Pos, a.Prefix, "data address"); err != nil {
			return err
		}
		if linkLocal(a.Prefix.Addr()) {
			return d.errorAt(a.Pos, "use a routable address, as a link-local one stays on its interface",
				"data address %s is link-local", a.Prefix.Addr())
		}
		if err := d.claim(g, a.Pos, a.Prefix.Addr(), "a data address of group "+g.Name); err != nil {
			return err
		}
	}
	return d.placeHomes(g)
}

// placeHomes holds the homes of the file to the members, and deals the other addresses out in
// turn over the members that are no standby, whatever their family.
func (d *decoder) placeHomes(g *draft) error {
	var homes []string
	standby := make(map[string]bool, len(g.Interfaces))
	for _, m := range g.Interfaces {
		standby[m.Name] = m.Standby
		if !m.Standby {
			homes = append(homes, m.Name)
		}
	}
	next := 0
	for i := range g.Addresses {
		a := &g.Addresses[i]
		if g.homes[i] == (Pos{}) {
			a.Home = homes[next%len(homes)]
			next++
			continue
		}
		isStandby, known := standby[a.Home]
		switch {
		case !known:
			return d.errorAt(g.homes[i], "name an interface of the group", "home %q is no interface of group %s", a.Home, g.Name)
		case isStandby:
			return d.errorAt(g.homes[i], "name an interface that is no standby", "home %s is a standby", a.Home)
		}
	}
	return nil
}

// checkTests holds the test addresses of a group: all of a family in one subnet.
func (d *decoder) checkTests(g *draft) error {
	subnet := make(map[bool]netip.Prefix, 2)
	for _, m := range g.Interfaces {
		count := make(map[bool]int, 2)
		for i, p := range m.Test {
			at, v4 := g.tests[m.Name][i], p.Addr().Is4()
			if err := d.checkHostAddress(at, p, "test address"); err != nil {
				return err
			}
			if err := d.claim(g, at, p.Addr(), "a test address of "+m.Name); err != nil {
				return err
			}
			if count[v4]++; count[v4] > maxTestAddresses {
				return d.errorAt(at, "remove some", "%s has more than %d test addresses of a family", m.Name, maxTestAddresses)
			}
			first, ok := subnet[v4]
			if !ok {
				subnet[v4] = p.Masked()
			} else if first != p.Masked() {
				return d.errorAt(at, "give the test addresses of a family one subnet",
					"test address %s is not in %s, as the others of %s are", p, first, g.called())
			}
		}
	}
	return nil
}

// claim refuses an address that the file has already.
func (d *decoder) claim(g *draft, at Pos, a netip.Addr, as string) error {
	k := addressKey{addr: a}
	if linkLocal(a) {
		k.group = g.Key()
	}
	if owner, ok := d.addresses[k]; ok {
		return d.errorAt(at, "remove one of the two", "%s is already %s", a, owner)
	}
	d.addresses[k] = as
	return nil
}

// checkHostAddress refuses what no interface may be given.
func (d *decoder) checkHostAddress(at Pos, p netip.Prefix, what string) error {
	if why := notUnicast(p.Addr()); why != "" {
		return d.errorAt(at, "use a unicast address", "%s %s is %s", what, p, why)
	}
	if p.Bits() == 0 {
		return d.errorAt(at, "write the length of its subnet", "%s %s has the length 0", what, p)
	}
	if p.Addr().Is4() && p.Bits() <= 30 {
		if p.Addr() == p.Masked().Addr() {
			return d.errorAt(at, "use an address of a host in it", "%s %s is the subnet itself", what, p)
		}
		if p.Addr() == broadcast(p) {
			return d.errorAt(at, "use an address of a host", "%s %s is the broadcast address of its subnet", what, p)
		}
	}
	return nil
}

// notUnicast says what an address is that no host has; "" for the others.
func notUnicast(a netip.Addr) string {
	switch {
	case a.IsUnspecified():
		return "the unspecified address"
	case a.IsLoopback():
		return "a loopback address"
	case a.IsMulticast():
		return "a multicast address"
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "the broadcast address"
	}
	return ""
}

func linkLocal(a netip.Addr) bool {
	return a.IsLinkLocalUnicast()
}

// broadcast is the last address of an IPv4 subnet.
func broadcast(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// onLink is the subnet of the group that holds a, if any. IPv6 link-local is on every link.
func onLink(g *Group, a netip.Addr) (netip.Prefix, bool) {
	if a.Is6() && linkLocal(a) {
		return netip.PrefixFrom(a, 64).Masked(), true
	}
	for _, own := range g.Addresses {
		if own.Prefix.Contains(a) {
			return own.Prefix.Masked(), true
		}
	}
	for _, m := range g.Interfaces {
		for _, own := range m.Test {
			if own.Contains(a) {
				return own.Masked(), true
			}
		}
	}
	return netip.Prefix{}, false
}

// subnets lists what is on link in a family, for messages.
func subnets(g *Group, like netip.Addr) string {
	text, seen := "", map[netip.Prefix]bool{}
	add := func(p netip.Prefix) {
		if p = p.Masked(); p.Addr().Is4() == like.Is4() && !seen[p] {
			seen[p] = true
			text += fmt.Sprintf(" %s", p)
		}
	}
	for _, a := range g.Addresses {
		add(a.Prefix)
	}
	for _, m := range g.Interfaces {
		for _, p := range m.Test {
			add(p)
		}
	}
	return text
}
