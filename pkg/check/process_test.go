// SPDX-License-Identifier: Apache-2.0

package check

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProcesses(t *testing.T) {
	require.Equal(t, text(
		"warning processes: the DHCP client dhclient (pid 2) works on hme0: it takes the address off when the lease or the link is lost, and puts it back where it was",
		"warning processes: the DHCP client udhcpc (pid 4) works on hme1: it takes the address off when the lease or the link is lost, and puts it back where it was",
		"warning processes: ptp4l (pid 5) keeps time by hme0: a clock belongs to its port and does not move",
		"note processes: phc2sys (pid 6) runs: if its file names a member, it does not move",
		"note processes: bird (pid 7) runs: its neighbours on a member are lost with it until its own timers say so, and its routes are left alone",
	), lines(t, Processes([]Process{
		{1, "sshd", []string{"sshd", "hme0"}},
		{2, "dhclient", []string{"dhclient", "-v", "hme0"}},
		{3, "dhclient", []string{"dhclient", "eth0"}},
		{4, "udhcpc", []string{"udhcpc", "-ihme1"}},
		{5, "ptp4l", []string{"ptp4l", "-i", "hme0"}},
		{6, "phc2sys", []string{"phc2sys", "-a"}},
		{7, "bird", []string{"bird"}},
	}, pair[0].Members)))
}

func TestNamed(t *testing.T) {
	for arg, want := range map[string]bool{
		"hme0": true, "dhcpcd: hme0 [ip4]": true, "-ihme0": true, "--interface=hme0": true, "xhme0": false, "hme01": false, "/run/dhclient.hme0": false, "": false,
	} {
		require.Equal(t, want, len(named([]string{arg}, []string{"hme0"})) == 1, arg)
	}
}

func TestSockets(t *testing.T) {
	require.Equal(t, text(
		"warning sockets: tcp 0.0.0.0:22 of sshd (pid 7) is bound to hme0: it sends and hears by this member only",
		"warning sockets: udp [::1]:5 -> [::2]:6 is bound to hme1: it sends and hears by this member only",
	), lines(t, Sockets([]Socket{
		{"hme0", "tcp", netip.MustParseAddrPort("0.0.0.0:22"), netip.MustParseAddrPort("0.0.0.0:0"), "sshd (pid 7)"},
		{"hme1", "udp", netip.MustParseAddrPort("[::1]:5"), netip.MustParseAddrPort("[::2]:6"), ""},
	})))
}

func TestDaemon(t *testing.T) {
	require.Equal(t, "note daemon: ipmpd 1.0 runs at /run/s: what it has set is not listed here, and a second one there would be refused",
		lines(t, []Finding{Daemon("/run/s", "1.0")}))
}
