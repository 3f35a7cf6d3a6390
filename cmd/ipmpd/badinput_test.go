// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/ipmpd/ipmpd/test/lab"
)

// Groups that lack nothing; rows go on in line 6.
const (
	goodGroup = "groups:\n  g:\n    interfaces:\n      hme0: {test: [192.0.2.11/24]}\n      hme1: {test: [192.0.2.12/24]}\n"
	noTests   = "groups:\n  g:\n    interfaces:\n      hme0:\n      hme1:\n"
)

// badFiles are the errors of contract section 3, and what the file answers behind its name. Of each
// kind there are more rows in pkg/config; two need kernels or managers that a lab does not have (a
// bond, networkd and NetworkManager), and have theirs there and beside hostlinks.go.
var badFiles = []struct{ name, yaml, want string }{
	{"unknown key", goodGroup + "    failovr: true\n", `6:5: group g has no key "failovr"; its keys are detection-time, misses, adapt, ` +
		"repair, hold-down, flap-limit, failback, probe, targets, attach, duplicate-check, multicast, announce, force, spread, interfaces, addresses, routes"},
	{"misspelt key", goodGroup + "    fail-back: true\n", "6:5: group g has no key \"fail-back\"; did you mean `failback`?"},
	{"wrong value", goodGroup + "    failback: 1\n", `6:15: failback is "1"; write true or false`},
	{"out of range", goodGroup + "    misses: 51\n", "6:13: misses 51 is out of range; use 1 .. 50"},
	{"detection-time", goodGroup + "    detection-time: 99us\n", "6:21: detection-time 99us is out of range; use 100us .. 60s"},
	{"rounds too close", goodGroup + "    detection-time: 100us\n",
		"6:21: detection-time / (misses + 1) is 25us, less than 50us; lengthen detection-time or lower misses"},
	{"no YAML", "groups: [\n", "1:9: sequence end token ']' not found; correct the YAML"},
	{"no group", "log-level: info\n", "1:1: there is no group; add one under `groups:`"},
	{"name of a group", "groups: {-g: {}}\n", `1:10: "-g" is no name for a group; use 1 .. 31 of A-Za-z0-9._- , first a letter or digit`},
	{"no interfaces", "groups:\n  g: {}\n", "2:3: group g has no interfaces; name them under `interfaces:`"},

	{"address without length", goodGroup + "    addresses: [192.0.2.10]\n", "6:17: address 192.0.2.10 has no length; add it, as 192.0.2.10/24"},
	{"address in two groups", goodGroup + "    addresses: [192.0.2.10/24]\n  h:\n    interfaces: {hme2: }\n    addresses: [192.0.2.10/24]\n",
		"9:17: 192.0.2.10 is already a data address of group g; remove one of the two"},
	{"test and data address", goodGroup + "    addresses: [192.0.2.12/24]\n", "6:17: 192.0.2.12 is already a test address of hme1; remove one of the two"},
	{"link-local data address", goodGroup + "    addresses: ['fe80::1/64']\n",
		"6:17: data address fe80::1 is link-local; use a routable address, as a link-local one stays on its interface"},
	{"interface in two groups", goodGroup + "  h:\n    interfaces:\n      hme1:\n", "8:7: interface hme1 is in group g and in group h; leave it in one of them"},
	{"unknown home", goodGroup + "    addresses:\n      - {address: 192.0.2.10/24, home: hme7}\n",
		`7:40: home "hme7" is no interface of group g; name an interface of the group`},
	{"standby home", "groups:\n  g:\n    interfaces: {hme0: , hme1: {standby: true}}\n    addresses:\n      - {address: 192.0.2.10/24, home: hme1}\n",
		"5:40: home hme1 is a standby; name an interface that is no standby"},
	{"target not on link", goodGroup + "    targets: [198.51.100.1]\n",
		"6:15: target 198.51.100.1 is not on link; name a host in a subnet of the group: 192.0.2.0/24"},
	{"icmp without test address", noTests + "    probe: icmp\n",
		"6:12: probe: icmp, but interface hme0 has no test address; give it `test: [ADDRESS/LENGTH]`, or use probe: auto"},
	{"test addresses of two subnets", "groups:\n  g:\n    interfaces:\n      hme0: {test: [192.0.2.11/24]}\n      hme1: {test: [198.51.100.12/24]}\n",
		"5:21: test address 198.51.100.12/24 is not in 192.0.2.0/24, as the others of group g are; give the test addresses of a family one subnet"},

	{"loopback", "groups:\n  g:\n    interfaces:\n      hme0:\n      lo:\n", "5:7: interface lo is a loopback; remove it"},
	{"bridge port", "groups:\n  g:\n    interfaces:\n      hme0:\n      port0:\n", "5:7: interface port0 is a port of the bridge br9; take it off the bridge"},
	{"MTU", "groups:\n  g:\n    interfaces:\n      hme0:\n      small0:\n",
		"5:7: interface small0 has MTU 1400, but hme0 has 1500; give the members of a group one MTU"},

	{"groups", many(65, 1), "194:3: there are more than 64 groups; remove some"},
	{"members of a group", many(1, 33), "36:7: group g0 has more than 32 interfaces; remove some"},
	{"members", many(9, 32), "276:7: the groups have more than 256 interfaces; remove some"},
	{"addresses", goodGroup + "    addresses:\n" + listOf(4097, "      - 10.0.%d.%d/8\n"), "4103:9: there are more than 4096 addresses; remove some"},
	{"targets", goodGroup + "    targets:\n" + listOf(17, "      - 192.0.2%.0d.%d\n"), "23:9: group g has more than 16 targets; remove some"},
	{"test addresses", noTests[:len(noTests)-1] + "\n        test:\n" + listOf(9, "          - 192.0.2%.0d.%d/24\n"),
		"15:13: hme1 has more than 8 test addresses of a family; remove some"},

	{"http", "http: {listen: '127.0.0.1:9643'}\n" + goodGroup, "1:1: http is not built yet; remove it"},
	{"monitor", goodGroup + "monitor: {hme0: }\n", "6:11: interface hme0 is in group g and under monitor; leave it in one of them"},
	{"notify", goodGroup + "notify: [page-me]\n", `6:10: program "page-me" has no absolute path; write the path from / on`},
	{"multicast", goodGroup + "    multicast: never\n", "6:16: multicast is \"never\"; write failover, ahead or off"},
	{"force", goodGroup + "    force: yes please\n", `6:12: force is "yes please"; write true or false`},
}

// many groups of many members.
func many(groups, members int) string {
	var b strings.Builder
	b.WriteString("groups:\n")
	for g := range groups {
		fmt.Fprintf(&b, "  g%d:\n    interfaces:\n", g)
		for m := range members {
			fmt.Fprintf(&b, "      e%d-%d:\n", g, m)
		}
	}
	return b.String()
}

// listOf lines with the numbers of addresses, from 20 on.
func listOf(n int, line string) string {
	var b strings.Builder
	for i := 20; i < n+20; i++ {
		fmt.Fprintf(&b, line, i/250, i%250+1)
	}
	return b.String()
}

// Whatever is wrong with the file, it is said in one line with its place, and nothing is touched.
func TestBadFilesTouchNothing(t *testing.T) {
	l, binary := startLab(t, lab.Options{})
	addOddLinks(t, l)
	file := filepath.Join(l.Dir, "bad.yaml")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	settled(t, l)
	before := hostState(t, l)
	for _, row := range badFiles {
		t.Run(row.name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(file, []byte(row.yaml), 0o600))
			for _, command := range []string{"run", "check"} {
				code, stdout, stderr := inHost(t, l, binary, nil, command, "--config", file, "--socket", filepath.Join(l.Dir, "s"))
				require.Equal(t, "ipmpd: "+file+":"+row.want+"\n", stderr)
				require.Equal(t, 3, code, "systemd must not restart it")
				require.Empty(t, stdout)
			}
			require.Equal(t, before, hostState(t, l))
		})
	}
	t.Run("no file", func(t *testing.T) {
		code, _, stderr := inHost(t, l, binary, nil, "run", "--config", filepath.Join(l.Dir, "no.yaml"), "--socket", filepath.Join(l.Dir, "s"))
		require.Equal(t, "ipmpd: "+filepath.Join(l.Dir, "no.yaml")+": cannot be read: no such file or directory; "+
			"create it, or name another file with --config\n", stderr)
		require.Equal(t, 3, code)
		require.Equal(t, before, hostState(t, l))
	})
	t.Run("Solaris files", func(t *testing.T) {
		root := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(root, "etc"), 0o755))
		file := filepath.Join(root, "etc/hostname.hme0")
		require.NoError(t, os.WriteFile(file, []byte("192.0.2.11/24 group g frobnicate up\n"), 0o600))
		for _, command := range []string{"run", "check"} {
			code, _, stderr := inHost(t, l, binary, nil, command, "--solaris", root, "--socket", filepath.Join(l.Dir, "s"))
			require.True(t, strings.HasPrefix(stderr, "ipmpd: "+file+":1: frobnicate: this is no word"), stderr)
			require.Equal(t, 3, code)
			require.Equal(t, before, hostState(t, l))
		}
	})
	for _, command := range notBuiltCommands() {
		t.Run(command.Name(), func(t *testing.T) {
			code, _, stderr := inHost(t, l, binary, nil, command.Name(), "--socket", filepath.Join(l.Dir, "s"))
			require.Equal(t, "ipmpd: "+command.Name()+" is not built yet; it comes with a later release\n", stderr)
			require.Equal(t, 1, code)
			require.Equal(t, before, hostState(t, l))
		})
	}
}

// addOddLinks: port0 on the bridge br9, and small0, whose MTU is another.
func addOddLinks(t *testing.T, l *lab.Lab) {
	t.Helper()
	h := l.Host.Netlink
	bridge := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs()}
	bridge.Name = "br9"
	require.NoError(t, h.LinkAdd(bridge))
	veth := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: "small0"}
	veth.Name = "port0"
	require.NoError(t, h.LinkAdd(veth))
	port, err := l.Host.Link("port0")
	require.NoError(t, err)
	require.NoError(t, h.LinkSetMaster(port, bridge))
	small, err := l.Host.Link("small0")
	require.NoError(t, err)
	require.NoError(t, h.LinkSetMTU(small, 1400))
}

// A second daemon names the first, which goes on.
func TestSecondDaemon(t *testing.T) {
	l, binary := startLab(t, lab.Options{})
	d := startDaemon(t, l, binary, plainConfig)
	require.NoError(t, d.WaitReady(20*time.Second))
	until(t, l, d, "address in use", func(g lab.GroupStatus) bool { return addressesOf(g) == "192.0.2.10/24 up hme0" })
	settled(t, l)
	before := hostState(t, l)
	file := filepath.Join(l.Dir, "ipmpd0.yaml")
	code, stdout, stderr := inHost(t, l, binary, nil, "run", "--config", file, "--socket", d.Socket)
	require.Regexp(t, `\Aipmpd: `+d.Socket+` is in use by another daemon, ipmpd devel, pid [1-9][0-9]*; `+
		`stop that one, or give this one its own --socket\n\z`, stderr)
	require.Empty(t, stdout)
	require.Equal(t, 1, code)
	require.Equal(t, before, hostState(t, l))
	require.False(t, d.Ended())

	// Its pid is that of the first.
	var pid int
	_, err := fmt.Sscanf(stderr[strings.Index(stderr, "pid "):], "pid %d;", &pid)
	require.NoError(t, err)
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	require.NoError(t, err)
	require.Contains(t, string(args), d.Socket)
	require.NoError(t, d.Stop())
}

// Commands that ask for what is not there, or for what would do harm, say so in one line and change nothing.
func TestBadCommands(t *testing.T) {
	l, binary := startLab(t, lab.Options{})
	d := startDaemon(t, l, binary, plainConfig)
	require.NoError(t, d.WaitReady(20*time.Second))
	until(t, l, d, "address in use", func(g lab.GroupStatus) bool { return addressesOf(g) == "192.0.2.10/24 up hme0" })
	var before any
	rest := func() {
		settled(t, l)
		before = hostState(t, l)
	}
	refused := func(want string, args ...string) {
		t.Helper()
		code, stdout, stderr := inHost(t, l, binary, nil, append(args, "--socket", d.Socket, "--state", d.State)...)
		require.Equal(t, "ipmpd: "+want+"\n", stderr, "%q", args)
		require.Equal(t, 1, code)
		require.Empty(t, stdout)
		require.Equal(t, before, hostState(t, l))
	}
	rest()
	refused(`release: no group "purple"; there are: unrealgrp1`, "release", "purple")
	refused("offline eth9: eth9 is in no group; see `ipmpd status`", "offline", "eth9")
	refused("online eth9: eth9 is in no group; see `ipmpd status`", "online", "eth9")
	_, err := d.Run(t.Context(), "offline", "hme0")
	require.NoError(t, err)
	until(t, l, d, "the other one has it", func(g lab.GroupStatus) bool { return addressesOf(g) == "192.0.2.10/24 up hme1" })
	rest()
	refused("offline hme1: no other member of the group is usable; repeat with --force to do it all the same", "offline", "hme1")
	until(t, l, d, "it still has it", func(g lab.GroupStatus) bool { return addressesOf(g) == "192.0.2.10/24 up hme1" })
	require.NoError(t, d.Stop())
	rest()
	refused("no daemon at "+d.Socket+"; start it with `ipmpd run`, or name its socket with --socket", "offline", "hme1")
	refused(`no group "purple"; there are: unrealgrp1`, "release", "purple")
}
