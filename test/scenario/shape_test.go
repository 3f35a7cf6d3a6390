// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
)

// TestGroupFailsWhileOffline: who is offline fails with its group (spec 2.7), and shows that it is over
// when the operator puts it back and it is answered.
func TestGroupFailsWhileOffline(t *testing.T) {
	long(t)
	s := stage(t, setup{})
	s.run("offline", "hme1")
	s.expect("offline hme1")
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("group-failure")
	s.state("hme1", "offline")
	is, err := s.where(lab.Data)
	require.NoError(t, err)
	require.Equal(t, "hme0", is, "nothing moves")
	s.run("online", "hme1")
	s.expect("online hme1", "group-repair hme1")
	s.at("hme1", lab.Data)
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")
	s.at("hme0", lab.Data)
}

// twoAndTwo are two members with two standbys, and an address for each member.
const twoAndTwo = `groups:
  unrealgrp1:
    detection-time: 2ms
    flap-limit: 0
    duplicate-check: false
    targets: [192.0.2.1]
    interfaces:
      hme0: {test: [192.0.2.11/24]}
      hme1: {test: [192.0.2.12/24]}
      hme2: {test: [192.0.2.13/24], standby: true}
      hme3: {test: [192.0.2.14/24], standby: true}
    addresses: [192.0.2.10/24, 192.0.2.20/24]
`

// TestTwoMembersWithTwoStandbys: each failure calls one, in file order; what is called too many is let
// go when its principal is back.
func TestTwoMembersWithTwoStandbys(t *testing.T) {
	s := stage(t, setup{lab: lab.Options{Members: 4}, config: twoAndTwo})
	other := netip.MustParseAddr("192.0.2.20")
	active := func(want ...string) {
		t.Helper()
		s.wait(fmt.Sprint(want, " active"), func() (bool, error) {
			_, g := s.status("hme0")
			var is []string
			for _, m := range g.Interfaces {
				if m.Active {
					is = append(is, m.Name)
				}
			}
			if !slices.Equal(is, want) {
				return false, fmt.Errorf("%q", is)
			}
			return true, nil
		})
	}
	active("hme0", "hme1")
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	active("hme1", "hme2")
	s.at("hme2", lab.Data)
	s.at("hme1", other)
	_, err := s.Members[1].CutCarrier()
	require.NoError(t, err)
	s.expect("failover hme1")
	active("hme2", "hme3")
	s.at("hme3", other)
	s.at("hme2", lab.Data)
	require.NoError(t, s.Members[2].CutSilent())
	s.expect("failover hme2")
	active("hme3")
	s.at("hme3", lab.Data, other)
	require.NoError(t, s.Members[1].Repair())
	s.expect("repair hme1", "failback hme1")
	s.at("hme1", other)
	s.at("hme3", lab.Data)
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")
	active("hme0", "hme1")
	s.at("hme0", lab.Data)
	require.NoError(t, s.Members[2].Repair())
	s.expect("repair hme2")
	active("hme0", "hme1")

	s.run("offline", "hme0")
	s.expect("offline hme0")
	active("hme1", "hme2")
	_, err = s.Members[0].CutCarrier()
	require.NoError(t, err)
	s.wait("the loss to be known", func() (bool, error) {
		m, _ := s.status("hme0")
		return m.State == "offline" && m.Link == "down", nil
	})
	_, err = s.daemon.RunAs(s.context(), "if_mpadm", "-r", "hme0")
	require.NoError(t, err)
	s.expect("online hme0", "failover hme0")
	m, _ := s.status("hme0")
	require.Equal(t, []string{"failed", "link"}, []string{m.State, m.Cause})
	s.at("hme2", lab.Data)
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")
	s.at("hme0", lab.Data)
	active("hme0", "hme1")
}

// TestTestAddressesOfOtherFamilies: a member that has one of IPv6 only, beside one that has both. Each
// family is probed, and both go with the link.
func TestTestAddressesOfOtherFamilies(t *testing.T) {
	long(t)
	c := dual().homes()
	c.tests = func(i int) []netip.Addr { return dualTests(i)[i:] }
	c.detection = 20 * time.Millisecond
	s := stage(t, c)
	s.at("hme0", lab.Data, lab.Data6)
	_, err := s.Members[0].CutCarrier()
	require.NoError(t, err)
	s.at("hme1", lab.Data, lab.Data6)
	s.settled("failover hme0")
	require.NoError(t, s.Members[0].Repair())
	s.at("hme0", lab.Data, lab.Data6)
	s.settled("repair hme0", "failback hme0")
	require.NoError(t, s.Members[0].CutSilent())
	s.at("hme1", lab.Data, lab.Data6)
	s.settled("failover hme0")
}

// overMacvlan has members that are macvlan devices on the lab's.
const overMacvlan = `groups:
  unrealgrp1:
    detection-time: 2ms
    flap-limit: 0
    duplicate-check: false
    targets: [192.0.2.1]
    interfaces:
      mv0: {test: [192.0.2.11/24]}
      mv1: {test: [192.0.2.12/24]}
    addresses: [192.0.2.10/24]
`

// TestMacvlanMembers are members like others: a silent failure and a pulled cable of the device below.
func TestMacvlanMembers(t *testing.T) {
	long(t)
	s := stage(t, setup{config: overMacvlan, prepare: func(_ *testing.T, s *scene) {
		for i, below := range []string{"hme0", "hme1"} {
			name := fmt.Sprintf("mv%d", i)
			s.ip("link", "add", name, "link", below, "type", "macvlan", "mode", "bridge")
			s.ip("link", "set", name, "up")
		}
	}})
	at := func(name string) {
		t.Helper()
		s.wait("the address on "+name, func() (bool, error) { return s.has(name, data4), nil })
		s.reached(lab.Data)
		link, err := s.Host.Link(name)
		require.NoError(t, err)
		s.wait("the peer to send to "+name, func() (bool, error) {
			mac, err := s.Peer.Neighbour("eth0", lab.Data)
			return err == nil && mac.String() == link.Attrs().HardwareAddr.String(), err
		})
	}
	at("mv0")
	require.NoError(t, s.Members[0].CutSilent())
	require.Equal(t, "probe", s.expect("failover mv0")[0].Cause)
	at("mv1")
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair mv0", "failback mv0")
	at("mv0")
	_, err := s.Members[0].CutCarrier()
	require.NoError(t, err)
	s.expect("failover mv0")
	at("mv1")
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair mv0", "failback mv0")
	at("mv0")
}
