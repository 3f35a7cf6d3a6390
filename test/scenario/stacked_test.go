// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/lab"
)

// needsKind skips where this kernel has no devices of a kind; under test/vm, whose kernels have all,
// it fails.
func needsKind(t *testing.T, l netlink.Link) {
	t.Helper()
	s := &scene{Lab: lab.Start(t, lab.Options{Members: 1}), t: t}
	under, err := s.Host.Link("hme0")
	require.NoError(t, err)
	if v, ok := l.(*netlink.Vlan); ok {
		v.ParentIndex = under.Attrs().Index
	}
	err = s.Host.Netlink.LinkAdd(l)
	if errors.Is(err, unix.EOPNOTSUPP) && os.Getenv("IPMPD_BINARY") == "" {
		t.Skipf("this kernel has no %s; make test-vm has", l.Type())
	}
	require.NoError(t, err)
}

// ipIn runs ip(8) in a namespace.
func (s *scene) ipIn(n *lab.Netns, args ...string) string {
	s.t.Helper()
	out, err := exec.Command("ip", append([]string{"-n", n.Name}, args...)...).CombinedOutput()
	require.NoError(s.t, err, "ip -n %s %s: %s", n.Name, strings.Join(args, " "), out)
	return string(out)
}

// TestVRF: members in a VRF. What is in its table follows the group as the main table's routes do
// elsewhere, the main table stays as it is, and release puts everything back.
func TestVRF(t *testing.T) {
	needsKind(t, &netlink.Vrf{LinkAttrs: netlink.LinkAttrs{Name: "v"}, Table: 99})
	var before string
	tables := func(s *scene) string {
		return s.ip("route", "show", "table", "100") + "--\n" + s.ip("route", "show") + "--\n" + s.ip("-4", "addr", "show", "dev", "hme0")
	}
	c := setup{lab: lab.Options{Far: true}, prepare: func(_ *testing.T, s *scene) {
		s.ip("link", "add", "red", "type", "vrf", "table", "100")
		s.ip("link", "set", "red", "up")
		for _, m := range s.Members {
			s.ip("link", "set", m.Name, "master", "red")
		}
		s.ip("addr", "add", "192.0.2.10/24", "dev", "hme0")
		s.ip("route", "add", "default", "via", "192.0.2.1", "table", "100")
		s.ip("route", "add", "203.0.113.0/24", "dev", "lo") // of the main table, and nobody's business
		before = tables(s)
	}}
	s := stage(t, c)
	check := func(home string) {
		t.Helper()
		s.at(home, lab.Data)
		for _, to := range []string{"default", "192.0.2.0/24"} {
			s.wait(to+" in the VRF's table", func() (bool, error) {
				out := s.ip("route", "show", "table", "100", to)
				if !strings.Contains(out, "proto 157") || !strings.Contains(out, "src 192.0.2.10") {
					return false, fmt.Errorf("it is %q", out)
				}
				return true, nil
			})
		}
		require.Equal(t, "203.0.113.0/24 dev lo scope link", strings.TrimSpace(s.ip("route", "show")), "the main table")
		s.wait("the far peer to be reached", func() (bool, error) {
			out, err := exec.Command("ip", "netns", "exec", s.Host.Name, "ip", "vrf", "exec", "red", pinger(), "-c", "1", "-W", "1",
				"-I", "192.0.2.10", lab.Far.String()).CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
			return err == nil, err
		})
	}
	check("hme0")
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	check("hme1")
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")
	check("hme0")
	_, err := s.Members[0].CutCarrier()
	require.NoError(t, err)
	s.expect("failover hme0")
	check("hme1")
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")
	check("hme0")
	s.run("release")
	s.wait("ipmpd to end", func() (bool, error) { return s.daemon.Ended(), nil })
	require.Equal(t, before, tables(s))
}

// pinger of this machine: busybox where there is no other.
func pinger() string {
	if path, err := exec.LookPath("ping"); err == nil {
		return path
	}
	return "/bin/ping"
}

const tagged = `groups:
  tagged:
    detection-time: 1ms
    flap-limit: 0
    duplicate-check: false
    targets: [192.0.2.1]
    interfaces: {v0: {test: [192.0.2.11/24]}, v1: {test: [192.0.2.12/24]}}
    addresses: [192.0.2.10/24]
`

// TestVLANMembers: VLAN devices as members, each on a NIC of its own; the peers are in that VLAN.
func TestVLANMembers(t *testing.T) {
	needsKind(t, &netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: "v"}, VlanId: 6})
	s := stage(t, setup{config: tagged, prepare: func(t *testing.T, s *scene) {
		for i, m := range s.Members {
			v := fmt.Sprint("v", i)
			s.ip("link", "add", "link", m.Name, "name", v, "type", "vlan", "id", "5")
			s.ip("link", "set", v, "up")
		}
		for _, n := range []struct {
			ns   *lab.Netns
			addr netip.Addr
		}{{s.Router, lab.Router}, {s.Peer, lab.Peer}} {
			s.ipIn(n.ns, "addr", "flush", "dev", "eth0")
			s.ipIn(n.ns, "link", "add", "link", "eth0", "name", "eth5", "type", "vlan", "id", "5")
			s.ipIn(n.ns, "link", "set", "eth5", "up")
			s.ipIn(n.ns, "addr", "add", n.addr.String()+"/24", "dev", "eth5")
		}
	}})
	on := func(member string) {
		t.Helper()
		s.wait("the address on "+member, func() (bool, error) {
			return strings.Contains(s.ip("-4", "-o", "addr", "show", "dev", member), "192.0.2.10/24"), nil
		})
		s.reached(lab.Data)
	}
	on("v0")
	for _, cut := range []func(*lab.Member) error{
		(*lab.Member).CutSilent,
		func(m *lab.Member) error { _, err := m.CutCarrier(); return err },
	} {
		require.NoError(t, cut(s.Members[0]))
		s.expect("failover v0")
		on("v1")
		s.pass(100 * time.Millisecond)
		s.reached(lab.Data)
		require.NoError(t, s.Members[0].Repair())
		s.expect("repair v0", "failback v0")
		on("v0")
	}
	s.run("offline", "v0")
	s.expect("offline v0")
	on("v1")
	s.run("online", "v0")
	s.expect("online v0", "failback v0")
	on("v0")
}
