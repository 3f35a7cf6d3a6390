// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/control"
)

// TestRouteInTheMiddleIsAdopted: a route that an administrator adds, or puts in the place of ours, after the
// host was looked at and before it is written to is not taken for somebody's mistake.
func TestRouteInTheMiddleIsAdopted(t *testing.T) {
	cfg, err := config.Parse("t.yaml", []byte(`groups:
  g:
    duplicate-check: false
    interfaces: {hme0: {test: [192.0.2.101/24]}, hme1: {test: [192.0.2.102/24]}}
    addresses: [192.0.2.10/24]
`))
	require.NoError(t, err)
	to := netip.MustParsePrefix("198.18.7.0/24")
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.open(cfg)
		by := func(via string) {
			for _, r := range w.h.Observed().Routes {
				if r.To == to {
					w.h.By(addr.Op{Kind: addr.DeleteRoute, ID: r.NHID, Prefix: to, Table: r.Table, Protocol: int(r.Protocol)})
				}
			}
			w.h.By(addr.Op{Kind: addr.RestoreRoute, Was: &addr.HostRoute{Table: unix.RT_TABLE_MAIN, Protocol: unix.RTPROT_BOOT,
				To: to, Via: netip.MustParseAddr(via), Link: w.e.units[0].members[1].ifindex}})
		}
		for _, via := range []string{"192.0.2.1", "192.0.2.100", "192.0.2.1"} {
			w.e.adopt(w.Snapshot())
			by(via)
			w.e.apply()
			routes := slices.DeleteFunc(w.h.Observed().Routes, func(r addr.HostRoute) bool { return r.To != to })
			require.Len(t, routes, 1)
			require.Equal(t, uint8(addr.Protocol), routes[0].Protocol)
			adopted := w.e.units[0].adopted
			require.Len(t, adopted, 1)
			require.Equal(t, via, adopted[0].Via.String())
			w.settled()
		}
		for ended, end := context.WithCancel(context.Background()); ; {
			end()
			ev, err := w.told.Next(ended)
			if err != nil {
				break
			}
			require.NotEqual(t, control.EventDriftRepaired, ev.Event, ev.Detail)
		}
	})
}
