// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// responding is a link on which no router is known, and two hosts answer to 224.0.0.1.
func responding() setup {
	return setup{targets: []netip.Addr{}, prepare: func(t *testing.T, s *scene) {
		for _, n := range []*lab.Netns{s.Router, s.Peer} {
			require.NoError(t, n.Sysctl("ipv4/icmp_echo_ignore_broadcasts", "0"))
		}
	}}
}

// asks waits until the targets of hme0's family are these, in any order, and are from there.
func (s *scene) asks(from string, targets ...netip.Addr) {
	s.t.Helper()
	family := "ipv4"
	var want []string
	for _, a := range targets {
		want = append(want, a.String())
		if a.Is6() {
			family = "ipv6"
		}
	}
	slices.Sort(want)
	s.wait(fmt.Sprintf("targets %v from %s", want, from), func() (bool, error) {
		i, _ := s.status("hme0")
		is := slices.Sorted(slices.Values(i.Families[family].Targets))
		if !slices.Equal(is, want) || i.TargetsFrom[family] != from {
			return false, fmt.Errorf("they are %v from %s", is, i.TargetsFrom[family])
		}
		return true, nil
	})
}

// changed waits for the event that the targets are these now.
func (s *scene) changed(events <-chan control.Event, targets string) {
	s.t.Helper()
	for s.told(events, control.EventTargetChanged).Detail != targets {
	}
}

// TestTargetsFollowRoutes: responders as long as there is no router, the next hops of routes while there
// are, and each change is told. The routes are a routing daemon's: nobody puts them back.
func TestTargetsFollowRoutes(t *testing.T) {
	s := stage(t, responding())
	s.asks("multicast", lab.Router, lab.Peer)
	require.Contains(t, s.as("ipmpstat", "-tn"), "hme0        multicast 192.0.2.11")

	events := s.watchFrom(3)
	s.ip("route", "add", "203.0.113.0/24", "via", lab.Router.String(), "dev", "hme0", "proto", "bird")
	s.changed(events, "192.0.2.1")
	s.asks("routes", lab.Router)
	s.ip("route", "add", "198.18.7.0/24", "via", lab.Peer.String(), "dev", "hme1", "proto", "bird")
	s.asks("routes", lab.Router, lab.Peer)
	s.ip("route", "del", "203.0.113.0/24")
	s.changed(events, "192.0.2.100")
	s.asks("routes", lab.Peer)
	s.ip("route", "del", "198.18.7.0/24")
	s.asks("multicast", lab.Router, lab.Peer)

	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme1", lab.Data)
}

// TestResponderDies: it is no target any more, which moves nothing. Every kernel answers to ff02::1, that
// of the other member too, which is none.
func TestResponderDies(t *testing.T) {
	s := stage(t, setup{
		targets: []netip.Addr{}, addresses: []netip.Prefix{data6},
		tests: func(i int) []netip.Addr { return []netip.Addr{lab.TestAddr6(i)} },
	})
	s.asks("multicast", lab.Router6, lab.Peer6)
	require.NoError(t, s.RouterPort.Cut())
	s.asks("multicast", lab.Peer6)
	s.answered()
	require.Empty(t, words(s.history()))
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme1", lab.Data6)
}

// TestOnlyResponderDies: who else has been heard of is asked before the group fails for want of an answer.
func TestOnlyResponderDies(t *testing.T) {
	s := stage(t, setup{targets: []netip.Addr{}, prepare: func(t *testing.T, s *scene) {
		require.NoError(t, s.Peer.Sysctl("ipv4/icmp_echo_ignore_broadcasts", "0"))
	}})
	s.asks("multicast", lab.Peer)
	s.wait("the router to be a neighbour", func() (bool, error) { return s.Router.Reaches(lab.Data) })
	require.NoError(t, s.PeerPort.Cut())
	s.asks("neighbours", lab.Router, lab.Peer)
	s.answered()
	require.Empty(t, words(s.history()))
}

// TestRouteGoesInAFailure: that the router it missed is no target any more says nothing good of a
// member.
func TestRouteGoesInAFailure(t *testing.T) {
	s := stage(t, setup{targets: []netip.Addr{}, prepare: func(_ *testing.T, s *scene) {
		s.ip("route", "add", "default", "via", lab.Router.String(), "dev", "hme1", "onlink", "proto", "bird")
	}})
	s.at("hme0", lab.Data)
	s.asks("routes", lab.Router)
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.ip("route", "del", "default")
	s.asks("neighbours", lab.Router, lab.Peer)
	s.pass(500 * time.Millisecond) // what is good again would be so after 100 ms
	s.state("hme0", "failed")
	require.Empty(t, words(s.history()))
	s.at("hme1", lab.Data)
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")
	s.at("hme0", lab.Data)
}

// TestSlowTarget: one that takes longer than a round, where the others are fast, is not asked any more.
func TestSlowTarget(t *testing.T) {
	more := []netip.Addr{netip.MustParseAddr("192.0.2.101"), netip.MustParseAddr("192.0.2.102")}
	s := stage(t, setup{
		lab:       lab.Options{RouterCable: lab.CableOptions{TAP: true, Delay: 10 * time.Millisecond}},
		detection: 40 * time.Millisecond, // rounds of 10 ms
		targets:   append([]netip.Addr{lab.Router, lab.Peer}, more...),
		prepare: func(t *testing.T, s *scene) {
			for _, a := range more {
				require.NoError(t, s.Peer.AddAddr("eth0", a.String()+"/24"))
			}
		},
	})
	s.at("hme0", lab.Data)
	s.wait("the router to be left alone", func() (bool, error) {
		from := s.count(s.RouterPort, faults.To, faults.Echoes)
		s.pass(200 * time.Millisecond) // five turns of the targets
		if n := s.count(s.RouterPort, faults.To, faults.Echoes) - from; n > 0 {
			return false, fmt.Errorf("it was asked %d times", n)
		}
		return true, nil
	})
	require.NotZero(t, s.count(s.RouterPort, faults.To, faults.Echoes), "it was a target")
	s.logs(`msg="a target is set aside" group=unrealgrp1 target=192.0.2.1 why=slow`)
	require.Empty(t, words(s.history()))
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme1", lab.Data)
}
