// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
)

// The checks of the kernel's own bonding selftest (tools/testing/selftests/drivers/net/bonding:
// bond_options.sh on bond_topo_2d1c.sh and bond_topo_3d1c.sh) in IPMP's terms, on its topology:
//
//	host, 192.0.2.10  eth0 ──┐
//	2001:db8::10      eth1 ──┤ switch ── peer (the client)
//	                  eth2 ──┘    └───── router, the target (there an address of the bridge itself)
//
//	bonding                                here
//	active-backup, primary eth1            eth1 is the home of the addresses, the others are standbys
//	balance-tlb, balance-alb               no standbys: all carry data; the home is eth1 all the same
//	prio eth2 > eth0                       the order of the file: eth1, eth2, eth0
//	another prio while it runs             another order of the file, and reload
//	primary_reselect always                failback: true
//	primary_reselect failure               failback: false
//	primary_reselect better                none compares speeds; with equal ones it is `failure` but for
//	                                       its last step, and so it is in the selftest
//	miimon                                 probe: link
//	arp_interval with arp_ip_target        probe: arp, a target of IPv4
//	arp_interval with ns_ip6_target        probe: arp, a target of IPv6: neighbour solicitation
//	arp_validate 0 .. 6                    a reply is always validated; rows are the kinds of probe
//	num_grat_arp, peer_notify_delay        announce: count, interval
//
// Two steps end elsewhere, both as the IPMP of Solaris does it. `always` moves to a backup that is back and has a
// higher prio; an address goes home, and nowhere else without need (spec 5.1). `failure` returns to the primary when
// the active one fails; here a standby is called before a repaired member that waits (spec 5.4), but without standbys
// it is that member, too.

// bonded is the selftest's server, its members in the order that they are called in: both families at
// home on eth1. Named standbys, or none for all that carry data.
func bonded(links int, standby, probe string, targets ...netip.Addr) setup {
	c := dual()
	c.lab = lab.Options{Members: links, Names: []string{"eth1", "eth2", "eth0"}}
	if links == 2 {
		c.lab.Names = []string{"eth1", "eth0"}
	}
	c.standby, c.atHome, c.targets = standby, "eth1", targets
	c.group = []string{"probe: " + probe, "hold-down: 0s"}
	if probe != "icmp" {
		c.tests = noTests
	}
	c.ready = allOK
	if probe == "link" { // all are `unknown`, as nobody is asked
		c.targets, c.ready = []netip.Addr{}, nil
	}
	c.detection = 20 * time.Millisecond
	return c
}

// allOK: a family without a target has no answers to wait for.
func allOK(s *scene) (bool, error) {
	st, err := s.client.Status(s.context())
	if err != nil {
		return false, err
	}
	if err := addressesInUse(st); err != nil {
		return false, err
	}
	for _, i := range st.Groups[0].Interfaces {
		if i.State != "ok" {
			return false, fmt.Errorf("%s is %s", i.Name, i.State)
		}
	}
	return true, nil
}

// connected: each family is on its member, the peer's packets find it there, and the host's own
// reach the peer from the data address: from that member, or, where all carry data, from those with link.
func (s *scene) connected(on4, on6 string) {
	s.t.Helper()
	const pings = 5
	for _, f := range []struct {
		on         string
		data, peer netip.Addr
	}{{on4, lab.Data, lab.Peer}, {on6, lab.Data6, lab.Peer6}} {
		s.at(f.on, f.data)
		e := s.ear(s.Peer.Listen("eth0"))
		got, err := s.Host.Ping(f.peer, pings, 5*time.Millisecond, patience)
		require.NoError(s.t, err)
		require.Len(s.t, got, pings, "answers from %s", f.peer)
		frames, err := e.Frames()
		require.NoError(s.t, err)
		require.NoError(s.t, e.Close())
		from := map[string]int{}
		for _, frame := range frames {
			if senderOf(frame) == f.data {
				from[s.owner(frame)]++
			}
		}
		sent := 0
		for name, n := range from {
			i, _ := s.status(name)
			require.True(s.t, i.Active, "%s sends from %s", name, f.data)
			sent += n
		}
		require.GreaterOrEqual(s.t, sent, pings, "who sends from %s: %v", f.data, from)
		if s.alone() {
			require.Equal(s.t, map[string]int{f.on: sent}, from)
		}
	}
}

// alone: one member carries all data, and the others stand by.
func (s *scene) alone() bool {
	_, g := s.status("eth1")
	n := 0
	for _, i := range g.Interfaces {
		if i.Active {
			n++
		}
	}
	return n == 1
}

// step of a prio test: what happens, and where IPv4 and IPv6 are then.
type step struct{ do, on4, on6 string }

// steps from text: "down eth1: eth2", or "down eth1: eth2 eth0" where the families part.
func steps(lines ...string) (list []step) {
	for _, l := range lines {
		do, on, _ := strings.Cut(l, ": ")
		at := strings.Fields(on)
		list = append(list, step{do, at[0], at[len(at)-1]})
	}
	return list
}

func TestBondingPrio(t *testing.T) {
	long(t)
	const off, on = "down", "up" // as the selftest does it: the interface itself
	for _, row := range []struct {
		name     string
		setup    setup
		failback bool
		silent   bool // the switch loses everything, in place of a link that is down
		steps    []step
	}{
		{"two links, failure", bonded(2, "eth0", "link"), false, false, steps(
			"down eth1: eth0", "up eth1: eth0", "down eth0: eth1")},
		{"active-backup miimon, always", bonded(3, "eth2 eth0", "link"), true, false, steps(
			"down eth1: eth2", "down eth2: eth0", "up eth2: eth0", "up eth1: eth1", "first eth0: eth1", "down eth1: eth0")},
		{"active-backup arp_ip_target, always", bonded(3, "eth2 eth0", "arp", lab.Router), true, true, steps(
			"down eth1: eth2", "down eth2: eth0", "up eth2: eth0", "up eth1: eth1", "first eth0: eth1", "down eth1: eth0")},
		{"active-backup ns_ip6_target, failure", bonded(3, "eth2 eth0", "arp", lab.Router6), false, true, steps(
			"down eth1: eth2", "down eth2: eth0", "up eth2: eth0", "up eth1: eth0", "down eth0: eth2")},
		{"balance miimon, always", bonded(3, "", "link"), true, false, steps(
			"down eth1: eth2 eth0", "down eth2: eth0", "up eth2: eth0", "up eth1: eth1", "first eth0: eth1", "down eth1: eth0 eth2")},
		{"balance miimon, failure", bonded(3, "", "link"), false, false, steps(
			"down eth1: eth2 eth0", "down eth2: eth0", "up eth2: eth0", "up eth1: eth0", "down eth0: eth1")},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.setup.group = append(row.setup.group, fmt.Sprintf("failback: %t", row.failback))
			s := stage(t, row.setup)
			s.connected("eth1", "eth1")
			for _, do := range row.steps {
				what, name, _ := strings.Cut(do.do, " ")
				m := s.member(name)
				switch {
				case what == "first":
					text, err := s.daemon.Configuration()
					require.NoError(t, err)
					require.NoError(t, s.daemon.Configure(first(text, name)))
					s.run("reload")
				case what == off && row.silent:
					require.NoError(t, m.CutSilent())
				case what == on && row.silent:
					require.NoError(t, m.Repair())
				default:
					s.ip("link", "set", name, what)
				}
				switch {
				case what == off:
					s.settled("failover " + name)
				case what == on && row.failback && name == "eth1":
					s.settled("repair "+name, "failback "+name)
				case what == on:
					s.settled("repair " + name)
				}
				s.connected(do.on4, do.on6)
			}
		})
	}
}

// first makes an interface the first of a file.
func first(text, name string) string {
	block := regexp.MustCompile(`(?m)^      ` + name + `:\n(?:        .*\n)+`).FindString(text)
	return strings.Replace(strings.Replace(text, block, "", 1), "    interfaces:\n", "    interfaces:\n"+block, 1)
}

// TestBondingStaysUp: the members of a group that is left alone stay as they are for five seconds, with
// each kind of probe.
func TestBondingStaysUp(t *testing.T) {
	long(t)
	var scenes []*scene
	for _, c := range []setup{
		bonded(3, "eth2 eth0", "icmp", lab.Router, lab.Router6),
		bonded(3, "eth2 eth0", "arp", lab.Router),
		bonded(3, "eth2 eth0", "arp", lab.Router6),
	} {
		c.detection = 100 * time.Millisecond
		s := stage(t, c)
		s.connected("eth1", "eth1")
		scenes = append(scenes, s)
	}
	sent := func(s *scene) (rounds []uint64) {
		_, g := s.status("eth1")
		require.Equal(t, "ok", g.State)
		for _, i := range g.Interfaces {
			require.Equal(t, []string{"ok", "up"}, []string{i.State, i.Link}, i.Name)
			for name, f := range i.Families {
				require.Equal(t, "ok", f.State, "%s, %s, %s probes", i.Name, name, i.ProbeKind)
			}
			require.Zero(t, i.Flaps)
			n := uint64(0) // of both families: one of them may have no target
			for _, f := range i.Families {
				if f.RoundsSent != nil {
					n += *f.RoundsSent
				}
			}
			rounds = append(rounds, n)
		}
		return rounds
	}
	var before [][]uint64
	for _, s := range scenes {
		before = append(before, sent(s))
	}
	scenes[0].pass(5 * time.Second)
	for i, s := range scenes {
		for j, n := range sent(s) {
			require.Greater(t, n, before[i][j], "it was probed")
		}
		s.connected("eth1", "eth1")
		require.Empty(t, words(s.history()))
	}
}
