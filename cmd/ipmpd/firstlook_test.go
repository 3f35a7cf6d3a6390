// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/detect"
)

// TestLinkLostBeforeTheFirstLook: a carrier that goes and comes before the first turn of the housekeeping is a
// failure and a repair as at any other time.
func TestLinkLostBeforeTheFirstLook(t *testing.T) {
	cfg, err := config.Parse("t.yaml", []byte(`groups:
  g:
    duplicate-check: false
    probe: link
    interfaces: {hme0: {}, hme1: {}}
    addresses: [192.0.2.10/24]
`))
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.open(cfg)
		u := w.e.units[0]
		m := u.members[0]
		w.e.linkChanged(&linkNews{ifindex: m.ifindex, up: false, at: monotonic()})
		w.e.linkChanged(&linkNews{ifindex: m.ifindex, up: true, at: monotonic()})
		var samples []detect.Sample
		for _, m := range u.members {
			for f := range bpf.Families {
				samples = append(samples, w.e.unprobed(u, m, f))
			}
		}
		repaired := false
		for now := monotonic(); now < monotonic()+int64(60e9) && !repaired; now += int64(100e6) {
			for _, f := range u.tracker.Observe(now, samples) {
				repaired = repaired || f.Kind == detect.FindRepaired && f.Member == m.number
			}
		}
		require.True(t, repaired)
	})
}
