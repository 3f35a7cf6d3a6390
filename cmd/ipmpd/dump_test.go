// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDump(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	s := exampleStatus()
	dump(log, &s)
	require.Equal(t, 1+2+4+3+2+3, strings.Count(out.String(), "\n"), "the daemon, groups, interfaces, addresses, routes, families:\n%s", out.String())
	for _, line := range []string{
		`level=INFO msg=status version=test heartbeat=12us groups=2`,
		`level=INFO msg="status of a group" group=unrealgrp1 state=degraded failback=true detection-time=400us achievable=460us`,
		`level=INFO msg="status of an interface" group=unrealgrp1 interface=hme1 state=failed active=true standby=true link=up attach=tcx cause="probe: both" note="" flaps=2 test=192.0.2.12/24`,
		`level=INFO msg="statistics of an interface" interface=hme1 family=ipv4 state=failed active=false probe=failed targets="" rtt-p50=22us rtt-p99=1.20ms sent=12345 missed=345`,
		`level=INFO msg="status of an address" group=unrealgrp1 address=192.0.2.20/24 state=up interface=hme0 home=hme1`,
		`level=INFO msg="status of a route" group=unrealgrp1 to=192.0.2.0/24 via="" interfaces=hme0 origin=config`,
	} {
		require.Contains(t, out.String(), line+"\n")
	}
}
