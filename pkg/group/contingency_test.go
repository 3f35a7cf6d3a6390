// SPDX-License-Identifier: Apache-2.0

package group

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// large is a group of 32 members, a quarter of them standbys, with 1,000 addresses.
func large() *Group {
	cfg := Config{Failback: true}
	start := Start{}
	for i := range MaxMembers {
		cfg.Members = append(cfg.Members, MemberConfig{Standby: i%4 == 3, Probed: [2]bool{true, true}})
		start.Members = append(start.Members, MemberStart{Exists: true, Link: LinkUp, Health: [2]Health{OK, OK}})
	}
	for i := range 1000 {
		addr := netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
		cfg.Addresses = append(cfg.Addresses, AddressConfig{netip.PrefixFrom(addr, 16), i / 250 * 4}) // homes 0, 4, 8, 12
	}
	g, _ := New(cfg, 0, start)
	return g
}

// TestContingency of a large group: everybody else's addresses stay, the failed member's go to those
// that have none, the standby that is called first among them, evenly.
func TestContingency(t *testing.T) {
	g := large()
	before, after := g.Placement(), g.Contingency(4, IPv4)
	require.Equal(t, before, g.Placement())
	require.Equal(t, before.Active[IPv4]&^bit(4)|bit(3), after.Active[IPv4])
	require.Equal(t, before.Active[IPv6], after.Active[IPv6], "IPv6 stays")
	count := map[int]int{}
	for a, at := range after.Owners {
		if before.Owners[a] != 4 {
			require.Equal(t, before.Owners[a], at)
			continue
		}
		count[at]++
	}
	// 24 normal members less four that have addresses already, and the standby.
	require.Len(t, count, 21)
	for m, n := range count {
		require.InDelta(t, 11.5, n, 0.5, "member %d", m) // 250 = 21 x 11 + 19: 11 or 12
	}
}

// BenchmarkContingency is the whole of what a publication costs here for one member and family of
// a group with 1,000 addresses. Goal: below 1 ms.
func BenchmarkContingency(b *testing.B) {
	g := large()
	for b.Loop() {
		g.Contingency(4, IPv4)
	}
}
