// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Twelve failures in a row, whichever the first, lie in a round with no hole of more than 0.15 of it, wherever the
// contender's rounds begin.
func TestFailuresAreSpreadEvenly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		interval := time.Duration(rapid.Int64Range(1_000, 1_000_000_000).Draw(t, "interval"))
		first := rapid.IntRange(0, 10_000).Draw(t, "first")
		var phases []time.Duration
		for k := range 12 {
			p := phase(first+k, interval)
			require.GreaterOrEqual(t, p, time.Duration(0))
			require.Less(t, p, interval)
			phases = append(phases, p)
		}
		slices.Sort(phases)
		for i, p := range phases {
			next := phases[(i+1)%len(phases)]
			hole := (next - p + interval) % interval
			require.LessOrEqual(t, float64(hole), 0.15*float64(interval)+2)
		}
		now := rapid.Int64Range(0, 1e18).Draw(t, "now")
		at := atPhase(now, phases[0], interval)
		require.GreaterOrEqual(t, at, now)
		require.Less(t, at, now+int64(interval))
		require.Equal(t, int64(phases[0]), at%int64(interval))
	})
}
