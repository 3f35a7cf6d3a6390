// SPDX-License-Identifier: Apache-2.0

package check

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestManagers(t *testing.T) {
	ours := []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24")}
	off := Network{Keep: new(true), WithoutCarrier: true}
	with := func(change func(*Network)) Network {
		n := off
		change(&n)
		return n
	}
	for _, row := range []struct {
		m    Manager
		want string
	}{
		{Manager{}, ""},
		{Manager{NetworkdState: "unmanaged", File: "/a.network", NM: "false", Method: "manual", IfUp: true}, ""},
		{Manager{NetworkdState: "pending"},
			"warning hme0: systemd-networkd has it as pending, without a .network file yet: one that matches later would undo a move"},
		{Manager{NetworkdState: "configured", File: "/a.network", Network: off},
			"note hme0: managed by systemd-networkd, which keeps its hands off (/a.network: KeepConfiguration, IgnoreCarrierLoss)"},
		{Manager{NetworkdState: "configured", File: "/a.network", Network: with(func(n *Network) { n.Addresses = ours })},
			"warning hme0: systemd-networkd keeps its hands off it, but /a.network names 192.0.2.10: every restart and `networkctl reload` puts it there again, wherever it is by then"},
		{Manager{NetworkdState: "configured", File: "/a.network", Network: with(func(n *Network) { n.DHCP = true })},
			"warning hme0: systemd-networkd keeps its hands off it, but /a.network asks for DHCP: a leased address stays on this member"},
		{Manager{NM: "unknown"}, "warning hme0: NetworkManager knows it, and whether it manages it cannot be told"},
		{Manager{Method: "static", IfUp: true},
			"warning hme0: ifupdown has it up with method static: `ifdown` flushes its addresses, moved ones too, and `ifup` adds its own again"},
		{Manager{Method: "static"}, "note hme0: ifupdown would configure it with method static at `ifup`"},
		{Manager{Method: "dhcp"}, "warning hme0: ifupdown configures it by DHCP: the client takes the address off on loss of the lease, and puts it back"},
		{Manager{Leases: []string{"/l"}}, "note hme0: a DHCP lease is kept in /l: a client that still holds it takes the address off when it ends"},
	} {
		row.m.Member, row.m.Ours = "hme0", ours
		require.Equal(t, row.want, lines(t, Managers([]Manager{row.m})))
	}
}

func TestHandsOff(t *testing.T) {
	for file, want := range map[string]bool{
		"":                                   false,
		"[Network]\nDHCP=yes\n":              false,
		"[Network]\nKeepConfiguration=yes\n": false,
		"[Network]\nIgnoreCarrierLoss=yes\n": false,
		"[Network]\nKeepConfiguration=yes\nIgnoreCarrierLoss=yes\n":                                  true,
		"[Network]\nKeepConfiguration = static\nConfigureWithoutCarrier=true\n":                      true,
		"[Network]\nKeepConfiguration=yes\nConfigureWithoutCarrier=yes\nIgnoreCarrierLoss=no\n":      false,
		"[Network]\nKeepConfiguration=yes\nIgnoreCarrierLoss=5s\n":                                   false,
		"[Network]\nKeepConfiguration=dhcp\nIgnoreCarrierLoss=yes\n":                                 false,
		"[Link]\nKeepConfiguration=yes\nIgnoreCarrierLoss=yes\n":                                     false,
		"[Network]\n#KeepConfiguration=yes\n;KeepConfiguration=yes\nIgnoreCarrierLoss=yes\n":         false,
		"[Network]\nKeepConfiguration=yes\nIgnoreCarrierLoss=yes\n[Network]\nKeepConfiguration=no\n": false,
	} {
		require.Equal(t, want, ParseNetwork([]byte(file)).HandsOff(), file)
	}
	// What is printed is what helps.
	_, dropIn, _ := strings.Cut(strings.Join(DropIn("hme0"), "\n"), "\n")
	require.True(t, ParseNetwork([]byte(dropIn)).HandsOff())
}

func TestParseNetwork(t *testing.T) {
	n := ParseNetwork([]byte("[Network]\nDHCP=ipv4\nAddress=192.0.2.1/24\nAddress=\nAddress=192.0.2.2/24\n"), []byte("[Address]\nAddress=2001:db8::1\nAddress=x\n[Network]\nDHCP=no"))
	require.False(t, n.DHCP)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24"), netip.MustParsePrefix("2001:db8::1/128")}, n.Addresses)
}

func TestParseInterfaces(t *testing.T) {
	require.Equal(t, map[string]string{"lo": "loopback", "hme0": "static", "hme1": "manual", "hme2": "auto"}, ParseInterfaces(
		[]byte("auto lo\niface lo inet loopback\niface hme0 inet6 auto\niface hme0 inet static\n\taddress 192.0.2.11\n# iface hme3 inet dhcp\n"),
		[]byte("iface hme1 inet manual\niface hme1 inet6 dhcp\niface hme2 inet6 auto\niface hme4\n")))
}
