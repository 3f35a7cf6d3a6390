// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// contract section 3, "Existing routes".
func TestAdoptable(t *testing.T) {
	router := netip.MustParseAddr("192.0.2.1")
	anywhere := HostRoute{Table: unix.RT_TABLE_MAIN, Protocol: unix.RTPROT_BOOT, To: netip.MustParsePrefix("0.0.0.0/0"), Via: router, Link: 2}
	anywhere6 := HostRoute{Table: unix.RT_TABLE_MAIN, Protocol: unix.RTPROT_RA, To: netip.MustParsePrefix("::/0"),
		Via: netip.MustParseAddr("fe80::1"), Link: 2, Metric: 1024, Expires: true}
	two := func(a, b Hop) func(h *HostRoute, _ *Group, _ *kernel) {
		return func(h *HostRoute, _ *Group, _ *kernel) {
			h.Via, h.Link, h.Hops = a.Via, a.Link, HopsOf([]Hop{a, b})
		}
	}
	other := netip.MustParseAddr("192.0.2.2")
	for _, row := range []struct {
		name          string
		of            HostRoute
		do            func(h *HostRoute, g *Group, k *kernel)
		taken, beside string
	}{
		{"by hand", anywhere, func(h *HostRoute, _ *Group, _ *kernel) {}, "0.0.0.0/0 via 192.0.2.1", ""},
		{"by a DHCP client, through the other member, with a metric", anywhere, func(h *HostRoute, _ *Group, _ *kernel) {
			h.Protocol, h.Link, h.Metric = unix.RTPROT_DHCP, 3, 100
		}, "0.0.0.0/0 via 192.0.2.1 metric 100", ""},
		{"on link", anywhere, func(h *HostRoute, _ *Group, _ *kernel) { h.Via, h.Scope = netip.Addr{}, unix.RT_SCOPE_LINK }, "0.0.0.0/0", ""},
		{"metrics come along", anywhere, func(h *HostRoute, _ *Group, _ *kernel) { h.Metrics = "m" }, "0.0.0.0/0 via 192.0.2.1 with m", ""},
		{"the data address as its source", anywhere, func(h *HostRoute, _ *Group, _ *kernel) { h.Src = netip.MustParseAddr("192.0.2.10") }, "0.0.0.0/0 via 192.0.2.1 src 192.0.2.10", ""},
		{"a test address as its source is not kept", anywhere, func(h *HostRoute, _ *Group, _ *kernel) { h.Src = netip.MustParseAddr("192.0.2.11") }, "0.0.0.0/0 via 192.0.2.1", ""},
		{"a source that does not move", anywhere, func(h *HostRoute, _ *Group, _ *kernel) { h.Src = netip.MustParseAddr("198.51.100.7") }, "", ""},
		{"a routing daemon's", anywhere, func(h *HostRoute, _ *Group, _ *kernel) { h.Protocol = unix.RTPROT_BIRD }, "", ""},
		{"the kernel's", anywhere, func(h *HostRoute, _ *Group, _ *kernel) { h.Protocol = unix.RTPROT_KERNEL }, "", ""},
		{"ours", anywhere, func(h *HostRoute, _ *Group, _ *kernel) { h.Protocol = Protocol }, "", ""},
		{"over another interface", anywhere, func(h *HostRoute, _ *Group, _ *kernel) { h.Link = 4 }, "", ""},
		{"of another table", anywhere, func(h *HostRoute, _ *Group, _ *kernel) { h.Table = 100 }, "", ""},
		{"of the members' VRF", anywhere, func(h *HostRoute, g *Group, _ *kernel) { g.Table, h.Table = 100, 100 }, "0.0.0.0/0 via 192.0.2.1", ""},
		{"of the main table, with members in a VRF", anywhere, func(_ *HostRoute, g *Group, _ *kernel) { g.Table = 100 }, "", ""},
		{"with an attribute that we cannot carry", anywhere, func(h *HostRoute, _ *Group, _ *kernel) { h.Special = true }, "", ""},
		{"through a nexthop object", anywhere, func(h *HostRoute, _ *Group, _ *kernel) { h.NHID = 7 }, "", ""},
		{"a gateway in the subnet of a foreign address only", anywhere, func(h *HostRoute, _ *Group, k *kernel) {
			h.Via = netip.MustParseAddr("198.51.100.1")
			k.addForeign("hme0", "198.51.100.7/24", 0, 0)
		}, "", ""},
		{"a gateway in the subnet of the test addresses only", anywhere, func(h *HostRoute, g *Group, k *kernel) {
			g.Addresses[0].Prefix = netip.MustParsePrefix("203.0.113.10/24")
			k.addForeign("hme0", "192.0.2.11/24", 0, 0)
		}, "0.0.0.0/0 via 192.0.2.1", ""},
		{"a gateway that is an address of this host", anywhere, func(h *HostRoute, g *Group, k *kernel) {
			g.Addresses[0].Prefix = netip.MustParsePrefix("203.0.113.10/24")
			k.addForeign("hme1", "192.0.2.1/24", 0, 0)
		}, "", ""},
		{"no data address of the family", anywhere6, func(h *HostRoute, _ *Group, _ *kernel) {}, "", ""},
		{"router advertisement: beside it, preferred", anywhere6, func(_ *HostRoute, g *Group, _ *kernel) {
			g.Addresses = append(g.Addresses, Address{netip.MustParsePrefix("2001:db8::10/64"), 0})
		}, "", "::/0 via fe80::1 metric 1023"},
		{"IPv6 by hand", anywhere6, func(h *HostRoute, g *Group, _ *kernel) {
			h.Protocol, h.Expires = unix.RTPROT_STATIC, false
			g.Addresses = append(g.Addresses, Address{netip.MustParsePrefix("2001:db8::10/64"), 0})
		}, "::/0 via fe80::1 metric 1024", ""},
		{"two gateways, through one member", anywhere, two(Hop{2, router, 1, 0}, Hop{2, other, 1, 0}), "0.0.0.0/0 via 192.0.2.1 over 0 192.0.2.1 1 0,0 192.0.2.2 1 0", ""},
		{"through two members, with weights", anywhere, two(Hop{2, other, 10, 0}, Hop{3, router, 4, unix.RTNH_F_ONLINK}),
			"0.0.0.0/0 via 192.0.2.2 over 0 192.0.2.2 5 0,0 192.0.2.1 2 0", ""},
		{"one gateway through two members", anywhere, two(Hop{2, router, 1, 0}, Hop{3, router, 1, 0}), "0.0.0.0/0 via 192.0.2.1", ""},
		{"on link through two members", anywhere, two(Hop{2, netip.Addr{}, 1, 0}, Hop{3, netip.Addr{}, 1, 0}), "0.0.0.0/0", ""},
		{"on link and by a gateway", anywhere, two(Hop{2, router, 1, 0}, Hop{3, netip.Addr{}, 1, 0}), "", ""},
		{"one of two through another interface", anywhere, two(Hop{2, router, 1, 0}, Hop{4, other, 1, 0}), "", ""},
		{"the other of two through another interface", anywhere, two(Hop{4, router, 1, 0}, Hop{2, other, 1, 0}), "", ""},
		{"one of two gateways in the subnet of a foreign address only", anywhere, func(h *HostRoute, g *Group, k *kernel) {
			two(Hop{2, router, 1, 0}, Hop{2, netip.MustParseAddr("198.51.100.1"), 1, 0})(h, g, k)
			k.addForeign("hme0", "198.51.100.7/24", 0, 0)
		}, "", ""},
		{"two routers of IPv6 by hand", anywhere6, func(h *HostRoute, g *Group, k *kernel) {
			two(Hop{2, h.Via, 1, 0}, Hop{3, netip.MustParseAddr("fe80::2"), 1, 0})(h, g, k)
			h.Protocol, h.Expires = unix.RTPROT_STATIC, false
			g.Addresses = append(g.Addresses, Address{netip.MustParsePrefix("2001:db8::10/64"), 0})
		}, "::/0 via fe80::1 metric 1024 over 0 fe80::1 1 0,0 fe80::2 1 0", ""},
		{"link-local", anywhere6, func(h *HostRoute, g *Group, _ *kernel) {
			h.Protocol, h.Expires, h.To, h.Via = unix.RTPROT_BOOT, false, netip.MustParsePrefix("fe80::/64"), netip.Addr{}
			g.Addresses = append(g.Addresses, Address{netip.MustParsePrefix("2001:db8::10/64"), 0})
		}, "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, _ := pair()
			k := newKernel("hme0", "hme1", "eth9")
			h := row.of
			row.do(&h, &d.Groups[0], k)
			k.insertRoute(h)
			o := k.observed()
			taken, beside := Adoptable(&d.Groups[0], &o)
			require.Equal(t, row.taken, show(taken))
			require.Equal(t, row.beside, show(beside))
			follows := row.taken+row.beside != ""
			named := !follows && row.name != "the kernel's" && row.name != "ours" && row.name != "over another interface" && row.name != "through a nexthop object" && row.name != "link-local"
			_, stay := StayingRoutes(&d.Groups[0], &o, 9)
			require.Equal(t, named, stay == 1, "it follows, or is named")
		})
	}
}

func show(list []Route) string {
	var out []string
	for _, r := range list {
		s := r.To.String()
		if r.Via.IsValid() {
			s += " via " + r.Via.String()
		}
		if r.Src.IsValid() {
			s += " src " + r.Src.String()
		}
		if r.Metric != 0 {
			s += fmt.Sprintf(" metric %d", r.Metric)
		}
		if r.Metrics != "" {
			s += " with " + r.Metrics
		}
		if r.Hops != "" {
			s += " over " + string(r.Hops)
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

// An adopted default route follows the group, and comes back when it is taken away; a start without
// memory finds it again; what it replaced can be put back.
func TestAdoptedRoute(t *testing.T) {
	d, k := pair()
	quiet(k)
	g := &d.Groups[0]
	g.Routes = nil
	k.addForeign("hme0", "192.0.2.11/24", 0, 0)
	k.addForeign("hme0", "192.0.2.10/24", 0, 0)
	k.insertRoute(HostRoute{Table: unix.RT_TABLE_MAIN, Protocol: unix.RTPROT_BOOT, To: netip.MustParsePrefix("0.0.0.0/0"),
		Via: netip.MustParseAddr("192.0.2.1"), Link: 2, Metrics: "mtu"})
	before := k.observed()
	taken, beside := Adoptable(g, &before)
	require.Empty(t, beside)
	g.Routes = taken
	ops := Plan(d, before)
	was := Replaced(ops, &before)
	require.Len(t, was, 2, "the default route and the connected route")
	k.run(t, ops)
	require.Contains(t, k.String(), "ip route default nhid 0-v4-via-group src 192.0.2.10")
	o := k.observed()
	again, beside := Adoptable(g, &o)
	require.Empty(t, again)
	require.Empty(t, beside)
	require.Empty(t, Plan(d, o))

	// Its member fails: one message re-points it.
	d.fail(0, 1)
	k.run(t, Plan(d, k.observed()))
	k.setCarrier("hme0", false)
	require.Contains(t, k.String(), "ip route default nhid 0-v4-via-group src 192.0.2.10")
	k.setCarrier("hme0", true)
	d.repair(0)
	k.run(t, Plan(d, k.observed()))

	// A start without memory.
	o = k.observed()
	bare := *g
	bare.Routes = nil
	require.Equal(t, "0.0.0.0/0 via 192.0.2.1 src 192.0.2.10 with mtu", show(Inherited(&bare, &o)))
	require.Empty(t, Inherited(g, &o), "the file names it")

	// Somebody deletes it.
	k.dropRoutes(func(r HostRoute) bool { return r.To.Bits() == 0 })
	k.run(t, Plan(d, k.observed()))
	require.Contains(t, k.String(), "ip route default nhid 0-v4-via-group src 192.0.2.10")

	// And back.
	for _, r := range was {
		require.NoError(t, k.apply(&Op{Kind: RestoreRoute, Was: &r}))
	}
	o = k.observed()
	for _, r := range was {
		require.True(t, slices.Contains(o.Routes, r), "%v", r)
	}
}

// Why a route stays, for those that an operator sees most.
func TestStayingRoutes(t *testing.T) {
	d, _ := pair()
	k := newKernel("hme0", "hme1", "eth9")
	k.addForeign("hme0", "198.51.100.7/24", 0, 0)
	k.nexthops[7] = HostNexthop{ID: 7, Link: 3, Gateway: netip.MustParseAddr("192.0.2.2")}
	k.nexthops[8] = HostNexthop{ID: 8, Hops: []uint32{7}}
	add := func(to string, do func(h *HostRoute)) {
		h := HostRoute{Table: unix.RT_TABLE_MAIN, Protocol: unix.RTPROT_BOOT, To: prefix(to), Link: 2}
		do(&h)
		k.insertRoute(h)
	}
	add("10.1.0.0/16", func(h *HostRoute) { h.Protocol = unix.RTPROT_BGP })
	add("10.2.0.0/16", func(h *HostRoute) { h.Table = 100 })
	add("10.3.0.0/16", func(h *HostRoute) { h.NHID, h.Link = 8, 0 })
	add("10.4.0.0/16", func(h *HostRoute) { h.Special = true })
	add("10.5.0.0/16", func(h *HostRoute) { h.Src = netip.MustParseAddr("198.51.100.7") })
	add("10.6.0.0/16", func(h *HostRoute) { h.Via = netip.MustParseAddr("198.51.100.1") })
	add("10.7.0.0/16", func(h *HostRoute) {
		h.Hops = HopsOf([]Hop{{2, netip.MustParseAddr("192.0.2.1"), 1, 0}, {4, netip.MustParseAddr("192.0.2.2"), 1, 0}})
	})
	add("10.8.0.0/16", func(h *HostRoute) { h.Link = 4 }) // not through a member
	add("10.9.0.0/16", func(*HostRoute) {})               // adopted
	o := k.observed()
	var got []string
	list, count := StayingRoutes(&d.Groups[0], &o, 9)
	require.Equal(t, 7, count)
	require.Equal(t, []Hop{{3, netip.MustParseAddr("192.0.2.2"), 1, 0}}, list[2].Over)
	for _, r := range list {
		got = append(got, r.To.String()+" "+r.Why)
	}
	require.Equal(t, []string{
		"10.1.0.0/16 of a routing daemon",
		"10.2.0.0/16 of table 100",
		"10.3.0.0/16 by a nexthop object of somebody else",
		"10.4.0.0/16 with a type of service, an encapsulation, a realm or a router preference",
		"10.5.0.0/16 with a source that does not move",
		"10.6.0.0/16 by a gateway that the group's addresses do not reach",
		"10.7.0.0/16 by an interface of no member of the group, too",
	}, got)
	list, count = StayingRoutes(&d.Groups[0], &o, 2)
	require.Len(t, list, 2)
	require.Equal(t, 7, count, "of more than are listed")
}
