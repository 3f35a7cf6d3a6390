// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// addAddresses puts every data address on its owner, then the test addresses where they are
// missing. One that is there is adopted as it stands: adding it again would interrupt traffic.
func (p *planner) addAddresses() {
	for i := range p.d.Groups {
		g := &p.d.Groups[i]
		for _, a := range g.Addresses {
			to := p.data[a.Prefix.Addr()]
			if to.group != g || to.owner == nil {
				continue
			}
			p.clearRefused(g, to.owner, a.Prefix)
			if !p.m.has(to.owner.Index, a.Prefix) {
				op := p.address(AddAddress, g, to.owner, a.Prefix, "data address belongs here")
				op.Form, op.At = p.carried(a.Prefix, to.owner)
				op.Form.Scope = p.m.scope(to.owner.Index, a.Prefix, op.Form.Scope)
				p.do(op)
			}
		}
	}
	for i := range p.d.Groups {
		g := &p.d.Groups[i]
		for j := range g.Members {
			m := &g.Members[j]
			for _, t := range m.Tests {
				p.clearRefused(g, m, t)
				if p.exists(m) && !p.m.has(m.Index, t) {
					op := p.address(AddAddress, g, m, t, "test address is missing")
					op.Test = true
					op.Form.Scope = p.m.scope(m.Index, t, op.Form.Scope)
					p.do(op)
				}
			}
		}
	}
}

// clearRefused takes an address away that the kernel has refused, to be added again without its question:
// whether it may be used was asked by others (contract section 3, duplicate-check).
func (p *planner) clearRefused(g *Group, m *Member, prefix netip.Prefix) {
	i := p.m.find(m.Index, prefix)
	if i < 0 || !p.exists(m) || !p.m.refused(m.Index, prefix) {
		return
	}
	a := p.m.addrs[i]
	op := p.address(DeleteAddress, g, m, a.Prefix, "the kernel has refused it as a duplicate")
	op.Protocol = int(a.Proto)
	p.do(op)
}

func (p *planner) address(kind Kind, g *Group, m *Member, prefix netip.Prefix, why string) Op {
	return Op{Kind: kind, Group: g.Slot, Link: m.Index, LinkName: m.Name, Prefix: prefix, Why: why}
}

// correctFlags makes IPv6 test addresses deprecated and data addresses not, where one that we added
// has changed its part. It comes after our routes, as the kernel takes its own connected route away
// with it. What others added stays as it was found: IFA_PROTO would become ours with the flags, and
// our routes name their source anyway. IPv4 ignores the flag.
func (p *planner) correctFlags() {
	for _, a := range p.m.addrs {
		ip := a.Prefix.Addr()
		if a.Link == 0 || ip.Is4() || a.Proto != Protocol {
			continue
		}
		deprecated := a.Flags&unix.IFA_F_DEPRECATED != 0
		m, member := p.members[a.Link]
		if to, data := p.data[ip]; member && data && to.owner == m && deprecated {
			op := p.address(AddAddress, to.group, m, a.Prefix, "data address must not be deprecated")
			op.Form, op.At = a.carry(m.Name, m.Name)
			p.do(op)
		} else if test := p.tests[ip]; member && !data && test == m && !deprecated {
			op := p.address(AddAddress, p.groupOf(m), m, a.Prefix, "test address must not become a source")
			op.Test = true
			p.do(op)
		}
	}
}

func (p *planner) groupOf(m *Member) *Group {
	for i := range p.d.Groups {
		for j := range p.d.Groups[i].Members {
			if &p.d.Groups[i].Members[j] == m {
				return &p.d.Groups[i]
			}
		}
	}
	return &Group{}
}

// deleteAddresses takes addresses off where they no longer belong: further copies of a data
// address, which a half-done failover leaves, once its owner has it; and what we added and nothing
// names any more. One whose deletion would take others along (a primary one, on an interface that
// does not promote secondaries: members do by now) stays.
func (p *planner) deleteAddresses() {
	for _, a := range slices.Backward(p.m.addrs) { // secondary ones before their primary one
		if a.Link == 0 {
			continue
		}
		if why := p.unwanted(a); why != "" && !p.m.takesOthers(a) {
			op := Op{Kind: DeleteAddress, Link: a.Link, LinkName: p.m.links[a.Link].Name, Prefix: a.Prefix, Protocol: int(a.Proto), Why: why}
			if to, data := p.data[a.Prefix.Addr()]; data {
				op.Group = to.group.Slot
				if to.owner != nil {
					op.Owner = to.owner.Index
				}
			} else if m, member := p.members[a.Link]; member {
				op.Group = p.groupOf(m).Slot
			}
			p.do(op)
		}
	}
}

// unwanted is the reason why the address must go, "" for none.
func (p *planner) unwanted(a HostAddress) string {
	ip := a.Prefix.Addr()
	m, member := p.members[a.Link]
	ours := a.Proto == Protocol
	if to, data := p.data[ip]; data {
		switch {
		case to.owner == nil || !p.m.has(to.owner.Index, to.prefix):
			return "" // never the last copy
		case to.owner == m && (a.Prefix == to.prefix || !ours || ip.Is6()):
			return ""
		case to.owner == m:
			return "its length has changed"
		case member || ours || p.leaving[a.Link]:
			return "it belongs to " + to.owner.Name
		}
		return ""
	}
	switch test, isTest := p.tests[ip]; {
	case !ours:
		return ""
	case !isTest:
		return "the configuration no longer names it"
	case test != m:
		return "test address of another member"
	case !slices.Contains(m.Tests, a.Prefix) && ip.Is4():
		return "its length has changed"
	}
	return ""
}
