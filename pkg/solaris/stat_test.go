// SPDX-License-Identifier: Apache-2.0

package solaris

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/control"
)

func member(name, state, link, probe string, active bool) control.Interface {
	m := control.Interface{Name: name, Link: link, ProbeKind: "icmp"}
	m.SetFamilies(control.Families{"ipv4": {State: state, Active: active, Probe: probe}})
	return m
}

// example has what the examples of spec section 7.1 show: an active member, a failed one, a standby
// that is not needed, one that is offline.
func example() *control.Status {
	net0 := member("net0", "ok", "up", "ok", true)
	net0.SetFamilies(control.Families{
		"ipv4": {State: "ok", Active: true, Probe: "ok", Targets: []string{"192.0.2.1", "192.0.2.2"}},
		"ipv6": {State: "ok", Active: true, Probe: "ok", Targets: []string{"2001:db8::1"}}})
	net0.TargetsFrom = control.Words{"ipv4": "routes", "ipv6": "config"}
	net0.ProbesFrom = control.Words{"ipv4": "192.0.2.30", "ipv6": "2001:db8::30"}
	net2 := member("net2", "ok", "up", "ok", false)
	net2.Standby = true
	net2.Families["ipv4"] = control.Family{State: "ok", Probe: "ok", Targets: []string{"192.0.2.7", "192.0.2.9"}}
	net2.TargetsFrom, net2.ProbesFrom = control.Words{"ipv4": "neighbours"}, control.Words{"ipv4": "192.0.2.32"}
	net5 := member("net5", "offline", "up", "disabled", false)
	net6 := member("net6", "offline", "up", "disabled", false)
	net6.Cause = "mac"
	net3 := control.Interface{Name: "net3", State: "unknown", Link: "up", Probe: "disabled", ProbeKind: "link", Active: true,
		Families: control.Families{"ipv4": {State: "unknown", Active: true, Probe: "disabled"}}}
	return &control.Status{
		Groups: []control.Group{
			{Name: "prod", State: "degraded", DetectionTimeNS: 10e9, AchievableDetectionTimeNS: new(int64(11e9)),
				Interfaces: []control.Interface{net0, member("net1", "failed", "up", "failed", false), net2, net5, net6},
				Addresses: []control.Address{
					{Address: "192.0.2.20/24", State: "down", Interface: "", Home: "net0"},
					{Address: "192.0.2.20/24", State: "up", Interface: "net0", Home: "net0"},
					{Address: "192.0.2.21/24", State: "up", Interface: "net2", Home: "net1"},
					{Address: "192.0.2.22/24", State: "down", Interface: "net1", Home: "net1"},
					{Address: "2001:db8::20/64", State: "up", Interface: "net0", Home: "net0"}}},
			{Name: "backup-of-a-long-name", State: "ok", DetectionTimeNS: 1e6, Interfaces: []control.Interface{net3}},
		},
		Monitor: []control.Interface{{Name: "mgmt", State: "ok", Link: "up", Probe: "disabled", ProbeKind: "link"}}}
}

func stat(t *testing.T, o Options) string {
	t.Helper()
	var b strings.Builder
	s, warnings, err := NewStat(&b, o)
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.NoError(t, s.Status(example()))
	return b.String()
}

// The widths are those of the specification; the last column is not padded.
func TestModes(t *testing.T) {
	for mode, want := range map[Mode]string{
		Groups: "" +
			"GROUP       GROUPNAME   STATE     FDT       INTERFACES\n" +
			"prod        prod        degraded  10.00s    net0 (net2) [net1] [net5] [net6]\n" +
			"backup-of-a-long-name backup-of-a-long-name ok -- net3\n" +
			"--          --          ok        --        (mgmt)\n",
		Interfaces: "" +
			"INTERFACE   ACTIVE  GROUP       FLAGS     LINK      PROBE     STATE\n" +
			"net0        yes     prod        --mbM--   up        ok        ok\n" +
			"net1        no      prod        -------   up        failed    failed\n" +
			"net2        no      prod        is-----   up        ok        ok\n" +
			"net5        no      prod        -----d-   up        disabled  offline\n" +
			"net6        no      prod        -----dh   up        disabled  offline\n" +
			"net3        yes     backup-of-a-long-name --mb--- up disabled unknown\n" +
			"mgmt        no      --          -------   up        disabled  ok\n",
		Addresses: "" +
			"ADDRESS                   STATE  GROUP       INBOUND     OUTBOUND\n" +
			"192.0.2.20                up     prod        net0        net0\n" +
			"192.0.2.21                up     prod        net2        net0\n" +
			"192.0.2.22                down   prod        --          --\n" +
			"2001:db8::20              up     prod        net0        net0\n",
		Targets: "" +
			"INTERFACE   MODE      TESTADDR            TARGETS\n" +
			"net0        routes    192.0.2.30          192.0.2.1 192.0.2.2\n" +
			"net0        routes    2001:db8::30        2001:db8::1\n" +
			"net1        routes    --                  --\n" +
			"net2        multicast 192.0.2.32          192.0.2.7 192.0.2.9\n" +
			"net5        disabled  --                  --\n" +
			"net6        disabled  --                  --\n" +
			"net3        disabled  --                  --\n" +
			"mgmt        disabled  --                  --\n",
	} {
		t.Run(string(mode), func(t *testing.T) { require.Equal(t, want, stat(t, Options{Mode: mode})) })
	}
}

// Every field has its width of the specification.
func TestWidths(t *testing.T) {
	for mode, want := range map[Mode]string{
		Addresses:  "ADDRESS 26 STATE 7 GROUP 12 INBOUND 12 OUTBOUND 23",
		Groups:     "GROUP 12 GROUPNAME 12 STATE 10 FDT 10 INTERFACES 30",
		Interfaces: "INTERFACE 12 ACTIVE 8 GROUP 12 FLAGS 10 LINK 10 PROBE 10 STATE 10",
		Probes:     "TIME 10 INTERFACE 12 PROBE 7 NETRTT 10 RTT 10 RTTAVG 10 TARGET 20 RTTDEV 10",
		Targets:    "INTERFACE 12 MODE 10 TESTADDR 20 TARGETS 38",
	} {
		var list []string
		for _, f := range modes[mode] {
			list = append(list, fmt.Sprint(f.name, " ", f.width))
		}
		require.Equal(t, want, strings.Join(list, " "))
	}
}

func TestOptions(t *testing.T) {
	require.Equal(t, "STATE     GROUP\ndegraded  prod\nok        backup-of-a-long-name\nok        --\n",
		stat(t, Options{Mode: Groups, Fields: "state,Group"}))
	require.Equal(t, stat(t, Options{Mode: Groups}), stat(t, Options{Mode: Groups, Fields: "ALL"}))
	require.Equal(t, "degraded:10.00s:net0 (net2) [net1] [net5] [net6]\nok::net3\nok::(mgmt)\n",
		stat(t, Options{Mode: Groups, Fields: "state,fdt,interfaces", Parsable: true}))
	require.Equal(t, "192.0.2.20\n192.0.2.21\n192.0.2.22\n2001:db8::20\n",
		stat(t, Options{Mode: Addresses, Fields: "address", Parsable: true}), "one field is not escaped")
	require.Equal(t, "192.0.2.20:net0\n192.0.2.21:net2\n192.0.2.22:\n2001\\:db8\\:\\:20:net0\n",
		stat(t, Options{Mode: Addresses, Fields: "address,inbound", Parsable: true}))
	require.Equal(t, "mail\nmail\nmail\nmail\n", stat(t, Options{Mode: Addresses, Fields: "address", Parsable: true,
		Name: func(netip.Addr) string { return "mail" }}))

	for _, row := range []struct {
		o    Options
		want string
	}{
		{Options{Mode: Groups, Parsable: true}, "-P requires -o"},
		{Options{Mode: Groups, Parsable: true, Fields: "All"}, `-P requires the names of fields, not "all"`},
		{Options{Mode: Groups, Parsable: true, Fields: "group,foo"}, `unknown output field "foo"; -g has GROUP GROUPNAME STATE FDT INTERFACES`},
		{Options{Mode: Targets, Fields: "foo,"}, `no valid output field in "foo,"; -t has INTERFACE MODE TESTADDR TARGETS`},
		{Options{Mode: 'x'}, "there is no mode -x"},
	} {
		_, _, err := NewStat(nil, row.o)
		require.EqualError(t, err, row.want)
	}
	_, warnings, err := NewStat(nil, Options{Mode: Groups, Fields: "group,foo,state"})
	require.NoError(t, err)
	require.Equal(t, []string{`unknown output field "foo"`}, warnings)
}

// Backslashes are escaped too; a header stands on every screen.
func TestTable(t *testing.T) {
	var b strings.Builder
	p := table{w: &b, parsable: true}
	require.NoError(t, p.row([]string{`a\b`, "c:d", ""}))
	require.Equal(t, `a\\b:c\:d:`+"\n", b.String())

	b.Reset()
	h := table{w: &b, columns: []column{{"A", 4}, {"B", 4}, {"C", 4}}, screen: 3}
	for i := range 3 {
		require.NoError(t, h.row([]string{"x", strings.Repeat("y", 2+i), "z"}))
	}
	require.Equal(t, "A   B   C\nx   yy  z\nx   yyy z\nA   B   C\nx   yyyy z\n", b.String())
}

func TestAchievable(t *testing.T) {
	g := example().Groups[0]
	for _, row := range []struct {
		configured, achievable int64
		want                   string
	}{{1e6, 1_100_000, "1.00ms"}, {1e6, 1_600_000, "1.60ms"}, {400_000, 0, "400us"}, {100e6, 0, "0.10s"}, {99e6, 0, "99.00ms"}, {1e9, 25e8, "2.50s"}} {
		g.DetectionTimeNS, g.AchievableDetectionTimeNS = row.configured, &row.achievable
		require.Equal(t, row.want, (&line{group: &g}).detectionTime())
	}
}

type line = row

func TestProbe(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	acked := control.Probe{Time: start.Add(110 * time.Millisecond), Interface: "net0", Probe: 589, State: control.ProbeAcked,
		Target: "192.0.2.1", RTTNS: new(int64(510_000)), RTTAvgNS: new(int64(1_760_000)), RTTDevNS: new(int64(21_000))}
	lost := control.Probe{Time: start.Add(-time.Second), Interface: "net1", Probe: 4_000_000, State: control.ProbeLost, RTTAvgNS: new(int64(1))}
	for fields, want := range map[string]string{
		"": "TIME      INTERFACE   PROBE  NETRTT    RTT       RTTAVG    TARGET\n" +
			"0.11s     net0        589    510us     510us     1.76ms    192.0.2.1\n" +
			"0us       net1        4000000 --       --        --        --\n",
		"all": "TIME      INTERFACE   PROBE  NETRTT    RTT       RTTAVG    TARGET              RTTDEV\n" +
			"0.11s     net0        589    510us     510us     1.76ms    192.0.2.1           21us\n" +
			"0us       net1        4000000 --       --        --        --                  --\n",
	} {
		var b strings.Builder
		s, _, err := NewStat(&b, Options{Mode: Probes, Fields: fields})
		require.NoError(t, err)
		require.NoError(t, s.Probe(&acked, start))
		require.NoError(t, s.Probe(&lost, start))
		require.Equal(t, want, b.String())
	}
}
