// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"slices"
	"strconv"
)

// hashPolicies say by what flows are told apart: 0 is addresses, 1 ports too.
var hashPolicies = []string{"net/ipv4/fib_multipath_hash_policy", "net/ipv6/fib_multipath_hash_policy"}

// sysctlNames are the ones that Plan reads, by family (detection.md section 7).
var sysctlNames = [2]struct {
	dir   string
	names []string
}{
	{"ipv4", []string{"promote_secondaries", "arp_announce", "rp_filter", "arp_evict_nocarrier"}},
	{"ipv6", []string{"ndisc_evict_nocarrier", "keep_addr_on_down"}},
}

// sysctlKey has slashes throughout, as an interface's name may have dots.
func sysctlKey(family, ifname, name string) string {
	return "net/" + family + "/conf/" + ifname + "/" + name
}

// SysctlKeys are the keys below /proc/sys that Observed.Sysctls must hold for d: those of the
// namespace, if any are wanted, then those of `all`, then those of the members and of those that leave.
func SysctlKeys(d Desired) []string {
	names := []string{"all"}
	for _, g := range d.Groups {
		for _, m := range g.Members {
			names = append(names, m.Name)
		}
	}
	for _, l := range d.Leaving {
		names = append(names, l.Name)
	}
	var keys []string
	if wantsPorts(d) >= 0 {
		keys = append(keys, hashPolicies...)
	}
	for _, ifname := range names {
		for _, f := range sysctlNames {
			for _, name := range f.names {
				keys = append(keys, sysctlKey(f.dir, ifname, name))
			}
		}
	}
	return keys
}

// sysctls sets those of a member whose present value harms. What is effective is the kernel's
// combination of all and member, and only the member's is ever written.
func (p *planner) sysctls(g *Group, m *Member) {
	set := func(family, name, value, why string, harms func(all, own int) bool) {
		key, all, own, ok := p.m.sysctl(family, m.Name, name)
		if ok && harms(all, own) {
			p.do(Op{Kind: SetSysctl, Group: g.Slot, Link: m.Index, LinkName: m.Name, Key: key, Value: value, Why: why})
		}
	}
	set("ipv4", "promote_secondaries", "1", "deleting a data address would delete the test address too",
		func(all, own int) bool { return all <= 0 && own <= 0 })
	set("ipv4", "arp_announce", "2", "ARP requests would name addresses of other members",
		func(all, own int) bool { return max(all, own) < 2 })
	if value, why := rpFilter(p.m, g, m); value >= 0 {
		set("ipv4", "rp_filter", strconv.Itoa(value), why, func(_, own int) bool { return own != value })
	}
	// The kernel flushes when both all and member say so.
	set("ipv4", "arp_evict_nocarrier", "0", "carrier loss would flush the neighbours that the egress switch needs",
		func(all, own int) bool { return all > 0 && own > 0 })
	set("ipv6", "ndisc_evict_nocarrier", "0", "carrier loss would flush the neighbours that the egress switch needs",
		func(all, own int) bool { return all > 0 && own > 0 })
	// A negative all overrides the member.
	set("ipv6", "keep_addr_on_down", "1", "taking the interface down would delete its addresses",
		func(all, own int) bool { return all == 0 && own <= 0 })
}

// wantsPorts is the first group that does, -1 for none.
func wantsPorts(d Desired) int {
	return slices.IndexFunc(d.Groups, func(g Group) bool { return g.SpreadL4 })
}

// hashPolicy lets flows be told apart by their ports, if some group wants it.
func (p *planner) hashPolicy() {
	i := wantsPorts(p.d)
	if i < 0 {
		return
	}
	for _, key := range hashPolicies {
		if value, ok := p.m.sysctls[key]; ok && value != "1" {
			p.do(Op{Kind: SetSysctl, Group: p.d.Groups[i].Slot, Key: key, Value: "1", Why: "flows are spread by their ports too"})
		}
	}
}

// rpFilter is the value that the member needs, -1 for none. Replies may come in by another member
// than the requests went out, which strict filtering (1) drops. A member without an IPv4 address
// of its own drops everything under 1 and 2; where all is not 0 nothing on the member helps.
func rpFilter(m *model, g *Group, member *Member) (int, string) {
	_, all, own, ok := m.sysctl("ipv4", member.Name, "rp_filter")
	switch {
	case !ok:
		return -1, ""
	case !ownAddress(member, 0) && all == 0 && own > 0 && hasFamily(g, 0):
		return 0, "a member without an IPv4 address would drop all that arrives"
	case max(all, own) == 1:
		return 2, "replies that arrive by another member would be dropped"
	}
	return -1, ""
}

// hasFamily says whether the group has data addresses of a family.
func hasFamily(g *Group, family int) bool {
	for _, a := range g.Addresses {
		if familyOf(a.Prefix.Addr()) == family {
			return true
		}
	}
	return false
}

// ownAddress says whether a member has an address of its own to send from: a test address, or, of
// IPv6, the link-local one that every interface has.
func ownAddress(m *Member, family int) bool {
	if family == 1 {
		return true
	}
	for _, t := range m.Tests {
		if t.Addr().Is4() {
			return true
		}
	}
	return false
}
