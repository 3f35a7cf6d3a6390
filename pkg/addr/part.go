// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"maps"
	"net/netip"
	"slices"
)

// Part is some of the groups with what of the host they have to do with.
type Part struct {
	// Groups are indexes into the Groups of the whole, in order.
	Groups   []int
	Desired  Desired
	Observed Observed
}

// Parts divides what is desired and a host that is so already, Observed.With(Plan(d, o)), into parts
// that have nothing to do with each other: what Plan does when a member fails (After) is the same for
// the part that it is in and for the whole, in the messages to the kernel. So the contingencies of a
// group do not cost more because there are others.
//
// Groups are in one part when they want the same route, when one names an address of another, or
// where the host has mixed them up.
func Parts(d Desired, o Observed) []Part {
	s := newSplitter(&d)
	for i := range o.Addresses {
		s.mixed(s.named[o.Addresses[i].Prefix.Addr()], s.links[o.Addresses[i].Link])
	}
	s.findOutside(o.Addresses)
	for i := range o.Routes {
		switch r := &o.Routes[i]; {
		case r.NHID != 0:
		case r.Hops == "":
			s.mixed(s.keys[keyOf(*r)], s.links[r.Link])
		default:
			for _, hop := range r.hops() {
				s.mixed(s.keys[keyOf(*r)], s.links[hop.Link])
			}
		}
	}
	s.findHops(&o)
	parts, at := s.parts(&d)
	s.addresses(parts, at, o.Addresses)
	s.routes(parts, at, o.Routes)
	for _, n := range o.Nexthops {
		if number := s.hops[n.ID]; number != 0 {
			p := &parts[at[number-1]].Observed
			p.Nexthops = append(p.Nexthops, n)
		}
	}
	own := s.own(o.Addresses)
	for _, n := range o.Neighbors {
		if g := s.links[n.Link]; g != 0 && !own(n.IP) {
			p := &parts[at[g-1]].Observed
			p.Neighbors = append(p.Neighbors, n)
		}
	}
	s.interfaces(parts, at, o.Links)
	for i := range parts {
		parts[i].settings(&o)
	}
	return parts
}

// splitter knows which group, by its index plus one, names what; 0: none.
type splitter struct {
	named map[netip.Addr]int // data and test addresses
	uses  map[netip.Addr][]int
	links map[int]int
	keys  map[routeKey]int
	slots [64]int
	hops  map[uint32]int
	// outside are the subnets of copies of what a group names on interfaces that are nobody's.
	outside map[linkPrefix]int
	// leaving are interfaces that have left; all parts know them.
	leaving map[int]bool
	// joined is the tree of those that are in one part, by group.
	joined []int
}

func newSplitter(d *Desired) *splitter {
	s := &splitter{named: map[netip.Addr]int{}, uses: map[netip.Addr][]int{}, links: map[int]int{},
		keys: map[routeKey]int{}, hops: map[uint32]int{}, outside: map[linkPrefix]int{}, leaving: map[int]bool{}, joined: make([]int, len(d.Groups))}
	for i := range s.joined {
		s.joined[i] = i
	}
	for _, l := range d.Leaving {
		s.leaving[l.Index] = true
	}
	for i := range d.Groups {
		s.group(i+1, &d.Groups[i])
	}
	for ip, groups := range s.uses {
		for _, g := range groups {
			s.mixed(s.named[ip], g)
		}
	}
	return s
}

func (s *splitter) group(number int, g *Group) {
	s.slots[g.Slot&63] = number
	for i := range g.Members {
		m := &g.Members[i]
		if m.Index != 0 {
			s.links[m.Index] = number
		}
		for _, t := range m.Tests {
			s.name(number, t.Addr())
		}
	}
	for _, a := range g.Addresses {
		s.name(number, a.Prefix.Addr())
		s.want(number, g.connectedKey(a.Prefix))
	}
	for _, r := range g.Routes {
		s.want(number, keyOfRoute(r))
		for _, ip := range append(r.Gateways(), r.Src) {
			if ip.IsValid() {
				s.uses[ip] = append(s.uses[ip], number)
			}
		}
	}
}

func (s *splitter) name(number int, ip netip.Addr) {
	s.mixed(s.named[ip], number)
	s.named[ip] = number
}

// want a route, and the standing second one.
func (s *splitter) want(number int, key routeKey) {
	for range 2 {
		s.mixed(s.keys[key], number)
		s.keys[key] = number
		key.metric++
	}
}

// mixed: two groups (none is 0) are in one part.
func (s *splitter) mixed(a, b int) {
	if a != 0 && b != 0 && a != b {
		a, b = s.root(a-1), s.root(b-1)
		s.joined[max(a, b)] = min(a, b)
	}
}

func (s *splitter) root(g int) int {
	for s.joined[g] != g {
		g = s.joined[g]
	}
	return g
}

// findHops finds whose the nexthops are: by their numbers, by the members that they go over, or by the
// routes that go through them.
func (s *splitter) findHops(o *Observed) {
	for i := range o.Nexthops {
		n := &o.Nexthops[i]
		if slot, ours := idSlot(n.ID); ours {
			s.belongs(n.ID, s.slots[slot])
		}
		s.belongs(n.ID, s.links[n.Link])
	}
	inGroups := func() {
		for i := range o.Nexthops {
			n := &o.Nexthops[i]
			for _, hop := range n.Hops {
				s.belongs(n.ID, s.hops[hop])
				s.belongs(hop, s.hops[n.ID])
			}
		}
	}
	inGroups()
	for i := range o.Routes {
		if r := &o.Routes[i]; r.NHID != 0 {
			s.belongs(r.NHID, s.keys[keyOf(*r)])
		}
	}
	inGroups()
}

func (s *splitter) belongs(id uint32, number int) {
	s.mixed(s.hops[id], number)
	if number != 0 {
		s.hops[id] = number
	}
}

// parts without what the host has, and in which of them each group is.
func (s *splitter) parts(d *Desired) (parts []Part, at []int) {
	at = make([]int, len(d.Groups))
	for g := range d.Groups {
		if root := s.root(g); root != g {
			at[g] = at[root]
		} else {
			at[g] = len(parts)
			parts = append(parts, Part{Desired: Desired{Leaving: d.Leaving}})
		}
		p := &parts[at[g]]
		p.Groups, p.Desired.Groups = append(p.Groups, g), append(p.Desired.Groups, d.Groups[g])
	}
	for _, f := range d.Found {
		if number := s.named[f.Prefix.Addr()]; number != 0 {
			p := &parts[at[number-1]].Desired
			p.Found = append(p.Found, f)
		}
	}
	return parts, at
}

// addresses on members, and copies elsewhere of what a part names. Whether the host has any address
// of IPv4 matters to all.
func (s *splitter) addresses(parts []Part, at []int, list []HostAddress) {
	in := func(number int) int {
		if number == 0 {
			return -1
		}
		return at[number-1]
	}
	ipv4 := make([]bool, len(parts))
	var any4 *HostAddress
	add := func(part int, a HostAddress, others bool) {
		if others {
			a.Proto = 0 // whoever added it, it is not this part's to delete
		}
		parts[part].Observed.Addresses = append(parts[part].Observed.Addresses, a)
		ipv4[part] = ipv4[part] || a.Prefix.Addr().Is4()
	}
	for i := range list {
		a := &list[i]
		ip := a.Prefix.Addr()
		if any4 == nil && ip.Is4() {
			any4 = a
		}
		on, named := in(s.links[a.Link]), in(s.named[ip])
		if on >= 0 {
			add(on, *a, false)
		}
		if named >= 0 && named != on {
			add(named, *a, false)
		}
		// Which of a subnet is the primary one, and whether others hang on it, counts for the copy.
		beside := in(s.outside[subnetOf(*a)])
		if beside >= 0 && beside != on && beside != named {
			add(beside, *a, true)
		}
		// The gateway or the source of a route, which no group names.
		for _, number := range s.uses[ip] {
			if user := in(number); user != on && user != named && user != beside {
				add(user, *a, true)
			}
		}
	}
	for i := range parts {
		if any4 != nil && !ipv4[i] {
			add(i, *any4, true)
		}
	}
}

func (s *splitter) findOutside(list []HostAddress) {
	for i := range list {
		a := &list[i]
		if named := s.named[a.Prefix.Addr()]; named != 0 && s.links[a.Link] == 0 {
			s.mixed(s.outside[subnetOf(*a)], named)
			s.outside[subnetOf(*a)] = named
		}
	}
}

// interfaces of the members, those that leave, and those that copies are on.
func (s *splitter) interfaces(parts []Part, at []int, list []HostLink) {
	copies := map[int][]int{}
	for subnet, number := range s.outside {
		copies[subnet.link] = append(copies[subnet.link], at[number-1])
	}
	for _, l := range list {
		number := s.links[l.Index]
		for i := range parts {
			if number != 0 && at[number-1] == i || s.leaving[l.Index] || slices.Contains(copies[l.Index], i) {
				parts[i].Observed.Links = append(parts[i].Observed.Links, l)
			}
		}
	}
}

// routes that a part wants, that go through its members or its nexthops, or from its addresses.
func (s *splitter) routes(parts []Part, at []int, list []HostRoute) {
	for i := range list {
		r := &list[i]
		numbers := append(make([]int, 0, 3), s.keys[keyOf(*r)], s.named[r.Src])
		switch {
		case r.NHID != 0:
			numbers = append(numbers, s.hops[r.NHID])
		case r.Hops == "":
			numbers = append(numbers, s.links[r.Link])
		default:
			for _, hop := range r.hops() {
				numbers = append(numbers, s.links[hop.Link])
			}
		}
		var seen []int
		for _, number := range numbers {
			if number != 0 && !slices.Contains(seen, at[number-1]) {
				seen = append(seen, at[number-1])
				o := &parts[at[number-1]].Observed
				o.Routes = append(o.Routes, *r)
			}
		}
	}
}

// own says whether an IP is an address of the host, or about to be.
func (s *splitter) own(list []HostAddress) func(netip.Addr) bool {
	here := make(map[netip.Addr]bool, len(list))
	for i := range list {
		here[list[i].Prefix.Addr()] = true
	}
	return func(ip netip.Addr) bool { return here[ip] || s.named[ip] != 0 }
}

// settings of the part's interfaces.
func (p *Part) settings(o *Observed) {
	keys := SysctlKeys(p.Desired)
	for i := range p.Observed.Links {
		keys = append(keys, sysctlKey("ipv4", p.Observed.Links[i].Name, "promote_secondaries"))
	}
	p.Observed.Sysctls = make(map[string]string, len(keys))
	for _, key := range keys {
		if value, ok := o.Sysctls[key]; ok {
			p.Observed.Sysctls[key] = value
		}
	}
}

// idSlot is the group's slot in one of our ids, and whether it is one.
func idSlot(id uint32) (int, bool) {
	_, ours := idFamily(id)
	return int(id >> 18 & 63), ours
}

// Same says whether two parts are the same, so that what was planned of one need not be planned again.
func (p *Part) Same(q *Part) bool {
	a, b := &p.Observed, &q.Observed
	return slices.EqualFunc(p.Desired.Groups, q.Desired.Groups, func(g, h Group) bool { return g.Same(&h) }) &&
		slices.Equal(p.Desired.Leaving, q.Desired.Leaving) && slices.Equal(p.Desired.Found, q.Desired.Found) &&
		slices.Equal(a.Links, b.Links) && slices.Equal(a.Addresses, b.Addresses) && slices.Equal(a.Routes, b.Routes) &&
		slices.EqualFunc(a.Nexthops, b.Nexthops, sameNexthop) && slices.Equal(a.Neighbors, b.Neighbors) &&
		maps.Equal(a.Sysctls, b.Sysctls)
}

// Same says whether two groups are.
func (g *Group) Same(h *Group) bool {
	return g.Slot == h.Slot && g.Name == h.Name && g.Table == h.Table && g.Spread == h.Spread && g.SpreadL4 == h.SpreadL4 && g.Announce == h.Announce &&
		slices.EqualFunc(g.Members, h.Members, sameMember) && slices.Equal(g.Addresses, h.Addresses) && slices.Equal(g.Routes, h.Routes)
}

func sameMember(m, n Member) bool {
	return m.Name == n.Name && m.Index == n.Index && m.MAC == n.MAC && m.Link == n.Link &&
		m.Usable == n.Usable && m.Active == n.Active && slices.Equal(m.Tests, n.Tests)
}

func sameNexthop(m, n HostNexthop) bool {
	return m.ID == n.ID && m.Protocol == n.Protocol && m.Link == n.Link && m.Gateway == n.Gateway && slices.Equal(m.Hops, n.Hops) &&
		slices.Equal(m.Weights, n.Weights)
}
