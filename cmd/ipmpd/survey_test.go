// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/check"
	"github.com/ipmpd/ipmpd/test/lab"
)

// checkIn the lab's host; what it says is returned without advice.
func checkIn(t *testing.T, l *lab.Lab, binary, yaml string, without ...uintptr) (code int, findings, stderr string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "check.yaml") // beside the folder that is compared
	require.NoError(t, os.WriteFile(file, []byte(yaml), 0o600))
	code, stdout, stderr := inHost(t, l, binary, without, "check", "--config", file, "--socket", filepath.Join(l.Dir, "s"))
	findings = regexp.MustCompile(`(?m)^ .*\n`).ReplaceAllString(stdout, "")
	return code, strings.ReplaceAll(findings, file, "FILE"), stderr
}

// programOn puts somebody else's program on a member of the lab.
func programOn(t *testing.T, l *lab.Lab, member, hook string) {
	t.Helper()
	kind, name := ebpf.SchedCLS, "other_tcx"
	if hook == "xdp" {
		kind, name = ebpf.XDP, "other_xdp"
	}
	pass := int32(2) // XDP_PASS
	if kind == ebpf.SchedCLS {
		pass = -1 // TCX_NEXT
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: name, Type: kind, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, pass), asm.Return()}})
	require.NoError(t, err)
	nl, err := l.Host.Link(member)
	require.NoError(t, err)
	if hook == "tc" {
		t.Cleanup(func() { _ = p.Close() })
		attrs := netlink.QdiscAttrs{LinkIndex: nl.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}
		require.NoError(t, l.Host.Netlink.QdiscAdd(&netlink.GenericQdisc{QdiscAttrs: attrs, QdiscType: "clsact"}))
		require.NoError(t, l.Host.Netlink.FilterAdd(&netlink.BpfFilter{FilterAttrs: netlink.FilterAttrs{LinkIndex: nl.Attrs().Index,
			Parent: netlink.HANDLE_MIN_EGRESS, Handle: 1, Priority: 1, Protocol: unix.ETH_P_ALL}, Fd: p.FD(), Name: "other_tc", DirectAction: true}))
		return
	}
	require.NoError(t, l.Host.Do(func() error {
		var x link.Link
		if hook == "xdp" {
			x, err = link.AttachXDP(link.XDPOptions{Program: p, Interface: nl.Attrs().Index, Flags: link.XDPGenericMode})
		} else {
			x, err = link.AttachTCX(link.TCXOptions{Program: p, Interface: nl.Attrs().Index, Attach: ebpf.AttachTCXIngress})
		}
		if err == nil {
			t.Cleanup(func() { _ = x.Close(); _ = p.Close() })
		}
		return err
	}))
}

// What it says of a good host and of one with everything that can be made in a lab; and that, whatever
// it looks at, it changes nothing.
func TestCheckInALab(t *testing.T) {
	l, binary := startLab(t, lab.Options{})
	settled(t, l)
	before := hostState(t, l)
	code, found, stderr := checkIn(t, l, binary, plainConfig)
	require.Equal(t, []any{0, ""}, []any{code, stderr})
	require.Regexp(t, `(?m)^ok: +kernel +Linux .*BPF with ring buffer`, found)
	require.Regexp(t, `(?m)^ok: +rights +CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_PERFMON`, found)
	require.Regexp(t, `(?m)^ok: +hme0 +driver veth, attaches by (tcx|clsact)$`, found)
	require.Regexp(t, `(?m)^note: +sysctl +.run. sets net/ipv4/conf/\{hme0,hme1\}/arp_announce 0 -> 2: else `, found)
	require.NotRegexp(t, `(?m)^warning: +(hme|sysctl|sockets|processes)`, found)
	require.Regexp(t, `\nFILE: ok: 1 group, 2 interfaces, 1 address\n\z`, found)
	require.Equal(t, before, hostState(t, l), "it changed the host")

	// A foreign address, programs of others, a bound socket, a DHCP client, a value that is in the way.
	require.NoError(t, l.Host.AddAddr("hme1", "198.51.100.7/24"))
	inHostRun(t, l, "ip route add 198.51.101.0/24 via 198.51.100.1 dev hme1")
	inHostRun(t, l, "ip route add default via 198.51.100.1 dev hme1")
	programOn(t, l, "hme0", "xdp")
	programOn(t, l, "hme1", "tcx")
	programOn(t, l, "hme1", "tc")
	require.NoError(t, l.Host.Sysctl("ipv4/conf/all/arp_ignore", "1"))
	require.NoError(t, l.Host.Do(func() error {
		s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			t.Cleanup(func() { _ = unix.Close(s) })
			err = unix.BindToDevice(s, "hme0")
		}
		if err == nil {
			err = unix.Bind(s, &unix.SockaddrInet4{Port: 8067})
		}
		return err
	}))
	client := fakeProcess(t, l, "dhclient", "hme1")
	settled(t, l)
	before = hostState(t, l)
	code, found, stderr = checkIn(t, l, binary, plainConfig)
	require.Equal(t, []any{0, ""}, []any{code, stderr})
	for _, want := range []string{
		`note: +hme1 +foreign address 198\.51\.100\.7/24: `,
		`note: +switch +not seen from here: whether its ports accept `,
		`note: +routes +198\.51\.101\.0/24 over hme1 stays, by a gateway that the group's addresses do not reach: `,
		`warning: +routes +default over hme1 stays, by a gateway that the group's addresses do not reach: `,
		`note: +hme0 +foreign program xdp other_xdp \(program [0-9]+\): `,
		`note: +hme1 +foreign program tcx ingress other_tcx \(program [0-9]+\), tc egress other_tc \(program [0-9]+\): `,
		`warning: +sysctl +arp_ignore is set for \{hme0,hme1\}: `,
		`warning: +sockets +udp 0\.0\.0\.0:8067 of .* \(pid [0-9]+\) is bound to hme0: `,
		fmt.Sprintf(`warning: +processes +the DHCP client dhclient \(pid %d\) works on hme1: `, client),
	} {
		require.Regexp(t, `(?m)^`+want, found)
	}
	require.Equal(t, before, hostState(t, l), "it changed the host")

	// XDP as the file asks for it, where it is taken: `run` would not do what the file says.
	code, found, stderr = checkIn(t, l, binary, plainConfig+"    attach: xdp\n")
	require.Equal(t, 1, code)
	require.Regexp(t, `(?m)^warning: +hme1 +driver veth, .attach: xdp.: TCP through it falls`, found)
	require.Regexp(t, `(?m)^error: +hme0 +XDP is taken by other_xdp \(program [0-9]+\): `, found)
	require.NotContains(t, found, "FILE: ok")
	require.Regexp(t, `\Aipmpd: hme0: XDP is taken by other_xdp \(program [0-9]+\): [^\n]*; take that program off, [^\n]*\n\z`, stderr)
	require.Equal(t, before, hostState(t, l), "it changed the host")

	// Without rights it says what `run` would say, and what else it could see.
	code, found, stderr = checkIn(t, l, binary, plainConfig, unix.CAP_NET_RAW)
	require.Equal(t, 1, code)
	require.Equal(t, "ipmpd: this process lacks CAP_NET_RAW (probes); run it as root, or name them in CapabilityBoundingSet= and "+
		"AmbientCapabilities= of its unit\n", stderr)
	require.Regexp(t, `(?m)^error: +rights +no CAP_NET_RAW \(probes\): .run. ends at once`, found)
	require.Regexp(t, `(?m)^note: +kernel +not tried: BPF with ring buffer`, found)
	code, found, _ = checkIn(t, l, binary, plainConfig, unix.CAP_NET_ADMIN, unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYS_ADMIN, unix.CAP_SYS_NICE)
	require.Equal(t, 1, code)
	require.Regexp(t, `(?m)^warning: +real time +set SCHED_FIFO priority 50: operation not permitted: `, found)
	require.Equal(t, before, hostState(t, l), "it changed the host")
}

// Beside a daemon: nothing of what that one did is called foreign or still to be done.
func TestCheckBesideADaemon(t *testing.T) {
	l, binary := startLab(t, lab.Options{})
	d := startDaemon(t, l, binary, plainConfig)
	require.NoError(t, d.WaitReady(20*time.Second))
	until(t, l, d, "address in use", func(g lab.GroupStatus) bool { return addressesOf(g) == "192.0.2.10/24 up hme0" })
	settled(t, l)
	before := hostState(t, l)
	code, stdout, stderr := inHost(t, l, binary, nil, "check", "--config", filepath.Join(l.Dir, "ipmpd0.yaml"), "--socket", d.Socket)
	require.Equal(t, []any{0, ""}, []any{code, stderr})
	require.NotRegexp(t, "foreign|`run` sets|is bound to", stdout)
	require.Regexp(t, `(?m)^note: +daemon +ipmpd devel runs at `, stdout)
	require.Equal(t, before, hostState(t, l), "it changed the host")
	require.NoError(t, d.Stop())
}

// fakeProcess is a shell by another name in the lab's host; the pid is returned.
func fakeProcess(t *testing.T, l *lab.Lab, name string, args ...string) int {
	t.Helper()
	shell, err := os.ReadFile("/bin/sh")
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, shell, 0o700))
	cmd := exec.Command(path, append([]string{"-c", "read x"}, args...)...)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, l.InHost(cmd.Start))
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	return cmd.Process.Pid
}

// Rules are read by the tools that made them, and reading them makes none.
func TestFirewallInALab(t *testing.T) {
	l, binary := startLab(t, lab.Options{})
	if _, err := exec.LookPath("nft"); err != nil {
		_, found, _ := checkIn(t, l, binary, plainConfig)
		require.Regexp(t, `(?m)^note: +rules +not looked at: .*nft \(not installed\)`, found)
		if os.Getenv("CI") == "true" {
			t.Fatal("no nft here; tools/deps.sh test installs it")
		}
		t.Skip("no nft here; the parser has its own tests")
	}
	ruleset := func() string {
		var out []byte
		require.NoError(t, l.InHost(func() (err error) { out, err = exec.Command("nft", "list", "ruleset").Output(); return }))
		return string(out)
	}
	require.Empty(t, ruleset())
	_, found, _ := checkIn(t, l, binary, plainConfig)
	require.NotRegexp(t, `(?m)^warning: +rules`, found)
	require.Empty(t, ruleset())
	require.NoError(t, l.InHost(func() error {
		return exec.Command("nft", `add table ip t; add chain ip t post { type nat hook postrouting priority 100; }; `+
			`add rule ip t post oifname "hme0" masquerade; add chain ip t in { type filter hook input priority 0; }; `+
			`add rule ip t in iifname "hme1" drop; add rule ip t in iifname { "hme0", "hme1" } accept`).Run()
	}))
	before := ruleset()
	code, found, _ := checkIn(t, l, binary, plainConfig)
	require.Zero(t, code)
	require.Regexp(t, `(?m)^warning: +rules +nftables ip t post, handle [0-9]+ masquerades by hme0: `, found)
	require.Regexp(t, `(?m)^warning: +rules +nftables ip t in, handle [0-9]+ is for hme1 only: `, found)
	require.Equal(t, 2, strings.Count(found, "nftables"), found)
	require.Equal(t, before, ruleset())
}

func TestManagerOf(t *testing.T) {
	root := t.TempDir()
	for path, text := range map[string]string{
		"run/systemd/netif/links/3":                       "ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/a.network\n",
		"etc/systemd/network/a.network":                   "[Network]\nKeepConfiguration=yes\nIgnoreCarrierLoss=yes\nAddress=192.0.2.10/24\n",
		"run/systemd/netif/leases/3":                      "ADDRESS=192.0.2.7\n",
		"run/NetworkManager/devices/3":                    "[device]\nmanaged=unknown\n",
		"etc/network/interfaces":                          "source /etc/network/interfaces.d/*\niface hme1 inet static\n",
		"etc/network/interfaces.d/hme0":                   "iface hme0 inet dhcp\n",
		"run/network/ifstate":                             "lo=lo\nhme0=hme0\n",
		"var/lib/dhcp/dhclient.hme0.leases":               "lease {}\n",
		"var/lib/dhcp/dhclient.hme1.leases":               "",
		"var/lib/NetworkManager/internal-1234-hme0.lease": "x\n",
	} {
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	require.Equal(t, check.Manager{
		Member: "hme0", NetworkdState: "configured", File: "/etc/systemd/network/a.network", NM: "unknown", Method: "dhcp", IfUp: true,
		Network: check.Network{Keep: new(true), IgnoreLoss: new(true), Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24")}},
		Leases:  []string{"/run/systemd/netif/leases/3", "/var/lib/dhcp/dhclient.hme0.leases", "/var/lib/NetworkManager/internal-1234-hme0.lease"},
	}, managerOf(root, "hme0", 3))
	require.Equal(t, check.Manager{Member: "hme1", Method: "static"}, managerOf(root, "hme1", 4))
}

func TestParseDiag(t *testing.T) {
	message := make([]byte, sizeofDiagMessage)
	message[0] = unix.AF_INET6
	message[4], message[5] = 0x1f, 0x90
	message[23] = 1
	message[40], message[68] = 7, 9
	s, ifindex, inode, ok := parseDiag(message)
	require.True(t, ok)
	require.Equal(t, []any{"[::1]:8080", "[::]:0", 7, uint32(9)}, []any{s.Local.String(), s.Remote.String(), ifindex, inode})
	_, _, _, ok = parseDiag(message[:sizeofDiagMessage-1])
	require.False(t, ok)
}
