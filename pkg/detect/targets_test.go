// SPDX-License-Identifier: Apache-2.0

package detect

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func addrs(list ...string) (out []netip.Addr) {
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func own(list []netip.Addr) func(netip.Addr) bool {
	return func(a netip.Addr) bool { return slices.Contains(list, a) }
}

// Contract section 3, targets: where given, only these; default on-link next hops of routes, else
// responders to multicast, else up to 5 reachable neighbours.
func TestSourceOf(t *testing.T) {
	subnet := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	hop, far := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")
	require.Equal(t, FromConfig, SourceOf(IPv4, Candidates{Configured: []netip.Addr{hop}, NextHops: []netip.Addr{hop}, Subnets: subnet}))
	require.Equal(t, FromRoutes, SourceOf(IPv4, Candidates{NextHops: []netip.Addr{far, hop}, Subnets: subnet}))
	require.Equal(t, FromNeighbours, SourceOf(IPv4, Candidates{NextHops: []netip.Addr{far}, Neighbours: []netip.Addr{hop}, Subnets: subnet}))
	require.Equal(t, FromNeighbours, SourceOf(IPv6, Candidates{NextHops: []netip.Addr{hop}, Subnets: subnet}))
	require.Equal(t, FromMulticast, SourceOf(IPv4, Candidates{Responders: []netip.Addr{hop}, Neighbours: []netip.Addr{hop}, Subnets: subnet}))
	require.Equal(t, FromRoutes, SourceOf(IPv4, Candidates{NextHops: []netip.Addr{hop}, Responders: []netip.Addr{hop}, Subnets: subnet}))
	require.Equal(t, FromNeighbours, SourceOf(IPv4, Candidates{Responders: []netip.Addr{far}, Subnets: subnet}))
}

func TestChooseTargets(t *testing.T) {
	subnets := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/64")}
	for _, row := range []struct {
		name   string
		family Family
		c      Candidates
		want   []netip.Addr
	}{
		{"configured, of the family only", IPv4, Candidates{
			Configured: addrs("192.0.2.7", "2001:db8::7", "192.0.2.8"), NextHops: addrs("192.0.2.1")},
			addrs("192.0.2.7", "192.0.2.8")},
		{"next hops before neighbours", IPv4, Candidates{
			NextHops: addrs("192.0.2.1", "192.0.2.1"), Neighbours: addrs("192.0.2.5")}, addrs("192.0.2.1")},
		{"a next hop off link is none", IPv4, Candidates{
			NextHops: addrs("198.51.100.1"), Neighbours: addrs("192.0.2.5")}, addrs("192.0.2.5")},
		{"never an own address", IPv4, Candidates{
			NextHops: addrs("192.0.2.1"), Neighbours: addrs("192.0.2.5", "192.0.2.6"), Own: own(addrs("192.0.2.1", "192.0.2.6"))},
			addrs("192.0.2.5")},
		{"responders before neighbours", IPv4, Candidates{
			Responders: addrs("192.0.2.9", "192.0.2.8"), Neighbours: addrs("192.0.2.5")}, addrs("192.0.2.9", "192.0.2.8")},
		{"next hops replace responders", IPv4, Candidates{
			NextHops: addrs("192.0.2.1"), Responders: addrs("192.0.2.9")}, addrs("192.0.2.1")},
		{"a link-local responder is on link", IPv6, Candidates{Responders: addrs("fe80::9%eth0")}, addrs("fe80::9")},
		{"five neighbours", IPv4, Candidates{
			Neighbours: addrs("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6")},
			addrs("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5")},
		{"a link-local next hop is on link", IPv6, Candidates{NextHops: addrs("fe80::1%eth0")}, addrs("fe80::1")},
		{"no multicast", IPv6, Candidates{Neighbours: addrs("ff02::1", "2001:db8::1")}, addrs("2001:db8::1")},
		{"nothing", IPv6, Candidates{NextHops: addrs("192.0.2.1")}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.c.Subnets = subnets
			require.Equal(t, row.want, ChooseTargets(row.family, row.c))
		})
	}
}

// Spec sections 2.7 and 3.1: what vanishes while the group has failed stays a target.
func TestRetarget(t *testing.T) {
	hop, near, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.5"), netip.MustParseAddr("192.0.2.6")
	base := Candidates{Subnets: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	with := func(change func(c *Candidates)) Candidates {
		c := base
		change(&c)
		return c
	}
	neighbour := with(func(c *Candidates) { c.Neighbours = []netip.Addr{other} })
	for _, row := range []struct {
		name   string
		c      Candidates
		was    netip.Addr
		from   Source
		failed bool
		want   []netip.Addr
		source Source
	}{
		{"the route goes", neighbour, hop, FromRoutes, false, []netip.Addr{other}, FromNeighbours},
		{"the route goes in a failure", neighbour, hop, FromRoutes, true, []netip.Addr{hop}, FromRoutes},
		{"another route comes in a failure", with(func(c *Candidates) { c.NextHops = []netip.Addr{near} }), hop, FromRoutes, true,
			[]netip.Addr{near}, FromRoutes},
		{"a neighbour goes", base, near, FromNeighbours, false, nil, FromNeighbours},
		{"a neighbour goes in a failure", base, near, FromNeighbours, true, []netip.Addr{near}, FromNeighbours},
		{"another comes in a failure", neighbour, near, FromNeighbours, true, []netip.Addr{near, other}, FromNeighbours},
		{"a route comes in a failure", with(func(c *Candidates) { c.NextHops = []netip.Addr{hop} }), near, FromNeighbours, true,
			[]netip.Addr{hop}, FromRoutes},
		{"the file names another", with(func(c *Candidates) { c.Configured = []netip.Addr{near} }), hop, FromRoutes, true,
			[]netip.Addr{near}, FromConfig},
		{"the file names none any more", neighbour, hop, FromConfig, true, []netip.Addr{other}, FromNeighbours},
		{"it is an address of this host now", with(func(c *Candidates) { c.Own = own([]netip.Addr{hop}) }), hop, FromRoutes, true, nil, FromNeighbours},
		{"a responder goes", neighbour, near, FromMulticast, false, []netip.Addr{other}, FromNeighbours},
		{"a responder goes in a failure", neighbour, near, FromMulticast, true, []netip.Addr{near, other}, FromMulticast},
		{"another responds in a failure", with(func(c *Candidates) { c.Responders = []netip.Addr{other} }), near, FromNeighbours, true,
			[]netip.Addr{near, other}, FromNeighbours},
		{"somebody responds in a failure in which the route went", with(func(c *Candidates) { c.Responders = []netip.Addr{other} }), hop, FromRoutes, true,
			[]netip.Addr{hop}, FromRoutes},
		{"there were none", neighbour, netip.Addr{}, "", true, []netip.Addr{other}, FromNeighbours},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, source := Retarget(IPv4, row.c, []netip.Addr{row.was}, row.from, row.failed)
			require.Equal(t, row.want, got)
			require.Equal(t, row.source, source)
		})
	}
}

// Contract section 3, probe.
func TestKindOf(t *testing.T) {
	for _, row := range []struct {
		mode       Mode
		family     Family
		test, used bool
		want       Kind
	}{
		{ModeAuto, IPv4, true, true, KindICMP},
		{ModeAuto, IPv4, false, true, KindARP},
		{ModeAuto, IPv4, true, false, KindNone},
		{ModeICMP, IPv4, true, true, KindICMP},
		{ModeICMP, IPv4, false, true, KindNone},
		{ModeARP, IPv4, true, true, KindARP},
		{ModeARP, IPv4, false, true, KindARP},
		{ModeLink, IPv4, true, true, KindLink},
		{ModeLink, IPv4, true, false, KindNone},
		{ModeAuto, IPv6, true, true, KindICMP},
		{ModeARP, IPv6, true, true, KindARP},
		// not even a link-local address to ask from
		{ModeAuto, IPv6, false, true, KindNone},
		{ModeARP, IPv6, false, true, KindNone},
		{ModeLink, IPv6, false, true, KindLink},
	} {
		require.Equal(t, row.want, KindOf(row.mode, row.family, row.test, row.used), "%+v", row)
	}
}

// detection.md section 1: auto never sends more than 10 ARP/NS probes a second and member; arp is the
// operator's word for a faster rate.
func TestRoundInterval(t *testing.T) {
	fast := 100 * time.Microsecond
	mixed := []Kind{KindICMP, KindARP}
	require.Equal(t, 100*time.Millisecond, RoundInterval(ModeAuto, fast, mixed))
	require.Equal(t, time.Second, RoundInterval(ModeAuto, time.Second, mixed))
	require.Equal(t, fast, RoundInterval(ModeAuto, fast, mixed[:1]))
	require.Equal(t, fast, RoundInterval(ModeARP, fast, mixed))
}
