// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/detect"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// What a host offers as targets (spec section 3): next hops of its routes through members, a host
// route to an address by way of itself too, before responders, before neighbours; nothing of its own, of the other
// family, or beyond another interface.
func TestCandidates(t *testing.T) {
	cfg, err := config.Parse("f", []byte("groups:\n  g:\n    interfaces: {hme0: {test: [192.0.2.11/24]}, hme1: }\n    addresses: [192.0.2.10/24]\n"))
	require.NoError(t, err)
	u := newUnit(&cfg.Groups[0], seating{}.allot(cfg.Groups))
	u.members[0].ifindex, u.members[1].ifindex = 2, 3
	const other = 9
	s := &netstate.Snapshot{}
	route := func(to string, link int, gateway string) {
		r := netstate.Route{Dst: netip.MustParsePrefix(to), Hops: []netstate.Hop{{Link: link}}}
		if gateway != "" {
			r.Hops[0].Gateway = netip.MustParseAddr(gateway)
		}
		s.Routes = append(s.Routes, r)
	}
	neighbour := func(link int, ip string, state uint16) {
		s.Neighbors = append(s.Neighbors, netstate.Neighbor{Link: link, IP: netip.MustParseAddr(ip), MAC: [6]byte{2}, State: state})
	}
	choose := func(family int) string {
		return joinAddrs(detect.ChooseTargets(detect.Family(family), u.candidates(family, s)))
	}
	require.Empty(t, choose(0))

	neighbour(2, "192.0.2.70", unix.NUD_REACHABLE)
	neighbour(3, "192.0.2.71", unix.NUD_STALE)
	neighbour(3, "192.0.2.72", unix.NUD_FAILED)
	neighbour(2, "192.0.2.10", unix.NUD_REACHABLE)
	neighbour(other, "192.0.2.73", unix.NUD_REACHABLE)
	neighbour(2, "198.51.100.1", unix.NUD_REACHABLE)
	require.Equal(t, "192.0.2.70 192.0.2.71", choose(0))
	u.side[0].targets = []netip.Addr{netip.MustParseAddr("192.0.2.71")}
	require.Equal(t, "192.0.2.71 192.0.2.70", choose(0), "one that is a target stays the first")
	u.side[0].discovery.Responded(netip.MustParseAddr("192.0.2.60"))
	require.Equal(t, "192.0.2.60", choose(0), "who responds to multicast, and no neighbours beside")
	require.True(t, u.side[0].discovery.Drop(func(netip.Addr) bool { return true }))

	route("192.0.2.0/24", 2, "")
	route("10.0.0.0/8", other, "192.0.2.8")
	route("::/0", 2, "2001:db8::1")
	require.Equal(t, "192.0.2.71 192.0.2.70", choose(0), "none of these is a router of ours")
	route("0.0.0.0/0", 2, "192.0.2.1")
	route("192.0.2.5/32", 3, "192.0.2.5")
	route("10.1.0.0/16", 3, "192.0.2.1")
	route("10.2.0.0/16", 3, "198.51.100.1")
	require.Equal(t, "192.0.2.1 192.0.2.5", choose(0), "routers and named hosts, and never mixed with neighbours")
	for _, a := range []string{"192.0.2.6", "192.0.2.7", "192.0.2.8", "192.0.2.9"} {
		route(a+"/32", 2, a)
	}
	require.Equal(t, "192.0.2.1 192.0.2.5 192.0.2.6 192.0.2.7 192.0.2.8", choose(0), "five of them")
	u.cfg.Targets = []netip.Addr{netip.MustParseAddr("192.0.2.9")}
	require.Equal(t, "192.0.2.9", choose(0))
}
