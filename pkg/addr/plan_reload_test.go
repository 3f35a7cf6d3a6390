// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// What the plan makes of another configuration. Each row starts where the one before ended.
func TestPlanOfAnotherConfiguration(t *testing.T) {
	d, k := pair()
	k.sysctls = newKernel("hme0", "hme1", "hme2").sysctls
	full := d.Groups[0].Members
	d.Groups[0].Members = full[:1]
	for _, name := range []string{"hme0", "hme1"} {
		for _, key := range []string{"promote_secondaries", "arp_announce", "arp_evict_nocarrier"} {
			k.sysctls[sysctlKey("ipv4", name, key)] = map[string]string{"promote_secondaries": "1", "arp_announce": "2", "arp_evict_nocarrier": "0"}[key]
		}
		k.sysctls[sysctlKey("ipv6", name, "ndisc_evict_nocarrier")] = "0"
		k.sysctls[sysctlKey("ipv6", name, "keep_addr_on_down")] = "1"
	}
	for _, row := range []struct {
		name string
		do   func()
		want string
	}{
		{"one member, with what somebody else gave it", func() {
			k.addForeign("hme0", "192.0.2.10/24", unix.IFA_F_NOPREFIXROUTE, 0)
		}, `
ip nexthop replace id 0-v4-via-0 via 192.0.2.1 dev hme0
ip nexthop replace id 0-v4-0 dev hme0
ip nexthop replace id 0-v4-via-group group 0-v4-via-0
ip nexthop replace id 0-v4-group group 0-v4-0
ip addr replace 192.0.2.11/24 dev hme0 test
ip route replace default nhid 0-v4-via-group src 192.0.2.10
ip route replace 192.0.2.0/24 nhid 0-v4-group scope link src 192.0.2.10`},
		{"one more: it has its own address before it carries anything", func() { d.Groups[0].Members = full }, `
ip addr replace 192.0.2.12/24 dev hme1 test
ip nexthop replace id 0-v4-via-1 via 192.0.2.1 dev hme1
ip nexthop replace id 0-v4-1 dev hme1
ip nexthop replace id 0-v4-via-group group 0-v4-via-0/0-v4-via-1
ip nexthop replace id 0-v4-group group 0-v4-0/0-v4-1`},
		{"the first leaves: the address moves, whoever added it, then its own goes", func() {
			d.Groups[0].Members = full[1:]
			d.Leaving = []Leaving{{Name: "hme0", Index: 2}}
		}, `
ip nexthop replace id 0-v4-via-0 via 192.0.2.1 dev hme1
ip nexthop replace id 0-v4-0 dev hme1
ip nexthop replace id 0-v4-via-group group 0-v4-via-0
ip nexthop replace id 0-v4-group group 0-v4-0
ip addr replace 192.0.2.10/24 dev hme1
ip addr del 192.0.2.11/24 dev hme0
ip addr del 192.0.2.10/24 dev hme0
ip nexthop del id 0-v4-1
ip nexthop del id 0-v4-via-1`},
		{"it has left: what somebody gives it is its own", func() {
			d.Leaving = nil
			k.addForeign("hme0", "192.0.2.77/24", unix.IFA_F_NOPREFIXROUTE, 0)
		}, ``},
		{"two again, one at a time", func() {
			d.Groups[0].Members, d.Groups[0].Spread = full, false
		}, `
ip addr replace 192.0.2.10/24 dev hme0
ip addr replace 192.0.2.11/24 dev hme0 test
ip nexthop replace id 0-v4-via-0 via 192.0.2.1 dev hme0
ip nexthop replace id 0-v4-via-1 via 192.0.2.1 dev hme1
ip nexthop replace id 0-v4-0 dev hme0
ip nexthop replace id 0-v4-1 dev hme1
ip nexthop replace id 0-v4-via-standing group 0-v4-via-1
ip nexthop replace id 0-v4-standing group 0-v4-1
ip route replace default nhid 0-v4-via-standing src 192.0.2.10 metric 1
ip route replace 192.0.2.0/24 nhid 0-v4-standing scope link src 192.0.2.10 metric 1
ip addr del 192.0.2.10/24 dev hme1`},
		{"the second leaves, and is waited for no more", func() {
			d.Groups[0].Members = full[:1]
			d.Leaving = []Leaving{{Name: "hme1", Index: 3}}
		}, `
ip route del default nhid 0-v4-via-standing src 192.0.2.10 metric 1
ip route del 192.0.2.0/24 nhid 0-v4-standing src 192.0.2.10 metric 1
ip addr del 192.0.2.12/24 dev hme1
ip nexthop del id 0-v4-standing
ip nexthop del id 0-v4-via-standing
ip nexthop del id 0-v4-1
ip nexthop del id 0-v4-via-1`},
		{"the group leaves: what we added goes", func() {
			d = Desired{Leaving: []Leaving{{Name: "hme0", Index: 2}}}
		}, `
ip route del default nhid 0-v4-via-group src 192.0.2.10
ip route del 192.0.2.0/24 nhid 0-v4-group src 192.0.2.10
ip addr del 192.0.2.11/24 dev hme0
ip addr del 192.0.2.10/24 dev hme0
ip nexthop del id 0-v4-group
ip nexthop del id 0-v4-via-group
ip nexthop del id 0-v4-0
ip nexthop del id 0-v4-via-0`},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.do()
			got := k.run(t, Plan(d, k.observed()))
			require.Equal(t, strings.TrimPrefix(row.want, "\n"), got)
			require.Empty(t, Plan(d, k.observed()), "twice")
		})
	}
}

// An adopted route may prefer an address that the file names no more: it has another source before that
// goes, or the kernel would take the route along.
func TestPlanOfASourceThatGoes(t *testing.T) {
	d, k := pair()
	g := &d.Groups[0]
	g.Addresses = append(g.Addresses, Address{prefix("192.0.2.13/24"), 0})
	g.Routes[0].Src, g.Routes[0].Adopted = g.Addresses[1].Prefix.Addr(), true
	k.run(t, Plan(d, k.observed()))
	require.Contains(t, k.String(), "ip route default nhid 0-v4-via-group src 192.0.2.13")

	g.Addresses = g.Addresses[:1]
	require.Equal(t, `ip route replace default nhid 0-v4-via-group src 192.0.2.10
ip addr del 192.0.2.13/24 dev hme0`, k.run(t, Plan(d, k.observed())))
	require.Empty(t, Plan(d, k.observed()), "twice")
}
