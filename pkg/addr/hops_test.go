// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// What is written is read back; what is damaged is no list, and never a wrong one.
func TestHopsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hop := rapid.Custom(func(t *rapid.T) Hop {
			h := Hop{Link: rapid.IntRange(0, 1<<20).Draw(t, "link"), Weight: rapid.IntRange(1, 256).Draw(t, "weight"), Flags: uint32(rapid.IntRange(0, 7).Draw(t, "flags"))}
			switch rapid.IntRange(0, 2).Draw(t, "family") {
			case 0:
				h.Via = netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "via")))
			case 1:
				h.Via = netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "via")))
			}
			return h
		})
		list := rapid.SliceOfN(hop, 1, 5).Draw(t, "hops")
		require.Equal(t, list, HopsOf(list).List())
	})
	for _, damaged := range []Hops{"", " ", "x", "2 192.0.2.1 1", "2 192.0.2.1 0 0", "2 192.0.2.1 257 0", "-1 - 1 0", "2 192.0.2 1 0", "2 192.0.2.1 1 0,"} {
		require.Empty(t, damaged.List(), string(damaged))
	}
	_, err := Encode(nil, &Op{Kind: RestoreRoute, Was: &HostRoute{To: prefix("0.0.0.0/0"), Link: 2, Hops: "x"}})
	require.ErrorContains(t, err, "incomplete")
}

func TestSpread(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for _, row := range []struct {
		hops []Hop
		want string
	}{
		{[]Hop{{2, a, 1, 0}, {3, a, 7, 4}}, "192.0.2.1 "},
		{[]Hop{{2, a, 1, 0}, {3, b, 1, 4}}, "192.0.2.1 0 192.0.2.1 1 0,0 192.0.2.2 1 0"},
		{[]Hop{{2, b, 6, 0}, {3, a, 3, 0}, {3, b, 6, 0}}, "192.0.2.2 0 192.0.2.2 4 0,0 192.0.2.1 1 0"},
		{[]Hop{{2, a, 256, 0}, {3, a, 256, 0}, {3, b, 1, 0}}, "192.0.2.1 0 192.0.2.1 256 0,0 192.0.2.2 1 0"},
		{[]Hop{{2, netip.Addr{}, 2, 0}, {3, netip.Addr{}, 2, 0}}, "invalid IP "},
	} {
		via, over := spread(row.hops)
		require.Equal(t, row.want, via.String()+" "+string(over))
	}
}

// A route over two gateways through two members becomes one over a group of both gateways by every member:
// a member that fails takes its half out, and each gateway stays in use. It is found again without memory,
// and put back as it was, as far as its interfaces are there.
func TestAdoptedRouteOfSeveralHops(t *testing.T) {
	ip := netip.MustParseAddr
	d, k := pair()
	quiet(k)
	g := &d.Groups[0]
	g.Routes = nil
	k.addForeign("hme0", "192.0.2.11/24", 0, 0)
	k.addForeign("hme0", "192.0.2.10/24", 0, 0)
	k.addForeign("hme1", "192.0.2.12/24", 0, 0)
	k.insertRoute(HostRoute{Table: unix.RT_TABLE_MAIN, Protocol: unix.RTPROT_STATIC, To: prefix("0.0.0.0/0"), Via: ip("192.0.2.1"), Link: 2,
		Hops: HopsOf([]Hop{{2, ip("192.0.2.1"), 1, 0}, {3, ip("192.0.2.2"), 3, 0}})})
	// And one by one of them only: they share their nexthops.
	k.insertRoute(HostRoute{Table: unix.RT_TABLE_MAIN, Protocol: unix.RTPROT_BOOT, To: prefix("10.0.0.0/8"), Via: ip("192.0.2.2"), Link: 3})
	before := k.String()
	u := Undo{}
	o := k.observed()
	g.Routes, _ = Adoptable(g, &o)
	ops := Plan(d, o)
	was := Replaced(ops, &o)
	u.Record(d, o, ops, 0)
	k.run(t, ops)
	u.Groups = undoGroups(d)
	require.Empty(t, Plan(d, k.observed()), "a second plan finds nothing to do")
	o = k.observed()
	again, _ := Adoptable(g, &o)
	require.Empty(t, again)

	// hops of the default route's group: member, gateway and weight of each.
	hops := func(what int) string {
		routes := k.routes[routeKey{unix.RT_TABLE_MAIN, prefix("0.0.0.0/0"), uint32(what - idGroup)}]
		if len(routes) == 0 {
			return ""
		}
		n := k.nexthops[routes[0].NHID]
		require.EqualValues(t, what, routes[0].NHID&63)
		require.Equal(t, ip("192.0.2.10"), routes[0].Src)
		var list []string
		for i, id := range n.Hops {
			weight := 1
			if n.Weights != nil {
				weight = n.Weights[i]
			}
			list = append(list, fmt.Sprintf("%s %s %d", k.links[k.nexthops[id].Link].Name, k.nexthops[id].Gateway, weight))
		}
		return strings.Join(list, ", ")
	}
	both := "hme0 192.0.2.1 1, hme0 192.0.2.2 3, hme1 192.0.2.1 1, hme1 192.0.2.2 3"
	require.Equal(t, both, hops(idGroup))
	require.Contains(t, k.String(), "ip route 10.0.0.0/8 nhid 0-v4-via-group")
	bare := *g
	bare.Routes = nil
	o = k.observed()
	require.ElementsMatch(t, g.Routes, sourceless(Inherited(&bare, &o)), "a start without memory")

	d.fail(0, 1)
	k.run(t, Plan(d, k.observed()))
	require.Equal(t, "hme1 192.0.2.1 1, hme1 192.0.2.2 3", hops(idGroup))
	require.Empty(t, hops(idStanding), "nobody is left to fall through to")
	k.setCarrier("hme0", false)
	require.Equal(t, "hme1 192.0.2.1 1, hme1 192.0.2.2 3", hops(idGroup))
	k.setCarrier("hme0", true)
	d.repair(0)
	g = &d.Groups[0]
	g.Addresses[0].Member = 0
	k.run(t, Plan(d, k.observed()))
	require.Equal(t, both, hops(idGroup))

	// A standby that is not needed: the kernel falls through to it by itself.
	g.Members[1].Active = [2]bool{}
	k.run(t, Plan(d, k.observed()))
	require.Equal(t, "hme0 192.0.2.1 1, hme0 192.0.2.2 3", hops(idGroup))
	require.Equal(t, "hme1 192.0.2.1 1, hme1 192.0.2.2 3", hops(idStanding))
	k.setCarrier("hme0", false)
	require.Empty(t, hops(idGroup))
	require.NotEmpty(t, hops(idStanding))
	k.setCarrier("hme0", true)
	g.Members[1].Active = [2]bool{true, true}
	k.run(t, Plan(d, k.observed()))
	require.Equal(t, both, hops(idGroup))

	// No route goes that way any more: nothing is left of it but what the other one needs.
	rest := d
	rest.Groups = []Group{*g}
	rest.Groups[0].Routes = g.Routes[1:]
	o = k.observed()
	after := kernelOf(o.With(Plan(rest, o)))
	require.Len(t, after.nexthops, 2+2+2, "on link and by 192.0.2.2: two nexthops and a group each")

	r := Released{Undo: &u, Groups: u.Groups, All: true, Routes: was}
	down := kernelOf(k.observed())
	k.run(t, Release(r, k.observed()))
	require.Equal(t, before, k.String())
	require.Empty(t, Release(r, k.observed()), "a second release finds nothing to do")

	// With one of its interfaces down the other's hop is all that can be put back.
	l := down.links[3]
	l.Up, l.Carrier = false, false
	down.links[3], down.list[2] = l, l
	down.run(t, Release(r, down.observed()))
	list := down.routes[routeKey{unix.RT_TABLE_MAIN, prefix("0.0.0.0/0"), 0}]
	require.Len(t, list, 1)
	require.Equal(t, []Hop{{2, ip("192.0.2.1"), 1, 0}}, list[0].hops())
}

func sourceless(list []Route) []Route {
	for i := range list {
		list[i].Src = netip.Addr{}
	}
	return list
}
