// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/netstate"
	"github.com/ipmpd/ipmpd/test/lab"
)

// stranded is a host with a default route, and what a former run has left on it.
type stranded struct {
	netstate.Snapshot
	state State
}

// strand is a host with hme0 (index 2), hme1 (3) and eth9 (4).
func strand() *stranded {
	h := &stranded{state: emptyState()}
	for i, name := range []string{"hme0", "hme1", "eth9"} {
		h.Links = append(h.Links, netstate.Link{Index: i + 2, Name: name, MAC: [6]byte{2, 0, 0, 0, 0, byte(i)}, MTU: 1500, Up: true, Carrier: true, Hardware: 1})
	}
	return h
}

// address of somebody else, or, with addr.Protocol, of ours.
func (h *stranded) address(link int, prefix string, protocol uint8) *stranded {
	p := netip.MustParsePrefix(prefix)
	a := netstate.Address{Link: link, Prefix: p, Flags: unix.IFA_F_PERMANENT, Protocol: protocol, Preferred: netstate.Forever, Valid: netstate.Forever}
	h.Addresses = append(h.Addresses, a)
	return h
}

func (h *stranded) route(link int, to, via string, metric uint32, protocol uint8) *stranded {
	r := netstate.Route{Table: unix.RT_TABLE_MAIN, Dst: netip.MustParsePrefix(to), Metric: metric, Protocol: protocol, Expires: netstate.Forever,
		Hops: []netstate.Hop{{Link: link, Gateway: netip.MustParseAddr(via), Weight: 1}}}
	h.Routes = append(h.Routes, r)
	return h
}

// ours: a default route through the group in slot 0, by hme0 and hme1.
func (h *stranded) ours(via, src string) *stranded {
	const first, second, both = 'i'<<24 | 1<<6, 'i'<<24 | 1<<6 | 1, 'i'<<24 | 1<<6 | 32 // pkg/addr: slot 0, IPv4, one gateway
	h.Nexthops = append(h.Nexthops, netstate.Nexthop{ID: first, Protocol: addr.Protocol, Link: 2, Gateway: netip.MustParseAddr(via)},
		netstate.Nexthop{ID: second, Protocol: addr.Protocol, Link: 3, Gateway: netip.MustParseAddr(via)},
		netstate.Nexthop{ID: both, Protocol: addr.Protocol, Group: []uint32{first, second}})
	h.Routes = append(h.Routes, netstate.Route{Table: unix.RT_TABLE_MAIN, Dst: netip.MustParsePrefix("0.0.0.0/0"), Protocol: addr.Protocol,
		Expires: netstate.Forever, NexthopID: both, Src: netip.MustParseAddr(src)})
	return h
}

// ran: a group g of hme0 and hme1 is at work.
func (h *stranded) ran(tests [2]string, addresses ...string) *stranded {
	g := addr.UndoGroup{Name: "g"}
	for i, name := range []string{"hme0", "hme1"} {
		m := addr.UndoMember{Name: name, Index: i + 2, Number: i}
		if tests[i] != "" {
			m.Tests = []netip.Prefix{netip.MustParsePrefix(tests[i])}
		}
		g.Members = append(g.Members, m)
	}
	for _, a := range addresses {
		g.Addresses = append(g.Addresses, netip.MustParsePrefix(a))
	}
	h.state.Undo.Groups = append(h.state.Undo.Groups, g)
	h.state.Known = append(h.state.Known, "g")
	return h
}

// found: an address of the group was on an interface before us.
func (h *stranded) found(link int, name, prefix string) *stranded {
	h.state.Undo.Addresses = append(h.state.Undo.Addresses, addr.FoundAddress{Link: link, LinkName: name,
		Prefix: netip.MustParsePrefix(prefix), Flags: unix.IFA_F_PERMANENT})
	return h
}

func (h *stranded) adopted(via string) *stranded {
	h.state.Adopted = append(h.state.Adopted, adoptedRoute{Group: "g", To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr(via)})
	return h
}

// replaced: ours stands in the place of this default route.
func (h *stranded) replaced(link int, name, via string) *stranded {
	h.state.Replaced = append(h.state.Replaced, replacedRoute{Interface: name, Index: link, To: netip.MustParsePrefix("0.0.0.0/0"),
		Via: netip.MustParseAddr(via), Table: unix.RT_TABLE_MAIN, Protocol: unix.RTPROT_BOOT})
	return h
}

// allOnes is a host whose interfaces promote secondary addresses.
func allOnes(keys []string) map[string]string {
	values := map[string]string{}
	for _, k := range keys {
		values[k] = "1"
	}
	return values
}

var bothTests = [2]string{"192.0.2.11/24", "192.0.2.12/24"}

// What takes the last address from the default route, and what does not.
func TestLastAddress(t *testing.T) {
	const (
		tests   = "groups:\n  g:\n    interfaces:\n      hme0: {test: [192.0.2.11/24]}\n      hme1: {test: [192.0.2.12/24]}\n"
		plain   = "groups:\n  g:\n    interfaces:\n      hme0:\n      hme1:\n"
		data    = "    addresses: [192.0.2.10/24]\n"
		byHand  = unix.RTPROT_BOOT
		hmeTest = "192.0.2.11 is the last address for the default route via 192.0.2.1 through hme0, and a test address is no source; " +
			"name a data address of that subnet under `addresses:`, or write `force: true` in group g"
	)
	running := func() *stranded {
		return strand().address(2, "192.0.2.10/24", addr.Protocol).address(2, "192.0.2.11/24", addr.Protocol).
			address(3, "192.0.2.12/24", addr.Protocol).ours("192.0.2.1", "192.0.2.10").ran(bothTests, "192.0.2.10/24").adopted("192.0.2.1")
	}
	for _, row := range []struct {
		name string
		host *stranded
		yaml string
		want string
	}{
		{"the only address becomes a test address", strand().address(2, "192.0.2.11/24", 0).route(2, "0.0.0.0/0", "192.0.2.1", 0, byHand),
			tests, "4:7: " + hmeTest},
		{"and a data address takes its place", strand().address(2, "192.0.2.11/24", 0).route(2, "0.0.0.0/0", "192.0.2.1", 0, byHand),
			tests + data, ""},
		{"and a data address of another subnet", strand().address(2, "192.0.2.11/24", 0).route(2, "0.0.0.0/0", "192.0.2.1", 0, byHand),
			tests + "    addresses: [198.51.100.10/24]\n", ""},
		{"and a data address of the other family", strand().address(2, "192.0.2.11/24", 0).route(2, "0.0.0.0/0", "192.0.2.1", 0, byHand),
			tests + "    addresses: ['2001:db8::10/64']\n", "4:7: " + hmeTest},
		{"and the interface has a foreign one", strand().address(2, "192.0.2.11/24", 0).address(2, "192.0.2.99/24", 0).route(2, "0.0.0.0/0", "192.0.2.1", 0, byHand),
			tests, ""},
		{"and another default route is better", strand().address(2, "192.0.2.11/24", 0).address(4, "198.51.100.9/24", 0).
			route(2, "0.0.0.0/0", "192.0.2.1", 200, byHand).route(4, "0.0.0.0/0", "198.51.100.1", 100, byHand), tests, ""},
		{"and another default route is worse", strand().address(2, "192.0.2.11/24", 0).address(4, "198.51.100.9/24", 0).
			route(2, "0.0.0.0/0", "192.0.2.1", 100, byHand).route(4, "0.0.0.0/0", "198.51.100.1", 200, byHand), tests, "4:7: " + hmeTest},
		{"and the member has no link: that is no matter of the file", func() *stranded {
			h := strand().address(2, "192.0.2.11/24", 0).route(2, "0.0.0.0/0", "192.0.2.1", 0, byHand)
			h.Links[0].Carrier, h.Links[1].Carrier = false, false
			return h
		}(), tests + data, ""},
		{"there is no default route", strand().address(2, "192.0.2.11/24", 0), tests, ""},
		{"it goes by another interface", strand().address(2, "192.0.2.11/24", 0).address(4, "198.51.100.9/24", 0).route(4, "0.0.0.0/0", "198.51.100.1", 0, byHand), tests, ""},
		{"it had no address of the host before", strand().route(2, "0.0.0.0/0", "192.0.2.1", 0, byHand), tests, ""},
		{"IPv6: a test address", strand().address(2, "2001:db8::11/64", 0).address(2, "fe80::2/64", 0).route(2, "::/0", "fe80::1", 1024, unix.RTPROT_RA),
			"groups:\n  g:\n    interfaces:\n      hme0: {test: ['2001:db8::11/64']}\n      hme1:\n",
			"4:7: 2001:db8::11 is the last address for the default route via fe80::1 through hme0, and a test address is no source; " +
				"name a data address of that subnet under `addresses:`, or write `force: true` in group g"},
		{"IPv6: beside the advertised route stands ours", strand().address(2, "2001:db8::11/64", 0).route(2, "::/0", "fe80::1", 1024, unix.RTPROT_RA),
			"groups:\n  g:\n    interfaces:\n      hme0: {test: ['2001:db8::11/64']}\n      hme1:\n    addresses: ['2001:db8::10/64']\n", ""},

		{"a data address follows with its route", strand().address(2, "192.0.2.10/24", 0).route(2, "0.0.0.0/0", "192.0.2.1", 0, byHand),
			plain + "    addresses: [{address: 192.0.2.10/24, home: hme1}]\n", ""},
		{"a routing daemon's route does not follow an address that leaves a standby", strand().address(2, "192.0.2.10/24", 0).route(2, "0.0.0.0/0", "192.0.2.1", 0, unix.RTPROT_BIRD),
			"groups:\n  g:\n    interfaces:\n      hme0: {standby: true}\n      hme1:\n    addresses: [192.0.2.10/24]\n",
			"6:17: 192.0.2.10 is the last address for the default route via 192.0.2.1 through hme0, which cannot follow the group (protocol 12), and leaves it; " +
				"give it that interface as its home, or write `force: true` in group g"},
		{"a routing daemon's route, and the address stays where it was found", strand().address(2, "192.0.2.10/24", 0).route(2, "0.0.0.0/0", "192.0.2.1", 0, unix.RTPROT_BIRD),
			plain + "    addresses: [{address: 192.0.2.10/24, home: hme0}]\n", ""},
		{"a routing daemon's route, and a foreign address stays", strand().address(2, "192.0.2.99/24", 0).route(2, "0.0.0.0/0", "192.0.2.1", 0, unix.RTPROT_BIRD), plain + data, ""},

		{"a start or reload of what runs", running(), tests + data, ""},
		{"a reload that takes the data address out", running(), tests,
			"2:3: the file no longer names 192.0.2.10, the last address for the default route via 192.0.2.1 through hme0 and hme1; " +
				"name one under `addresses:`, or write `force: true` in group g"},
		{"a reload that puts another in its place", running(), tests + "    addresses: [192.0.2.20/24]\n", ""},
		{"a reload that makes it a test address", running(), "groups:\n  g:\n    interfaces:\n      hme0: {test: [192.0.2.10/24]}\n      hme1: {test: [192.0.2.12/24]}\n",
			"4:7: 192.0.2.10 is the last address for the default route via 192.0.2.1 through hme0 and hme1, and a test address is no source; " +
				"name a data address of that subnet under `addresses:`, or write `force: true` in group g"},
		{"a group that is called otherwise", running(), "groups:\n  h:\n    interfaces:\n      hme0: {test: [192.0.2.11/24]}\n      hme1: {test: [192.0.2.12/24]}\n" + data, ""},
		{"the group is gone", running(), "groups:\n  h:\n    interfaces:\n      eth9:\n",
			"1:1: the file no longer names 192.0.2.10, the last address for the default route via 192.0.2.1 through hme0 and hme1; " +
				"leave its group in the file, or let go of it first: `ipmpd release g`"},
		{"the group is gone, and its address goes back to where it was found, with its route",
			running().found(2, "hme0", "192.0.2.10/24").replaced(2, "hme0", "192.0.2.1"), "groups:\n  h:\n    interfaces:\n      eth9:\n", ""},
		{"only its route is gone, which the file had", func() *stranded {
			h := running()
			h.state.Adopted = nil
			return h
		}(), tests + data, ""},
		{"its memory is lost", func() *stranded {
			h := running()
			h.state = emptyState()
			return h
		}(), tests + data, ""},
		{"a restart with test addresses that were accepted", strand().address(2, "192.0.2.11/24", 0).route(2, "0.0.0.0/0", "192.0.2.1", 0, byHand).ran(bothTests), tests, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			j := &journal{log: slog.New(slog.DiscardHandler), state: row.host.state}
			judge := func(yaml string) ([]config.Warning, *config.Error) {
				cfg, err := config.Parse("f.yaml", []byte(yaml))
				require.NoError(t, err)
				return judgeLastAddress(cfg, &row.host.Snapshot, allOnes, j)
			}
			warnings, wrong := judge(row.yaml)
			require.Empty(t, warnings)
			if row.want == "" {
				require.Nil(t, wrong)
				return
			}
			require.NotNil(t, wrong)
			require.Equal(t, "f.yaml:"+row.want, wrong.Error())
			warnings, wrong = judge(row.yaml + "    force: true\n")
			if row.want[0] == '1' { // no group is left to say it in
				require.NotNil(t, wrong)
				return
			}
			require.Nil(t, wrong)
			require.Len(t, warnings, 1)
			require.Contains(t, warnings[0].String(), "; `force: true` of group g accepts it")
		})
	}
}

// On a host whose only address and default route are an administrator's: refused at a start, by check
// and at a reload, with nothing touched; and what runs goes on.
func TestLastAddressInALab(t *testing.T) {
	l, binary := startLab(t, lab.Options{})
	require.NoError(t, l.Host.AddAddr("hme0", "192.0.2.11/24"))
	inHostRun(t, l, "ip route add default via 192.0.2.1 dev hme0")
	settled(t, l)
	const noData = "groups:\n  g:\n    interfaces:\n      hme0: {test: [192.0.2.11/24]}\n      hme1: {test: [192.0.2.12/24]}\n    duplicate-check: false\n"
	const cause = ":4:7: 192.0.2.11 is the last address for the default route via 192.0.2.1 through hme0, and a test address is no source; "
	file := filepath.Join(l.Dir, "last.yaml")
	write := func(file, yaml string) { require.NoError(t, os.WriteFile(file, []byte(yaml), 0o600)) }
	write(file, noData)
	before := hostState(t, l)
	for _, command := range []string{"run", "check"} {
		code, stdout, stderr := inHost(t, l, binary, nil, command, "--config", file, "--socket", filepath.Join(l.Dir, "s"))
		require.Equal(t, "ipmpd: "+file+cause+"name a data address of that subnet under `addresses:`, or write `force: true` in group g\n", stderr)
		require.Equal(t, 3, code)
		require.Empty(t, stdout)
		require.Equal(t, before, hostState(t, l))
	}
	write(file, noData+"    force: true\n")
	code, stdout, stderr := inHost(t, l, binary, nil, "check", "--config", file, "--socket", filepath.Join(l.Dir, "s"))
	require.Equal(t, []any{0, ""}, []any{code, stderr})
	require.Contains(t, stdout, "warning: "+file+cause+"`force: true` of group g accepts it\n")

	d := startDaemon(t, l, binary, noData+"    addresses: [192.0.2.10/24]\n")
	require.NoError(t, d.WaitReady(20*time.Second))
	until(t, l, d, "address in use", func(g lab.GroupStatus) bool { return addressesOf(g) == "192.0.2.10/24 up hme0" })
	source := func(want string) {
		t.Helper()
		l.Require(t, "source "+want, 20*time.Second, func() (bool, error) {
			out := inHostRun(t, l, "ip route get 198.51.100.1")
			if !regexp.MustCompile(" src " + want + " ").MatchString(out) {
				return false, fmt.Errorf("it is %s", out)
			}
			return true, nil
		})
	}
	source("192.0.2.10")
	running := filepath.Join(l.Dir, "ipmpd0.yaml")
	reload := func() (int, string) {
		code, _, stderr := inHost(t, l, binary, nil, "reload", "--socket", d.Socket)
		return code, stderr
	}
	want := "ipmpd: " + running + ":2:3: the file no longer names 192.0.2.10, the last address for the default route via 192.0.2.1 through hme0 and hme1; " +
		"name one under `addresses:`, or write `force: true` in group g\n"
	write(running, noData)
	code, stderr = reload()
	require.Equal(t, want, stderr)
	require.Equal(t, 3, code)
	source("192.0.2.10")
	s, err := d.Status()
	require.NoError(t, err)
	require.Equal(t, "192.0.2.10/24 up hme0", addressesOf(s.Groups[0]), "the old configuration stays in force")
	// The same file at a start over the remains: nothing is taken either.
	require.NoError(t, d.Kill())
	code, _, stderr = inHost(t, l, binary, nil, "run", "--config", running, "--socket", d.Socket)
	require.Equal(t, want, stderr)
	require.Equal(t, 3, code)
	source("192.0.2.10")
	write(running, noData+"    addresses: [192.0.2.10/24]\n")
	require.NoError(t, d.Start())
	require.NoError(t, d.WaitReady(20*time.Second))

	// Another address in its place is no loss. Without any, only on demand.
	write(running, noData+"    addresses: [192.0.2.20/24]\n")
	code, stderr = reload()
	require.Equal(t, []any{0, ""}, []any{code, stderr})
	source("192.0.2.20")
	write(running, noData+"    force: true\n")
	code, stderr = reload()
	require.Zero(t, code, stderr)
	source("192.0.2.1[12]") // that of whichever member the flow takes
	require.Contains(t, logOf(t, d), "`force: true` of group g accepts it")
	write(running, noData) // what was accepted is not asked for again
	code, stderr = reload()
	require.Equal(t, []any{0, ""}, []any{code, stderr})
	require.NoError(t, d.Stop())
}

// inHostRun a command in the lab's host that must succeed.
func inHostRun(t *testing.T, l *lab.Lab, command string) string {
	t.Helper()
	words := strings.Fields(command)
	var out []byte
	require.NoError(t, l.InHost(func() (err error) {
		out, err = exec.Command(words[0], words[1:]...).CombinedOutput()
		return err
	}), command)
	return string(out)
}

// BenchmarkLastAddress is what a start or reload pays for looking ahead: 64 groups, 256 members, 4,096
// addresses that are on the host, a default route.
func BenchmarkLastAddress(b *testing.B) {
	h := &stranded{state: emptyState()}
	var yaml strings.Builder
	yaml.WriteString("groups:\n")
	for g := range 64 {
		fmt.Fprintf(&yaml, "  g%d:\n    interfaces:\n", g)
		for m := range 4 {
			h.Links = append(h.Links, netstate.Link{Index: len(h.Links) + 2, Name: fmt.Sprintf("e%d-%d", g, m), MTU: 1500, Up: true, Carrier: true, Hardware: 1})
			fmt.Fprintf(&yaml, "      e%d-%d:\n", g, m)
		}
		yaml.WriteString("    addresses:\n")
		for a := range 64 {
			prefix := fmt.Sprintf("10.0.%d.%d/16", g, a+1)
			h.address(g*4+2+a%4, prefix, addr.Protocol)
			fmt.Fprintf(&yaml, "      - %s\n", prefix)
		}
	}
	h.route(2, "0.0.0.0/0", "10.0.255.1", 0, unix.RTPROT_BOOT)
	cfg, err := config.Parse("f.yaml", []byte(yaml.String()))
	require.NoError(b, err)
	j := &journal{log: slog.New(slog.DiscardHandler), state: h.state}
	for b.Loop() {
		_, wrong := judgeLastAddress(cfg, &h.Snapshot, netstate.Sysctls, j)
		require.Nil(b, wrong)
	}
}
