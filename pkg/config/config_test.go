// SPDX-License-Identifier: Apache-2.0

package config

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func parse(t *testing.T, text string) *Config {
	t.Helper()
	cfg, err := Parse("f", []byte(text))
	require.NoError(t, err)
	return cfg
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// The file that says nothing but one interface: every default of contract section 3.
func TestDefaults(t *testing.T) {
	cfg := parse(t, "groups:\n  g:\n    interfaces:\n      hme0:\n")
	require.Equal(t, &Config{
		File:     "f",
		LogLevel: slog.LevelInfo,
		Realtime: Realtime{Priority: 50},
		Groups: []Group{{
			Pos:            Pos{2, 3},
			Name:           "g",
			DetectionTime:  100 * time.Millisecond,
			Misses:         3,
			Adapt:          true,
			Repair:         10,
			HoldDown:       0,
			FlapLimit:      2,
			Failback:       true,
			Probe:          ProbeAuto,
			Attach:         AttachAuto,
			DuplicateCheck: true,
			Multicast:      MulticastFailover,
			Announce:       Announce{Count: 5, Interval: time.Second, Rate: 1000},
			Force:          false,
			Spread:         SpreadOn,
			Interfaces:     []Interface{{Pos: Pos{4, 7}, Name: "hme0"}},
		}},
	}, cfg)
	require.Equal(t, 25*time.Millisecond, cfg.Groups[0].Interval())
}

// Spec section 10, item 21: what one group has is not another's.
func TestSettingsOfEachGroup(t *testing.T) {
	groups := parse(t, "groups:\n  a: {detection-time: 1ms, failback: false, interfaces: {hme0: }}\n  b: {interfaces: {hme1: }}\n"+
		"  c: {detection-time: 2s, misses: 5, probe: link, interfaces: {hme2: }}\n").Groups
	require.Equal(t, []time.Duration{time.Millisecond, 100 * time.Millisecond, 2 * time.Second},
		[]time.Duration{groups[0].DetectionTime, groups[1].DetectionTime, groups[2].DetectionTime})
	require.Equal(t, []bool{false, true, true}, []bool{groups[0].Failback, groups[1].Failback, groups[2].Failback})
	require.Equal(t, []Probe{ProbeAuto, ProbeAuto, ProbeLink}, []Probe{groups[0].Probe, groups[1].Probe, groups[2].Probe})
	require.Equal(t, []int{3, 3, 5}, []int{groups[0].Misses, groups[1].Misses, groups[2].Misses})
}

func TestHoldDownDefault(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"probe: link":                      5 * time.Second,
		"hold-down: 0s\n    probe: link":   0,
		"probe: link\n    hold-down: 1m1s": 61 * time.Second,
		"probe: arp":                       0,
	} {
		require.Equal(t, want, parse(t, two+"    "+text+"\n").Groups[0].HoldDown, text)
	}
}

// The configuration of the seed (shared seed/basic-ipmp.txt), as the README gives it.
func TestSeed(t *testing.T) {
	cfg := parse(t, `
groups:
  unrealgrp1:
    detection-time: 1ms
    interfaces:
      hme0: {test: ["192.0.2.11/24"]}
      hme1: {test: ["192.0.2.12/24"]}
    addresses: [192.0.2.10/24]
    routes:
      - {to: 0.0.0.0/0, via: 192.0.2.1}
`)
	g := cfg.Groups[0]
	require.Equal(t, 250*time.Microsecond, g.Interval())
	require.Equal(t, []Interface{
		{Pos: Pos{6, 7}, Name: "hme0", Test: prefixes("192.0.2.11/24")},
		{Pos: Pos{7, 7}, Name: "hme1", Test: prefixes("192.0.2.12/24")},
	}, g.Interfaces)
	require.Equal(t, []Address{{Pos: Pos{8, 17}, Prefix: netip.MustParsePrefix("192.0.2.10/24"), Home: "hme0"}}, g.Addresses)
	require.Equal(t, []Route{{Pos: Pos{10, 14}, To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("192.0.2.1"),
		Src: netip.MustParseAddr("192.0.2.10")}}, g.Routes)
}

// Every key with a value that is not its default.
func TestEveryKey(t *testing.T) {
	cfg := parse(t, `
log-level: debug
realtime:
  priority: 0
  cpus: [2, 0]
groups:
  "1.5":
    detection-time: 0.4ms
    misses: 2
    adapt: false
    repair: 7
    hold-down: 3s
    flap-limit: 0
    failback: false
    probe: icmp
    targets: [192.0.2.1, "fe80::1"]
    attach: xdp-generic
    duplicate-check: false
    multicast: off
    announce: {count: 9, interval: 20ms, rate: 0, refresh: 1m}
    force: false
    spread: l4
    interfaces:
      010:
        test: [192.0.2.11/24, "fe80::11/64"]
        standby: true
      true: {test: [192.0.2.12/24]}
    addresses:
      - address: 192.0.2.10/24
        home: true
    routes:
      - {to: 10.0.0.0/8, metric: 7, table: 100, src: 192.0.2.10}
`)
	require.Equal(t, slog.LevelDebug, cfg.LogLevel)
	require.Equal(t, Realtime{Priority: 0, CPUs: []int{2, 0}}, cfg.Realtime)
	require.Equal(t, Group{
		Pos:           Pos{7, 3},
		Name:          "1.5",
		DetectionTime: 400 * time.Microsecond,
		Misses:        2,
		Repair:        7,
		HoldDown:      3 * time.Second,
		Probe:         ProbeICMP,
		Targets:       []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("fe80::1")},
		Attach:        AttachXDPGeneric,
		Multicast:     MulticastOff,
		Announce:      Announce{Count: 9, Interval: 20 * time.Millisecond, Rate: 0, Refresh: time.Minute},
		Force:         false,
		Spread:        SpreadL4,
		Interfaces: []Interface{
			{Pos: Pos{24, 7}, Name: "010", Test: prefixes("192.0.2.11/24", "fe80::11/64"), Standby: true},
			{Pos: Pos{27, 7}, Name: "true", Test: prefixes("192.0.2.12/24")},
		},
		Addresses: []Address{{Pos: Pos{29, 18}, Prefix: netip.MustParsePrefix("192.0.2.10/24"), Home: "true"}},
		Routes: []Route{{Pos: Pos{32, 14}, To: netip.MustParsePrefix("10.0.0.0/8"), Src: netip.MustParseAddr("192.0.2.10"),
			Metric: 7, Table: 100}},
	}, cfg.Groups[0])
}

func TestSpread(t *testing.T) {
	for text, want := range map[string]Spread{"true": SpreadOn, "false": SpreadOff, "l4": SpreadL4} {
		require.Equal(t, want, parse(t, two+"    spread: "+text+"\n").Groups[0].Spread)
	}
}

// File order counts everywhere; the names are chosen so that neither sorting nor a Go map keeps it.
func TestFileOrder(t *testing.T) {
	var groups, members, addresses []string
	for _, g := range parse(t, `
groups:
  zeta:
    interfaces: {eth9: , eth10: , alpha: }
    addresses: [192.0.2.30/24, 192.0.2.4/24, "2001:db8::1/64"]
  alpha: {interfaces: {eth2: }}
  mid: {interfaces: {eth1: }, addresses: [10.0.0.1/8]}
`).Groups {
		groups = append(groups, g.Name)
		for _, m := range g.Interfaces {
			members = append(members, m.Name)
		}
		for _, a := range g.Addresses {
			addresses = append(addresses, a.Prefix.String())
		}
	}
	require.Equal(t, []string{"zeta", "alpha", "mid"}, groups)
	require.Equal(t, []string{"eth9", "eth10", "alpha", "eth2", "eth1"}, members)
	require.Equal(t, []string{"192.0.2.30/24", "192.0.2.4/24", "2001:db8::1/64", "10.0.0.1/8"}, addresses)
}

// Homes go round the members that are no standby; an explicit one takes nobody's turn.
func TestHomes(t *testing.T) {
	var homes []string
	for _, a := range parse(t, `
groups:
  g:
    interfaces: {a: , s: {standby: true}, b: , c: }
    addresses:
      - 192.0.2.1/24
      - {address: 192.0.2.2/24, home: c}
      - "2001:db8::3/64"
      - 192.0.2.4/24
      - address: 192.0.2.5/24
`).Groups[0].Addresses {
		homes = append(homes, a.Home)
	}
	require.Equal(t, []string{"a", "c", "b", "c", "a"}, homes)
}

func TestRouteSource(t *testing.T) {
	routes := parse(t, `
groups:
  g:
    interfaces: {a: {test: ["198.51.100.1/24"]}}
    addresses: [192.0.2.10/24, 203.0.113.10/24, 203.0.113.11/24, "2001:db8::10/64"]
    routes:
      - {to: 10.1.0.0/16, via: 203.0.113.1}
      - {to: 10.2.0.0/16, via: 198.51.100.9}
      - {to: 10.3.0.0/16}
      - {to: 203.0.113.0/25}
      - {to: "::/0", via: "fe80::1"}
  v4only:
    interfaces: {b: {test: ["2001:db8:1::1/64"]}}
    addresses: [192.0.2.20/24]
    routes: [{to: "::/0", via: "fe80::1"}]
`)
	var sources []string
	for _, g := range routes.Groups {
		for _, r := range g.Routes {
			sources = append(sources, r.Src.String())
		}
	}
	require.Equal(t, []string{"203.0.113.10", "192.0.2.10", "192.0.2.10", "203.0.113.10", "2001:db8::10", "invalid IP"}, sources)
}

// One link-local test address may stand on two links.
func TestLinkLocalTests(t *testing.T) {
	parse(t, "groups:\n  g: {interfaces: {a: {test: ['fe80::1/64']}}}\n  h: {interfaces: {b: {test: ['fe80::1/64']}}}\n")
	_, err := Parse("f", []byte("groups:\n  g: {interfaces: {a: {test: ['fe80::1/64']}, b: {test: ['fe80::1/64']}}}\n"))
	require.EqualError(t, err, "f:2:58: fe80::1 is already a test address of a; remove one of the two")
}

// A monitored interface is a group of one without a name, behind the groups; alone it will do too.
func TestMonitor(t *testing.T) {
	c := parse(t, "monitor:\n  hme9: {test: [198.51.100.9/24, 'fe80::9/64'], standby: false}\n  hme8:\n"+two)
	require.Equal(t, []string{"hme9", "hme8"}, []string{c.Monitor[0].Name, c.Monitor[1].Name})
	watched := c.Watched()
	require.Len(t, watched, 3)
	require.Equal(t, c.Groups[0], watched[0])
	require.Equal(t, []string{"g", "monitor hme9", "monitor hme8"}, []string{watched[0].Key(), watched[1].Key(), watched[2].Key()})
	for i, g := range watched[1:] {
		require.True(t, g.Monitors())
		require.Empty(t, g.Name)
		require.Equal(t, c.Monitor[i], g.Interfaces[0])
		require.Equal(t, 125*time.Millisecond, g.Interval())
		require.Empty(t, g.Addresses)
		require.False(t, g.DuplicateCheck, "its addresses are not ours")
	}
	require.False(t, watched[0].Monitors())

	alone := parse(t, "monitor: {hme9: }")
	require.Empty(t, alone.Groups)
	require.Len(t, alone.Watched(), 1)
	require.Empty(t, parse(t, "monitor: {}\n"+two).Monitor)
}

func TestComments(t *testing.T) {
	parse(t, strings.Repeat("# {[ - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - -\n", 40)+two+"    probe: arp # [[[\n")
}

func TestByteOrderMark(t *testing.T) {
	require.Equal(t, slog.LevelWarn, parse(t, "\ufefflog-level: warn\n"+two).LogLevel)
}

// Windows and old Mac line ends give the same places.
func TestLineEnds(t *testing.T) {
	for _, end := range []string{"\n", "\r\n", "\r"} {
		_, err := Parse("f", []byte("log-level: info"+end+"reatime:"+end))
		require.EqualError(t, err, "f:2:1: the file has no key \"reatime\"; did you mean `realtime`?")
	}
}

func TestKeys(t *testing.T) {
	require.Equal(t, []string{"log-level", "realtime", "groups", "monitor", "notify", "realtime.priority", "realtime.cpus"}, Keys()[:7])
	require.Contains(t, Keys(), "groups.NAME.interfaces.IF.standby")
	require.Equal(t, []string{"http"}, NotBuilt())
	for _, k := range NotBuilt() {
		require.NotContains(t, Keys(), k)
	}
}
