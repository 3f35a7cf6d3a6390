// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ipmpd/ipmpd/pkg/control"
)

func exampleStatus() control.Status {
	hme0 := control.Interface{Name: "hme0", Link: "up", ProbeKind: "icmp", Attach: "tcx", TestAddresses: []string{"192.0.2.11/24"}, Note: "single target"}
	hme0.SetFamilies(control.Families{"ipv4": {State: "ok", Active: true, Probe: "ok", RTTP50NS: new(int64(21000)), RTTP99NS: new(int64(60000)),
		RoundsSent: new(uint64(12345)), RoundsMissed: new(uint64(0))}})
	hme1 := control.Interface{Name: "hme1", Link: "up", ProbeKind: "icmp", Attach: "tcx", TestAddresses: []string{"192.0.2.12/24"}, Standby: true, Cause: "probe: both", Flaps: 2}
	hme1.SetFamilies(control.Families{
		"ipv4": {State: "failed", Probe: "failed", RTTP50NS: new(int64(22000)), RTTP99NS: new(int64(1_200_000)), RoundsSent: new(uint64(12345)), RoundsMissed: new(uint64(345))},
		"ipv6": {State: "ok", Active: true, Probe: "ok"}})
	return control.Status{Version: "test", HeartbeatAgeNS: new(int64(12000)), Groups: []control.Group{
		{Name: "unrealgrp1", State: "degraded", Failback: true, DetectionTimeNS: 400_000, AchievableDetectionTimeNS: new(int64(460_000)),
			Interfaces: []control.Interface{hme0, hme1},
			Addresses:  []control.Address{{Address: "192.0.2.10/24", State: "up", Interface: "hme0", Home: "hme0"}, {Address: "192.0.2.20/24", State: "up", Interface: "hme0", Home: "hme1"}},
			Routes: []control.Route{{To: "0.0.0.0/0", Via: "192.0.2.1", Interfaces: []string{"hme0"}, Origin: "config"},
				{To: "192.0.2.0/24", Interfaces: []string{"hme0"}, Origin: "config"}},
			ForeignAddresses: []control.ForeignAddress{{Address: "192.0.2.99/24", Interface: "hme0"}},
			ForeignRoutes:    []control.ForeignRoute{{To: "198.51.100.0/24", Via: []string{"192.0.2.2"}, Interfaces: []string{"hme0"}, Table: 254, Why: "of a routing daemon"}}, ForeignRouteCount: 12},
		{Name: "lan", State: "failed", DetectionTimeNS: 10_000_000_000,
			Interfaces: []control.Interface{{Name: "eth7", State: "missing", Link: "unknown", Probe: "disabled", ProbeKind: "link"}},
			Addresses:  []control.Address{{Address: "2001:db8::7/64", State: "down", Home: "eth7"}}}},
		Monitor: []control.Interface{{Name: "mgmt", State: "ok", Link: "up", Probe: "disabled", ProbeKind: "link"}}}
}

const exampleText = `unrealgrp1  degraded
  detects in 400us, achievable now 460us

  MEMBER  STATE   ACTIVE  LINK  PROBE        RTT P50  P99     TEST           ATTACH  NOTES
  hme0    ok      yes     up    icmp ok      21us     60us    192.0.2.11/24  tcx     single target
  hme1    failed  yes     up    icmp failed  22us     1.20ms  192.0.2.12/24  tcx     standby; ipv4 failed, ipv6 ok; probe: both; missed 345 of 12345 rounds; 2 flaps

  ADDRESS        STATE  ON           HOME
  192.0.2.10/24  up     hme0         hme0
  192.0.2.20/24  up     hme0 (away)  hme1

  ROUTE         VIA        OVER  ORIGIN
  0.0.0.0/0     192.0.2.1  hme0  config
  192.0.2.0/24  on link    hme0  config

  NOT IPMPD'S    ON
  192.0.2.99/24  hme0

  ROUTE THAT STAYS  VIA        OVER  WHY
  198.51.100.0/24   192.0.2.2  hme0  of a routing daemon
  and 11 more
`

const exampleRest = `
lan  failed
  detects in 10.00s, no failback

  MEMBER  STATE    ACTIVE  LINK     PROBE     RTT P50  P99  TEST  ATTACH  NOTES
  eth7    missing  no      unknown  disabled  -        -    -     -

  ADDRESS         STATE  ON  HOME
  2001:db8::7/64  down   -   eth7

watched only

  MEMBER  STATE  ACTIVE  LINK  PROBE     RTT P50  P99  TEST  ATTACH  NOTES
  mgmt    ok     no      up    disabled  -        -    -     -
`

func TestStatusText(t *testing.T) {
	f := startFakeDaemon(t)
	code, stdout, stderr := ipmpd("status", "--socket", f.socket)
	require.Equal(t, []any{0, ""}, []any{code, stderr})
	require.Equal(t, exampleText+exampleRest, stdout)
	_, stdout, _ = ipmpd("status", "unrealgrp1", "--socket", f.socket)
	require.Equal(t, exampleText, stdout)

	code, stdout, stderr = ipmpd("status", "nogrp", "--socket", f.socket)
	require.Equal(t, 1, code)
	require.Empty(t, stdout)
	require.Equal(t, "ipmpd: no group \"nogrp\"; there are: unrealgrp1, lan\n", stderr)
	f.change(func() { f.status.Groups = nil })
	_, _, stderr = ipmpd("status", "nogrp", "--socket", f.socket)
	require.Equal(t, "ipmpd: no group \"nogrp\"; the daemon has none\n", stderr)
}

func TestStatusTellsWhenNothingIsDetected(t *testing.T) {
	s := exampleStatus()
	s.HeartbeatAgeNS = new(int64(3_100_000_000))
	var out bytes.Buffer
	require.NoError(t, writeStatus(&out, &s))
	require.True(t, strings.HasPrefix(out.String(), "The prober has not gone round for 3.10s: nothing new is detected.\n\nunrealgrp1"), out.String())
	out.Reset()
	require.NoError(t, writeStatus(&out, &control.Status{}))
	require.Equal(t, "no groups\n", out.String())
}

func TestStatusJSON(t *testing.T) {
	f := startFakeDaemon(t)
	code, stdout, _ := ipmpd("status", "--json", "--socket", f.socket)
	require.Zero(t, code)
	want, err := json.Marshal(exampleStatus())
	require.NoError(t, err)
	require.Equal(t, string(want)+"\n", stdout)
	_, stdout, _ = ipmpd("status", "lan", "--json", "--socket", f.socket)
	var s control.Status
	require.NoError(t, json.Unmarshal([]byte(stdout), &s))
	require.Len(t, s.Groups, 1)
	require.Equal(t, "lan", s.Groups[0].Name)
}

// lockedBuffer is written by a command and read by its test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 10*time.Second, time.Millisecond)
}

// background runs a command until the test ends it.
func background(t *testing.T, args ...string) (out *lockedBuffer, end func() int) {
	ctx, cancel := context.WithCancel(context.Background())
	out = &lockedBuffer{}
	code := make(chan int, 1)
	go func() { code <- runContext(ctx, append([]string{"ipmpd"}, args...), out, io.Discard) }()
	end = sync.OnceValue(func() int { cancel(); return <-code })
	t.Cleanup(func() { end() })
	return out, end
}

func TestStatusWatch(t *testing.T) {
	f := startFakeDaemon(t)
	out, end := background(t, "status", "--watch", "--json", "--socket", f.socket)
	lines := func() int { return strings.Count(out.String(), "\n") }
	eventually(t, func() bool { return lines() > 0 })
	f.change(func() { f.status.Version = "changed" })
	eventually(t, func() bool {
		f.events.Publish(control.Event{Event: control.EventGroupState})
		return strings.Contains(out.String(), `{"version":"changed"`)
	})
	require.Zero(t, end(), "the operator's end is no failure")

	out, end = background(t, "status", "--watch", "lan", "--socket", f.socket)
	eventually(t, func() bool { return strings.Contains(out.String(), "lan  failed") })
	require.True(t, strings.HasPrefix(out.String(), "── 20"), out.String())
	require.Zero(t, end())
	f.stop()
	goleak.VerifyNone(t)
}

func TestStatusWatchEndsWithTheDaemon(t *testing.T) {
	f := startFakeDaemon(t)
	var out lockedBuffer
	code := make(chan int, 1)
	go func() {
		code <- run([]string{"ipmpd", "status", "--watch", "--socket", f.socket}, &out, &out)
	}()
	eventually(t, func() bool { return strings.Contains(out.String(), "unrealgrp1") })
	f.stop()
	require.Equal(t, 1, <-code)
	require.Contains(t, out.String(), "\nipmpd: ")
	goleak.VerifyNone(t)
}

func TestWatch(t *testing.T) {
	f := startFakeDaemon(t)
	out, end := background(t, "watch", "--socket", f.socket)
	eventually(t, func() bool { return strings.Count(out.String(), "\n") == 6 })
	require.Regexp(t, `(?m)^\d\d:\d\d:\d\d\.\d{6}  group-state +unrealgrp1 +degraded$`, out.String())
	require.Regexp(t, `(?m)^\d\d:\d\d:\d\d\.\d{6}  interface-state +unrealgrp1 hme1 +failed$`, out.String())
	f.events.Publish(control.Event{Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Event: "address-moved", Group: "unrealgrp1", Interface: "hme0",
		Family: "ipv4", Address: "192.0.2.10/24", Detail: "from hme1"})
	eventually(t, func() bool { return strings.Count(out.String(), "\n") == 7 })
	require.True(t, strings.HasSuffix(out.String(), "\n03:04:05.000006  address-moved           unrealgrp1 hme0 ipv4 192.0.2.10/24  from hme1\n"), out.String())
	require.Zero(t, end())

	out, end = background(t, "watch", "--json", "--socket", f.socket)
	eventually(t, func() bool { return strings.Count(out.String(), "\n") == 6 })
	for line := range strings.Lines(out.String()) {
		var e control.Event
		require.NoError(t, json.Unmarshal([]byte(line), &e))
	}
	require.Zero(t, end())
	goleak.VerifyNone(t, goleak.IgnoreCurrent())
}

func TestFormatNS(t *testing.T) {
	for ns, want := range map[int64]string{0: "0us", 400: "400ns", 1000: "1us", 400_000: "400us", 999_499: "999us", 999_600: "1.00ms",
		1_000_000: "1.00ms", 99_990_000: "99.99ms", 100_000_000: "100ms", 999_999_999: "999ms", 1_000_000_000: "1.00s", 60_000_000_000: "60.00s"} {
		require.Equal(t, want, formatNS(ns), ns)
	}
	require.Equal(t, "-", formatKnown(nil))
}
