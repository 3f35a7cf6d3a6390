// SPDX-License-Identifier: Apache-2.0

package detect

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// asks are the seconds of a minute in which everybody is asked, looked at ten times a second.
func asks(d *Discovery, from Source, targets int, silent bool) (at []float64) {
	for now := int64(1); now < minute; now += 100 * ms {
		if d.Due(now, from, targets, silent) {
			at = append(at, time.Duration(now).Round(100*time.Millisecond).Seconds())
		}
	}
	return at
}

// Spec section 3.2: every second while there is nobody, seldom while one does, not at all with two, and
// never where the file or a route says whom to ask.
func TestDiscoveryAsks(t *testing.T) {
	growing := []float64{0, 1, 3, 7, 15, 31}
	for _, row := range []struct {
		name    string
		from    Source
		targets int
		silent  bool
		want    []float64
	}{
		{"configured", FromConfig, 1, true, nil},
		{"routers", FromRoutes, 1, true, nil},
		{"neighbours stand in", FromNeighbours, 3, false, growing},
		{"one responder", FromMulticast, 1, false, growing},
		{"two responders", FromMulticast, 2, false, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			require.Equal(t, row.want, asks(&Discovery{}, row.from, row.targets, row.silent))
		})
	}
	require.Len(t, asks(&Discovery{}, FromNeighbours, 0, false), 60, "nobody")
	require.Len(t, asks(&Discovery{}, FromMulticast, 5, true), 60, "none of them answers")
}

func TestDiscoveryFinds(t *testing.T) {
	d := &Discovery{}
	var list []netip.Addr
	for i := range 7 {
		list = append(list, netip.MustParseAddr(fmt.Sprint("192.0.2.", 9-i)))
		require.Equal(t, i < 5, d.Responded(list[i]))
		require.False(t, d.Responded(list[i]), "once")
	}
	require.Equal(t, list[:5], d.Found(), "the first five")
	require.False(t, d.Due(1, FromMulticast, 5, false))

	require.False(t, d.Drop(func(a netip.Addr) bool { return a == list[6] }))
	require.False(t, d.Due(1, FromMulticast, 5, false))
	require.True(t, d.Drop(func(a netip.Addr) bool { return a == list[1] }))
	require.Equal(t, []netip.Addr{list[0], list[2], list[3], list[4]}, d.Found())
	require.True(t, d.Due(1, FromMulticast, 4, false), "another one in its place")
	require.False(t, d.Due(2*int64(time.Second), FromMulticast, 4, false), "asked once")
	require.True(t, d.Drop(func(netip.Addr) bool { return true }))
	require.False(t, d.Due(1+askUnknown-1, FromMulticast, 4, false), "at most once a second")
	require.True(t, d.Due(1+askUnknown, FromMulticast, 4, false))

	require.True(t, d.Responded(list[6]))
	require.False(t, d.Due(minute, FromRoutes, 1, false))
	require.Empty(t, d.Found(), "routers replace all hosts")
}

func TestFits(t *testing.T) {
	c := &Candidates{Own: own(addrs("192.0.2.11")), Subnets: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	for a, want := range map[string]bool{
		"192.0.2.1": true, "192.0.2.11": false, "198.51.100.1": false, "224.0.0.1": false, "0.0.0.0": false, "fe80::1": false,
	} {
		require.Equal(t, want, c.Fits(IPv4, netip.MustParseAddr(a)), a)
	}
	require.True(t, c.Fits(IPv6, netip.MustParseAddr("fe80::1")))
}
