// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
)

// undoScene is a host with a default route and an address of the group by hand, and strict reverse path
// filtering, that the daemon has something to change of.
func undoScene(t *testing.T, was *picture, members int) *scene {
	return stage(t, setup{
		lab: lab.Options{Members: members, Far: true},
		prepare: func(t *testing.T, s *scene) {
			for _, m := range s.Members {
				require.NoError(t, s.Host.Sysctl("ipv4/conf/"+m.Name+"/rp_filter", "1"))
			}
			s.command("ip addr add 192.0.2.10/24 dev hme0")
			s.command("ip route add default via 192.0.2.1")
			*was = s.rested()
		},
	})
}

// TestReloadPutsBack what was found of a member that leaves: its sysctls, not those of who stays.
func TestReloadPutsBack(t *testing.T) {
	var was picture
	s := undoScene(t, &was, 3)
	text := s.config()
	require.NotEqual(t, was.of("hme2"), s.look().of("hme2"))
	at := strings.Index(text, "      hme2:")
	end := at + strings.Index(text[at:], "    addresses:")
	require.NoError(t, s.daemon.Configure(text[:at]+text[end:]))
	s.run("reload")
	require.Equal(t, was.of("hme2"), s.look().of("hme2"))
	require.NotEqual(t, was.of("hme1"), s.look().of("hme1"))
	s.at("hme0", lab.Data)
	s.route("default", "nhid", "src 192.0.2.10")
	s.reachedFrom(lab.Far)
}

// TestReloadReleasesAGroup that the file no longer has: the host is as before, routes too. Renamed, it
// keeps them all the way.
func TestReloadReleasesAGroup(t *testing.T) {
	long(t)
	var was picture
	s := undoScene(t, &was, 2)
	text := s.config()
	require.NoError(t, s.daemon.Configure(strings.Replace(text, "unrealgrp1", "renamed", 1)))
	s.run("reload")
	s.wait("the renamed group", func() (bool, error) {
		st, err := s.client.Status(s.context())
		if err != nil {
			return false, err
		}
		g := st.Groups[0]
		return g.Name == "renamed" && g.State == "ok" && len(g.Routes) == 1, nil
	})
	s.route("default", "nhid", "src 192.0.2.10")
	s.reachedFrom(lab.Far)
	s.at("hme0", lab.Data)

	other := "groups:\n  other:\n    interfaces:\n      absent0:\n"
	require.NoError(t, s.daemon.Configure(other))
	s.run("reload")
	is := s.look()
	for _, what := range []string{"ip -j -d addr", "ip -j -d -4 route show table all", "ip -j -d -6 route show table all",
		"ip -j -d nexthop", "links", "/proc/sys/net/ipv4", "/proc/sys/net/ipv6"} {
		require.Equal(t, was[what], is[what], what)
	}
	s.reached(lab.Data)

	// And from the beginning.
	require.NoError(t, s.daemon.Configure(text))
	s.run("reload")
	s.wait("the group again", s.ready)
	s.at("hme0", lab.Data)
	s.route("default", "nhid", "src 192.0.2.10")
	s.news()
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme1", lab.Data)
	s.reachedFrom(lab.Far)
}

// config is the text of the daemon's file.
func (s *scene) config() string {
	s.t.Helper()
	text, err := os.ReadFile(strings.TrimSuffix(s.daemon.Socket, ".sock") + ".yaml")
	require.NoError(s.t, err)
	return string(text)
}
