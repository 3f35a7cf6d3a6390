// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestNeighbors(t *testing.T) {
	a, b := MAC{2, 0, 0, 0, 1, 0xa}, MAC{2, 0, 0, 0, 1, 0xb}
	const (
		toB = "ip neigh replace 192.0.2.1 lladdr 02000000010b dev hme1"
		to1 = "ip neigh replace 192.0.2.1 lladdr 02000000010a dev hme1"
	)
	entry := func(link int, ip string, mac MAC, state uint16) HostNeighbor {
		return HostNeighbor{Link: link, IP: netip.MustParseAddr(ip), MAC: mac, State: state}
	}
	for _, row := range []struct {
		name string
		have []HostNeighbor
		want string
	}{
		{"known to one", []HostNeighbor{entry(2, "192.0.2.1", a, unix.NUD_REACHABLE)}, to1},
		{"permanent", []HostNeighbor{entry(2, "192.0.2.1", a, unix.NUD_PERMANENT)}, to1},
		{"not in use", []HostNeighbor{entry(2, "192.0.2.1", a, unix.NUD_FAILED)}, ""},
		{"in doubt", []HostNeighbor{entry(2, "192.0.2.1", a, unix.NUD_PROBE)}, ""},
		{"no MAC", []HostNeighbor{entry(2, "192.0.2.1", MAC{}, unix.NUD_REACHABLE)}, ""},
		{"the MAC of many", []HostNeighbor{entry(2, "192.0.2.1", MAC{1, 0, 0x5e}, unix.NUD_STALE)}, ""},
		{"known to both", []HostNeighbor{entry(2, "192.0.2.1", a, unix.NUD_REACHABLE), entry(3, "192.0.2.1", a, unix.NUD_STALE)}, ""},
		{"failed on the other, answers here", []HostNeighbor{entry(2, "192.0.2.1", a, unix.NUD_REACHABLE), entry(3, "192.0.2.1", a, unix.NUD_FAILED)}, to1},
		{"failed on the other, not asked here", []HostNeighbor{entry(2, "192.0.2.1", a, unix.NUD_STALE), entry(3, "192.0.2.1", a, unix.NUD_FAILED)}, ""},
		{"two MACs, one answers", []HostNeighbor{entry(2, "192.0.2.1", b, unix.NUD_REACHABLE), entry(3, "192.0.2.1", a, unix.NUD_STALE)}, toB},
		{"two MACs, both answer", []HostNeighbor{entry(2, "192.0.2.1", b, unix.NUD_REACHABLE), entry(3, "192.0.2.1", a, unix.NUD_REACHABLE)}, ""},
		{"two MACs, the younger only announced", []HostNeighbor{
			{Link: 2, IP: netip.MustParseAddr("192.0.2.1"), MAC: b, State: unix.NUD_STALE, Age: time.Second},
			{Link: 3, IP: netip.MustParseAddr("192.0.2.1"), MAC: a, State: unix.NUD_REACHABLE, Age: time.Minute}}, toB},
		{"an administrator's stays", []HostNeighbor{
			{Link: 2, IP: netip.MustParseAddr("192.0.2.1"), MAC: b, State: unix.NUD_REACHABLE, Age: time.Second},
			{Link: 3, IP: netip.MustParseAddr("192.0.2.1"), MAC: a, State: unix.NUD_PERMANENT, Age: time.Minute}}, ""},
		{"our own addresses", []HostNeighbor{entry(2, "192.0.2.10", a, unix.NUD_REACHABLE), entry(2, "192.0.2.12", a, unix.NUD_REACHABLE)}, ""},
		{"of no subnet of the group", []HostNeighbor{entry(2, "10.9.9.9", a, unix.NUD_REACHABLE)}, ""},
		{"link-local", []HostNeighbor{entry(2, "fe80::77", a, unix.NUD_REACHABLE)}, ""},
		{"link-local, but a gateway", []HostNeighbor{entry(2, "fe80::1", a, unix.NUD_STALE)},
			"ip neigh replace fe80::1 lladdr 02000000010a dev hme1"},
		{"of an interface in no group", []HostNeighbor{entry(4, "192.0.2.1", a, unix.NUD_REACHABLE)}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, _ := pair()
			d.Groups[0].Routes = append(d.Groups[0].Routes, Route{To: prefix("::/0"), Via: netip.MustParseAddr("fe80::1")})
			k := newKernel("hme0", "hme1", "eth9")
			for _, n := range row.have {
				k.neighbors[linkIP{n.Link, n.IP}] = n
			}
			require.Equal(t, row.want, k.run(t, Neighbors(d, k.observed())))
			require.Empty(t, Neighbors(d, k.observed()), "a second time there is nothing to do")
		})
	}
}

// Entered on a third member as reachable, one of two MACs would win over the other the next time.
func TestNeighborsInDispute(t *testing.T) {
	d, _ := pair()
	k := newKernel("hme0", "hme1", "hme2")
	d.Groups[0].Members = append(d.Groups[0].Members, Member{Name: "hme2", Index: 4, Link: true})
	ip := netip.MustParseAddr("192.0.2.1")
	for link := 2; link <= 3; link++ {
		k.neighbors[linkIP{link, ip}] = HostNeighbor{Link: link, IP: ip, MAC: MAC{2, 9, byte(link)}, State: unix.NUD_STALE}
	}
	require.Empty(t, Neighbors(d, k.observed()))
}

func TestNeighborsAtMost256(t *testing.T) {
	d, k := pair()
	d.Groups[0].Addresses = append(d.Groups[0].Addresses, Address{Prefix: prefix("10.0.0.1/16")})
	for i := range 1000 {
		ip := netip.AddrFrom4([4]byte{10, 0, byte(1 + i>>8), byte(i)})
		k.neighbors[linkIP{2, ip}] = HostNeighbor{Link: 2, IP: ip, MAC: MAC{2, 9}, State: unix.NUD_REACHABLE}
	}
	gateway := netip.MustParseAddr("192.0.2.1")
	k.neighbors[linkIP{2, gateway}] = HostNeighbor{Link: 2, IP: gateway, MAC: MAC{2, 9}, State: unix.NUD_STALE}
	got := k.run(t, Neighbors(d, k.observed()))
	require.Equal(t, maxMirrored-1, strings.Count(got, "\n"))
	require.True(t, strings.HasPrefix(got, "ip neigh replace 192.0.2.1 "), "gateways come first")
	require.Empty(t, Neighbors(d, k.observed()), "no further ones the next time")
}
