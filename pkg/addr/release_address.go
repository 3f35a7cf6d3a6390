// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// bringBack puts adopted addresses where they were found, and as they were.
func (p *releaser) bringBack() {
	for _, f := range p.found() {
		if _, exists := p.m.links[f.Link]; !exists || !p.of.address(f.Prefix.Addr()) {
			continue
		}
		if f.Form.Valid != 0 {
			if f.Form.Valid -= time.Duration(p.Now - f.At); f.Form.Valid <= 0 {
				continue // the kernel would have deleted it by now
			}
		}
		if f.Form.Preferred != 0 {
			if f.Form.Preferred -= time.Duration(p.Now - f.At); f.Form.Preferred <= 0 {
				f.Form.Preferred, f.Flags = 0, f.Flags|unix.IFA_F_DEPRECATED
			}
		}
		i := p.m.find(f.Link, f.Prefix)
		switch {
		case i < 0:
			p.restoreAddress(f, "it was found here")
		case p.m.addrs[i].Proto == Protocol && f.Proto != Protocol:
			p.putAnew(f, "as it was found")
		}
	}
}

// reorder brings the adopted addresses of each interface into the order in which they were found: the
// first of them is the source for whatever has no better one.
func (p *releaser) reorder() {
	type place struct{ link, family int }
	wanted := make(map[place][]netip.Prefix)
	byPrefix := make(map[linkPrefix]FoundAddress)
	var places []place
	for _, f := range p.found() {
		i := p.m.find(f.Link, f.Prefix)
		if i < 0 || !p.of.address(f.Prefix.Addr()) {
			continue
		}
		at := place{f.Link, familyOf(f.Prefix.Addr())}
		if wanted[at] == nil {
			places = append(places, at)
		}
		wanted[at] = append(wanted[at], p.m.addrs[i].Prefix)
		byPrefix[linkPrefix{f.Link, p.m.addrs[i].Prefix}] = f
	}
	for _, at := range places {
		for _, prefix := range p.m.order(at.link, at.family).again(wanted[at]) {
			p.putAnew(byPrefix[linkPrefix{at.link, prefix}], "after the one that was there before it")
		}
	}
}

// found are the adopted addresses in the order in which they were added, as far as it shows: the
// kernel lists the newest of IPv6 first.
func (p *releaser) found() []FoundAddress {
	var list [2][]FoundAddress
	for _, f := range p.Undo.Addresses {
		list[familyOf(f.Prefix.Addr())] = append(list[familyOf(f.Prefix.Addr())], f)
	}
	slices.SortStableFunc(list[0], func(a, b FoundAddress) int { return cmp.Compare(a.secondary(), b.secondary()) })
	slices.Reverse(list[1])
	slices.SortStableFunc(list[1], func(a, b FoundAddress) int { return cmp.Compare(a.At, b.At) })
	return slices.Concat(list[0], list[1])
}

// putAnew deletes an address and adds it as it was found. One of IPv6 that we have added is the newest, and can be changed where it is.
func (p *releaser) putAnew(f FoundAddress, why string) {
	if i := p.m.find(f.Link, f.Prefix); f.Prefix.Addr().Is6() && p.m.addrs[i].Proto == Protocol {
		p.restoreAddress(f, why)
		return
	}
	p.standIn(f)
	a := p.m.addrs[p.m.find(f.Link, f.Prefix)]
	p.deleteAddress(a, "to be put back "+why)
	p.restoreAddress(f, why)
}

func (p *releaser) restoreAddress(f FoundAddress, why string) {
	p.do(Op{Kind: RestoreAddress, Group: p.slotOf(f.Prefix.Addr()), Link: f.Link, LinkName: p.m.links[f.Link].Name, Prefix: f.Prefix,
		Flags: f.Flags, Form: f.Form, Protocol: int(f.Proto), Why: why})
}

// standIn is there for as long as the address is gone. Of IPv4 it is the same with another length: the
// kernel takes every route through an interface away with its last address, too. Otherwise, and of
// IPv6, it is a copy on another member.
func (p *releaser) standIn(f FoundAddress) {
	ip := f.Prefix.Addr()
	if ip.Is4() && !f.Prefix.IsSingleIP() {
		p.do(Op{Kind: AddAddress, Group: p.slotOf(ip), Link: f.Link, LinkName: p.m.links[f.Link].Name,
			Prefix: netip.PrefixFrom(ip, ip.BitLen()), Why: "it stands in for the one that is put back"})
		return
	}
	if slices.ContainsFunc(p.m.byIP[ip], func(i int) bool { return p.m.addrs[i].Link != f.Link }) {
		return
	}
	for _, g := range p.Groups {
		for _, m := range g.Members {
			if l, exists := p.m.links[m.Index]; exists && l.Up && m.Index != f.Link {
				p.do(Op{Kind: AddAddress, Group: g.Slot, Link: m.Index, LinkName: l.Name, Prefix: f.Prefix,
					Why: "it stands in for the one that is put back"})
				return
			}
		}
	}
}

// slotOf the group that names an address.
func (p *releaser) slotOf(ip netip.Addr) int {
	for _, g := range p.Groups {
		named := func(a netip.Prefix) bool { return a.Addr() == ip }
		if slices.ContainsFunc(g.Addresses, named) ||
			slices.ContainsFunc(g.Members, func(m UndoMember) bool { return slices.ContainsFunc(m.Tests, named) }) {
			return g.Slot
		}
	}
	return 0
}

// deleteAddresses takes ours off, secondary ones before their primary one.
func (p *releaser) deleteAddresses() {
	for _, a := range slices.Backward(p.m.addrs) {
		if a.Link != 0 && a.Proto == Protocol && p.of.address(a.Prefix.Addr()) {
			p.deleteAddress(a, "released")
		}
	}
}

func (p *releaser) deleteAddress(a HostAddress, why string) {
	name := p.m.links[a.Link].Name
	if p.m.takesOthers(a) {
		key := sysctlKey("ipv4", name, "promote_secondaries")
		if _, lent := p.lent[key]; !lent {
			p.lent[key] = p.m.sysctls[key]
		}
		p.do(Op{Kind: SetSysctl, Link: a.Link, LinkName: name, Key: key, Value: "1", Why: "deleting " + a.Prefix.String() + " would take others along"})
	}
	p.do(Op{Kind: DeleteAddress, Group: p.slotOf(a.Prefix.Addr()), Link: a.Link, LinkName: name, Prefix: a.Prefix, Protocol: int(a.Proto), Why: why})
}

// restoreConnected puts the kernel's connected routes back, where an address of others has none any
// more: the kernel adds them with the address only, and Plan has replaced them by ours.
func (p *releaser) restoreConnected() {
	members := p.interfaces()
	var again []int
	lacking := make(map[linkPrefix]bool)
	for i, a := range p.m.addrs {
		r, ok := p.m.prefixRoute(a)
		if !ok || a.Proto == Protocol || !members[a.Link] || !p.m.links[a.Link].Up || a.Prefix.Addr().IsLinkLocalUnicast() {
			continue
		}
		same := func(h HostRoute) bool {
			return h.Protocol == unix.RTPROT_KERNEL && h.Link == r.Link && (h.Src == r.Src || r.To.Addr().Is6())
		}
		if lacks := !slices.ContainsFunc(p.m.routes[keyOf(r)], same); r.To.Addr().Is6() {
			again = append(again, i)
			lacking[subnetOf(a)] = lacking[subnetOf(a)] || lacks
			continue
		} else if !lacks {
			continue
		}
		p.do(Op{Kind: RestoreConnected, Group: p.slotOf(a.Prefix.Addr()), Link: a.Link, LinkName: p.m.links[a.Link].Name, Prefix: r.To,
			Src: r.Src, Metric: r.Metric, Table: r.Table, OnLink: true, Protocol: unix.RTPROT_KERNEL,
			Why: "the kernel's connected route, in whose place ours was"})
	}
	// Of IPv6 it has the lifetime of the address that was last added or changed; changing one brings it back.
	slices.SortFunc(again, func(i, j int) int { return cmp.Compare(p.m.age(i), p.m.age(j)) })
	for _, i := range again {
		if a := p.m.addrs[i]; lacking[subnetOf(a)] {
			p.restoreAddress(FoundAddress{Link: a.Link, Prefix: a.Prefix, Flags: a.Flags, Proto: a.Proto, Form: a.Form},
				"its connected route was ours")
		}
	}
}

// interfaces are those of the groups that go; where the groups are not known any more, those
// that our nexthops are over.
func (p *releaser) interfaces() map[int]bool {
	members := maps.Clone(p.of.links)
	for _, n := range p.m.nexthops {
		if n.Protocol == Protocol && n.Link != 0 && p.of.nexthop(n.ID) {
			members[n.Link] = true
		}
	}
	return members
}
