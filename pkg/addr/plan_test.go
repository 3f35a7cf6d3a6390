// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// pair is the article's group: two members with test addresses, one default route.
func pair() (Desired, *kernel) {
	prefix := netip.MustParsePrefix
	both := [2]bool{true, true}
	return Desired{Groups: []Group{{
		Name: "unrealgrp1", Spread: true,
		Members: []Member{
			{Name: "hme0", Index: 2, MAC: MAC{2, 0, 0, 0, 0, 2}, Link: true, Tests: []netip.Prefix{prefix("192.0.2.11/24")}, Usable: both, Active: both},
			{Name: "hme1", Index: 3, MAC: MAC{2, 0, 0, 0, 0, 3}, Link: true, Tests: []netip.Prefix{prefix("192.0.2.12/24")}, Usable: both, Active: both},
		},
		Addresses: []Address{{Prefix: prefix("192.0.2.10/24"), Member: 0}},
		Routes:    []Route{{To: prefix("0.0.0.0/0"), Via: netip.MustParseAddr("192.0.2.1")}},
	}}}, newKernel("hme0", "hme1")
}

// failed is After, with those active whom pkg/group would have: who was, who takes an address, and at least
// one that is usable.
func failed(d Desired, group, member, family int, owners []int) Desired {
	g := &d.Groups[group]
	var active [2]uint32
	for f := range 2 {
		lost := family == Both || family == f
		for i, m := range g.Members {
			if m.Active[f] && !(lost && i == member) {
				active[f] |= 1 << i
			}
		}
		for i := range g.Addresses[:min(len(owners), len(g.Addresses))] {
			if owners[i] >= 0 && owners[i] != g.Addresses[i].Member && familyOf(g.Addresses[i].Prefix.Addr()) == f {
				active[f] |= 1 << owners[i]
			}
		}
		for i, m := range g.Members {
			if lost && active[f] == 0 && m.Usable[f] && i != member {
				active[f] = 1 << i
			}
		}
	}
	return After(d, group, member, family, owners, active)
}

func (d *Desired) fail(member int, owners ...int) { *d = failed(*d, 0, member, Both, owners) }

func (d *Desired) repair(member int) {
	m := &d.Groups[0].Members[member]
	m.Link, m.Usable, m.Active = true, [2]bool{true, true}, [2]bool{true, true}
}

// Each row starts where the one before ended.
func TestPlan(t *testing.T) {
	d, k := pair()
	for _, name := range []string{"hme0", "hme1"} {
		k.sysctls[sysctlKey("ipv4", name, "rp_filter")] = "1"
	}
	for _, row := range []struct {
		name string
		do   func()
		want string
	}{
		{"fresh host", func() {}, `
sysctl net/ipv4/conf/hme0/promote_secondaries=1
sysctl net/ipv4/conf/hme0/arp_announce=2
sysctl net/ipv4/conf/hme0/rp_filter=2
sysctl net/ipv4/conf/hme0/arp_evict_nocarrier=0
sysctl net/ipv6/conf/hme0/ndisc_evict_nocarrier=0
sysctl net/ipv6/conf/hme0/keep_addr_on_down=1
sysctl net/ipv4/conf/hme1/promote_secondaries=1
sysctl net/ipv4/conf/hme1/arp_announce=2
sysctl net/ipv4/conf/hme1/rp_filter=2
sysctl net/ipv4/conf/hme1/arp_evict_nocarrier=0
sysctl net/ipv6/conf/hme1/ndisc_evict_nocarrier=0
sysctl net/ipv6/conf/hme1/keep_addr_on_down=1
ip nexthop replace id 0-v4-via-0 via 192.0.2.1 dev hme0
ip nexthop replace id 0-v4-via-1 via 192.0.2.1 dev hme1
ip nexthop replace id 0-v4-0 dev hme0
ip nexthop replace id 0-v4-1 dev hme1
ip nexthop replace id 0-v4-via-group group 0-v4-via-0/0-v4-via-1
ip nexthop replace id 0-v4-group group 0-v4-0/0-v4-1
ip addr replace 192.0.2.10/24 dev hme0
ip addr replace 192.0.2.11/24 dev hme0 test
ip addr replace 192.0.2.12/24 dev hme1 test
ip route replace default nhid 0-v4-via-group src 192.0.2.10
ip route replace 192.0.2.0/24 nhid 0-v4-group scope link src 192.0.2.10`},
		{"nothing to do", func() {}, ``},
		{"hme0 fails", func() { d.fail(0, 1) }, `
ip nexthop replace id 0-v4-via-group group 0-v4-via-1
ip nexthop replace id 0-v4-group group 0-v4-1
ip addr replace 192.0.2.10/24 dev hme1
ip addr del 192.0.2.10/24 dev hme0`},
		{"its link goes, the kernel flushes", func() { k.setCarrier("hme0", false) }, ``},
		{"nobody usable: nothing moves", func() { d.Groups[0].Members[1].Usable, d.Groups[0].Members[1].Active = [2]bool{}, [2]bool{} }, ``},
		{"hme1 usable again", func() { d.repair(1) }, ``},
		{"hme0 repaired, its address home", func() {
			k.setCarrier("hme0", true)
			d.repair(0)
			d.Groups[0].Addresses[0].Member = 0
		}, `
ip nexthop replace id 0-v4-via-0 via 192.0.2.1 dev hme0
ip nexthop replace id 0-v4-0 dev hme0
ip nexthop replace id 0-v4-via-group group 0-v4-via-0/0-v4-via-1
ip nexthop replace id 0-v4-group group 0-v4-0/0-v4-1
ip addr replace 192.0.2.10/24 dev hme0
ip addr del 192.0.2.10/24 dev hme1`},
		{"one at a time: the second route waits on the other", func() { d.Groups[0].Spread = false }, `
ip nexthop replace id 0-v4-via-group group 0-v4-via-0
ip nexthop replace id 0-v4-via-standing group 0-v4-via-1
ip nexthop replace id 0-v4-group group 0-v4-0
ip nexthop replace id 0-v4-standing group 0-v4-1
ip route replace default nhid 0-v4-via-standing src 192.0.2.10 metric 1
ip route replace 192.0.2.0/24 nhid 0-v4-standing scope link src 192.0.2.10 metric 1`},
		{"hme0 loses its link: the second routes are there already", func() {
			k.setCarrier("hme0", false)
			d.fail(0, 1)
		}, `
ip nexthop replace id 0-v4-via-group group 0-v4-via-1
ip nexthop replace id 0-v4-group group 0-v4-1
ip addr replace 192.0.2.10/24 dev hme1
ip route replace default nhid 0-v4-via-group src 192.0.2.10
ip route replace 192.0.2.0/24 nhid 0-v4-group scope link src 192.0.2.10
ip addr del 192.0.2.10/24 dev hme0`},
		{"spread again, with both", func() {
			k.setCarrier("hme0", true)
			d.repair(0)
			d.Groups[0].Spread = true
		}, `
ip nexthop replace id 0-v4-via-0 via 192.0.2.1 dev hme0
ip nexthop replace id 0-v4-0 dev hme0
ip nexthop replace id 0-v4-via-group group 0-v4-via-0/0-v4-via-1
ip nexthop replace id 0-v4-group group 0-v4-0/0-v4-1
ip route del default nhid 0-v4-via-standing src 192.0.2.10 metric 1
ip route del 192.0.2.0/24 nhid 0-v4-standing src 192.0.2.10 metric 1
ip nexthop del id 0-v4-standing
ip nexthop del id 0-v4-via-standing`},
		{"a half-done failover left two copies", func() {
			k.addForeign("hme0", "192.0.2.10/24", unix.IFA_F_NOPREFIXROUTE, Protocol)
		}, `
ip addr del 192.0.2.10/24 dev hme0`},
		{"an address of nobody: it stays", func() { d.Groups[0].Addresses[0].Member = -1 }, ``},
		{"another address, which becomes the preferred source", func() {
			d.Groups[0].Addresses = []Address{{Prefix: netip.MustParsePrefix("192.0.2.20/24"), Member: 0}}
		}, `
ip addr replace 192.0.2.20/24 dev hme0
ip route replace default nhid 0-v4-via-group src 192.0.2.20
ip route replace 192.0.2.0/24 nhid 0-v4-group scope link src 192.0.2.20
ip addr del 192.0.2.10/24 dev hme1`},
		{"IPv6 comes along", func() {
			g := &d.Groups[0]
			g.Addresses = append(g.Addresses, Address{Prefix: netip.MustParsePrefix("2001:db8::20/64"), Member: 1})
			g.Routes = append(g.Routes, Route{To: netip.MustParsePrefix("::/0"), Via: netip.MustParseAddr("fe80::1")})
		}, `
ip nexthop replace id 0-v6-via-0 via fe80::1 dev hme0
ip nexthop replace id 0-v6-via-1 via fe80::1 dev hme1
ip nexthop replace id 0-v6-0 dev hme0
ip nexthop replace id 0-v6-1 dev hme1
ip nexthop replace id 0-v6-via-group group 0-v6-via-0/0-v6-via-1
ip nexthop replace id 0-v6-group group 0-v6-0/0-v6-1
ip addr replace 2001:db8::20/64 dev hme1
ip route replace default nhid 0-v6-via-group src 2001:db8::20 metric 1024
ip route replace 2001:db8::/64 nhid 0-v6-group src 2001:db8::20 metric 128`},
		{"IPv6 of hme1 fails, its IPv4 stays", func() { d = failed(d, 0, 1, 1, []int{0, 0}) }, `
ip nexthop replace id 0-v6-via-group group 0-v6-via-0
ip nexthop replace id 0-v6-group group 0-v6-0
ip addr replace 2001:db8::20/64 dev hme0
ip addr del 2001:db8::20/64 dev hme1`},
		{"a route leaves the file", func() { d.Groups[0].Routes = d.Groups[0].Routes[1:] }, `
ip route del default nhid 0-v4-via-group src 192.0.2.20
ip nexthop del id 0-v4-via-group
ip nexthop del id 0-v4-via-0
ip nexthop del id 0-v4-via-1`},
	} {
		row.do()
		got := k.run(t, Plan(d, k.observed()))
		require.Equal(t, strings.TrimSpace(row.want), got, row.name)
		require.Empty(t, Plan(d, k.observed()), "%s: a second plan finds nothing to do", row.name)
	}
	require.Equal(t, strings.TrimSpace(`
ip addr 192.0.2.11/24 dev hme0 noprefixroute
ip addr 192.0.2.12/24 dev hme1 noprefixroute
ip addr 192.0.2.20/24 dev hme0 noprefixroute
ip addr 2001:db8::20/64 dev hme0 noprefixroute
ip nexthop id 0-v4-0 dev hme0
ip nexthop id 0-v4-1 dev hme1
ip nexthop id 0-v4-group group 0-v4-0/0-v4-1
ip nexthop id 0-v6-0 dev hme0
ip nexthop id 0-v6-1 dev hme1
ip nexthop id 0-v6-group group 0-v6-0
ip nexthop id 0-v6-via-0 via fe80::1 dev hme0
ip nexthop id 0-v6-via-1 via fe80::1 dev hme1
ip nexthop id 0-v6-via-group group 0-v6-via-0
ip route 192.0.2.0/24 nhid 0-v4-group scope link src 192.0.2.20
ip route 2001:db8::/64 nhid 0-v6-group src 2001:db8::20 metric 128
ip route default nhid 0-v6-via-group src 2001:db8::20 metric 1024`), k.String())
}
