// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"net/netip"
	"slices"
)

// Plan returns the operations, in order, that turn what is on the host into what is desired; none
// when it is so already. It is level-triggered: it compares the whole of both each time, and needs
// nothing from earlier plans.
//
// At every step an address that was on a member is on one, and a preferred source exists before
// routes name it and until they no longer do: sysctls, neighbours, nexthops, nexthop groups,
// addresses on their new owner, routes, kernel connected routes that ours replace, addresses off
// their old one, and what is left over.
//
// It touches what is ours: the addresses that d names, on members; routes, nexthops and addresses
// with our Protocol; kernel connected routes of members for subnets that ours cover. With nobody
// usable it takes nothing away.
func Plan(d Desired, o Observed) []Op {
	p := newPlanner(d, o)
	p.hashPolicy()
	for i := range p.d.Groups {
		g := &p.d.Groups[i]
		for j := range g.Members {
			if p.exists(&g.Members[j]) {
				p.sysctls(g, &g.Members[j])
			}
		}
	}
	for _, op := range Neighbors(d, o) {
		p.do(op)
	}
	for i := range p.d.Groups {
		p.wantRoutes(&p.d.Groups[i])
	}
	if p.m.ipv4 == 0 || p.joins() {
		p.addAddresses() // Linux takes no IPv4 gateway before the first address
	}
	for _, gate := range p.gates {
		p.setNexthops(gate)
	}
	for _, gate := range p.gates {
		p.setNexthopGroups(gate)
	}
	p.addAddresses()
	p.setRoutes()
	p.correctFlags()
	p.deleteConnected()
	p.deleteStaleRoutes()
	p.deleteAddresses()
	p.deleteConnected() // those that came back with an address that became the primary one
	p.deleteNexthops()
	return p.ops
}

// planner works on a model of the host on which each operation has happened as soon as it is
// planned, so that a later step sees what an earlier one has done.
type planner struct {
	d   Desired
	m   *model
	ops []Op

	// data are the data addresses by IP, tests the test addresses.
	data  map[netip.Addr]dataAddress
	tests map[netip.Addr]*Member
	// members by interface index.
	members map[int]*Member
	leaving map[int]bool

	found map[netip.Prefix]*FoundAddress // of d.Found, made when it is asked

	gates []*gate
	// usedIDs is made by used.
	usedIDs map[uint32]bool
	routes  []wantedRoute
	wanted  map[routeKey]*wantedRoute
}

// dataAddress is an address that d names. owner is nil: it stays where it is.
type dataAddress struct {
	group  *Group
	prefix netip.Prefix
	owner  *Member
}

func newPlanner(d Desired, o Observed) *planner {
	p := &planner{
		d: d, m: newModel(&o),
		data:    make(map[netip.Addr]dataAddress, dataAddresses(d)),
		tests:   make(map[netip.Addr]*Member),
		members: make(map[int]*Member),
		leaving: make(map[int]bool),
		wanted:  make(map[routeKey]*wantedRoute),
	}
	for _, l := range d.Leaving {
		p.leaving[l.Index] = true
	}
	for i := range d.Groups {
		g := &d.Groups[i]
		for j := range g.Members {
			m := &g.Members[j]
			if p.exists(m) {
				p.members[m.Index] = m
			}
			for _, t := range m.Tests {
				p.tests[t.Addr()] = m
			}
		}
		for _, a := range g.Addresses {
			to := dataAddress{group: g, prefix: a.Prefix}
			if a.Member >= 0 && a.Member < len(g.Members) && p.exists(&g.Members[a.Member]) {
				to.owner = &g.Members[a.Member]
			}
			p.data[a.Prefix.Addr()] = to
		}
	}
	p.ops = make([]Op, 0, p.expected())
	return p
}

func dataAddresses(d Desired) (n int) {
	for i := range d.Groups {
		n += len(d.Groups[i].Addresses)
	}
	return n
}

// expected is about how many operations there will be, that a list of thousands need not grow: one for
// each data address that its owner lacks, and another where it is elsewhere.
func (p *planner) expected() int {
	n := 16
	for ip, to := range p.data {
		if to.owner != nil && !p.m.has(to.owner.Index, to.prefix) {
			n += 1 + len(p.m.byIP[ip])
		}
	}
	return n
}

// do appends the operation and lets it happen on the model.
func (p *planner) do(op Op) {
	_ = p.m.apply(&op) // what the kernel refuses is planned again next time
	p.ops = append(p.ops, op)
}

// exists says whether the member is an interface of this host.
func (p *planner) exists(m *Member) bool {
	_, ok := p.m.links[m.Index]
	return ok && m.Index != 0
}

// joins says whether a member is to carry traffic at once, but has no address of its own yet: it would
// ask for neighbours from an address of another member, and pull that over to itself.
func (p *planner) joins() bool {
	is4 := func(t netip.Prefix) bool { return t.Addr().Is4() }
	for _, gate := range p.gates {
		if gate.family != 0 || len(p.m.nexthops[gate.id(idGroup)].Hops) == 0 {
			continue
		}
		for i := range gate.group.Members {
			m := &gate.group.Members[i]
			there := func(t netip.Prefix) bool { return is4(t) && p.m.has(m.Index, t) }
			if p.exists(m) && slices.ContainsFunc(m.Tests, is4) && !slices.ContainsFunc(m.Tests, there) {
				return true
			}
		}
	}
	return false
}

// sends says whether the kernel accepts a nexthop over the member.
func (p *planner) sends(m *Member) bool {
	l := p.m.links[m.Index]
	return p.exists(m) && m.Link && l.Up && l.Carrier
}

// familyOf is 0 for IPv4, 1 for IPv6.
func familyOf(ip netip.Addr) int {
	if ip.Is4() {
		return 0
	}
	return 1
}
