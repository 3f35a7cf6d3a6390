// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/detect/probe"
)

func TestShortName(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.10")
	require.Equal(t, "unreal", shortName(a, []string{"unreal.example.com.", "loghost."}))
	require.Equal(t, "unreal", shortName(a, []string{"unreal"}))
	require.Equal(t, "192.0.2.10", shortName(a, []string{"."}))
	require.Equal(t, "192.0.2.10", shortName(a, nil))
}

// Who has no time is shown numbers.
func TestHostNamesInTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	names := hostNames(ctx)
	for range 2 {
		require.Equal(t, "192.0.2.10", names(netip.MustParseAddr("192.0.2.10")))
	}
}

// In a group that has failed any other member will do that is there and in service (spec section 7.2).
func TestOthersFailed(t *testing.T) {
	for _, row := range []struct {
		group, other string
		want         bool
	}{
		{"failed", "failed", true}, {"failed", "unknown", true}, {"failed", "offline", false}, {"failed", "missing", false},
		{"degraded", "failed", false}, {"ok", "ok", false},
	} {
		g := &control.Group{State: row.group, Interfaces: []control.Interface{{Name: "hme0", State: "failed"}, {Name: "hme1", State: row.other}}}
		require.Equal(t, row.want, othersFailed(g, "hme0"), "%+v", row)
	}
}

func TestProbeOf(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	o := probe.Outcome{Group: "g", Name: "hme0", Track: 1, Round: 200, Target: netip.MustParseAddr("2001:db8::1"), BegunNs: 5_000_000_000,
		Acked: true, RTT: 21 * time.Microsecond, Average: 22 * time.Microsecond}
	require.Equal(t, control.Probe{Time: now.Add(-time.Second), Group: "g", Interface: "hme0", Family: "ipv6", Probe: 200, State: "acked",
		Target: "2001:db8::1", RTTNS: new(int64(21_000)), RTTAvgNS: new(int64(22_000))}, probeOf(&o, now, 6_000_000_000))
	o.Acked, o.Target = false, netip.Addr{}
	p := probeOf(&o, now, 6_000_000_000)
	require.Equal(t, "lost", p.State)
	require.Nil(t, p.RTTNS)
	require.Empty(t, p.Target)
}
