// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// What is an address for a default route, and what is none. pkg main has the rows of whole configurations.
func TestLastAddress(t *testing.T) {
	ip, tests := netip.MustParseAddr, map[netip.Addr]bool{netip.MustParseAddr("192.0.2.11"): true}
	by := func(h HostRoute) HostRoute {
		h.Table = unix.RT_TABLE_MAIN
		if !h.To.IsValid() {
			h.To = netip.MustParsePrefix("0.0.0.0/0")
		}
		return h
	}
	plain := by(HostRoute{Link: 2, Via: ip("192.0.2.1"), Protocol: unix.RTPROT_STATIC, Metric: 100})
	is := func(route HostRoute, addrs ...HostAddress) Observed {
		return Observed{Routes: []HostRoute{route}, Addresses: addrs}
	}
	on := func(link int, prefix string) HostAddress {
		return HostAddress{Link: link, Prefix: netip.MustParsePrefix(prefix)}
	}
	before := is(plain, on(2, "192.0.2.10/24"))
	better := plain
	better.Metric = 99
	worse := plain
	worse.Metric = 101
	sourced := plain
	sourced.Src = ip("198.51.100.7")
	advertised := by(HostRoute{Link: 2, Via: ip("fe80::1"), Protocol: unix.RTPROT_RA, Metric: 1024, To: netip.MustParsePrefix("::/0")})
	other := plain
	other.Table = 100
	scoped := on(2, "192.0.2.10/24")
	scoped.Form.Scope = unix.RT_SCOPE_LINK
	for _, row := range []struct {
		name          string
		before, after Observed
		lost          bool
	}{
		{"the same", before, before, false},
		{"another address", before, is(plain, on(2, "192.0.2.20/24")), false},
		{"none", before, is(plain), true},
		{"one on another interface only", before, is(plain, on(3, "192.0.2.10/24")), true},
		{"a test address only", before, is(plain, on(2, "192.0.2.11/24")), true},
		{"one of link scope only", before, is(plain, scoped), true},
		{"a link-local one only", before, is(plain, on(2, "fe80::1/64")), true},
		{"the route is gone", before, Observed{Addresses: before.Addresses}, true},
		{"a better route", before, is(better, on(2, "192.0.2.10/24")), false},
		{"a worse route", before, is(worse, on(2, "192.0.2.10/24")), true},
		{"a route of another table", before, is(other, on(2, "192.0.2.10/24")), true},
		{"another table is nobody's default route", is(other, on(2, "192.0.2.10/24")), Observed{}, false},
		{"there was none", is(plain), Observed{}, false},
		{"a source that is elsewhere", is(sourced, on(2, "192.0.2.11/24"), on(1, "198.51.100.7/32")),
			is(sourced, on(2, "192.0.2.11/24"), on(1, "198.51.100.7/32")), false},
		{"that source, on an interface that has no address left", is(sourced, on(2, "192.0.2.11/24"), on(1, "198.51.100.7/32")),
			is(sourced, on(1, "198.51.100.7/32")), true},
		{"that source is gone", is(sourced, on(2, "192.0.2.11/24"), on(1, "198.51.100.7/32")), is(sourced, on(2, "192.0.2.11/24")), true},
		{"IPv6", is(advertised, on(2, "2001:db8::10/64"), on(2, "fe80::2/64")), is(advertised, on(2, "fe80::2/64")), true},
		{"IPv6 is not IPv4", is(advertised, on(2, "2001:db8::10/64")), is(advertised, on(2, "2001:db8::10/64"), on(2, "192.0.2.10/24")), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			lost := LastAddress(row.before, row.after, nil, tests)
			require.Equal(t, row.lost, len(lost) == 1, "%v", lost)
			if row.lost {
				require.Equal(t, row.before.Routes[0], lost[0].Route)
				require.Equal(t, []int{2}, lost[0].Links)
				require.NotEmpty(t, lost[0].Sources)
			}
		})
	}
}
