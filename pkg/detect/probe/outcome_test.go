// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// detection.md section 1: p is the share of misses over the last 1,000 due answered rounds, without
// the current run.
func TestShare(t *testing.T) {
	m := &instanceState{}
	for i := range 2000 {
		if i%10 == 0 {
			m.miss(1)
		} else {
			m.acknowledged(5, 3)
		}
	}
	share, judged := m.share()
	require.Equal(t, 1000, judged)
	require.InDelta(t, 0.1, share, 0.001)
	require.EqualValues(t, 10, m.recent.Load())
	for range 3 {
		m.miss(1)
	}
	share, judged = m.share()
	require.Equal(t, 997, judged)
	require.InDelta(t, 0.1, share, 0.001)
}

// An outage is no loss: a member repaired after one must be judged, and may take traffic, at once.
func TestOutageIsNoLoss(t *testing.T) {
	m := &instanceState{}
	for range 1000 {
		m.acknowledged(5, 3)
	}
	for range 700 {
		m.miss(1)
	}
	share, judged := m.share()
	require.Zero(t, share)
	require.Equal(t, 300, judged)
	require.EqualValues(t, 100, m.recent.Load())
	m.acknowledged(5, 3)
	share, judged = m.share()
	require.Zero(t, share)
	require.Equal(t, 300, judged, "999 of which 700 were the outage, and the new one")
	require.Zero(t, m.recent.Load())
	require.EqualValues(t, 700, m.missed.Load())
}

// The running counts are those of the ring, whatever happens.
func TestCountsMatchRing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &instanceState{}
		for range rapid.IntRange(1, 60).Draw(t, "runs") {
			for range rapid.IntRange(0, 120).Draw(t, "acked") {
				m.acknowledged(5, 10)
			}
			for range rapid.SampledFrom([]int{0, 1, 2, 9, 10, 11, 50, 1500}).Draw(t, "missed") {
				m.miss(1)
			}
		}
		var lost, counted, recent int32
		for i := uint64(1); i <= min(m.next, ringSize); i++ {
			switch m.at(i).Load() {
			case outcomeNone, outcomeOutage:
			case outcomeMissed:
				lost++
				counted++
				if i <= recentRounds {
					recent++
				}
			default:
				counted++
			}
		}
		if lost != m.lost.Load() || counted != m.counted.Load() || recent != m.recent.Load() {
			t.Fatalf("lost %d counted %d recent %d, the ring has %d %d %d",
				m.lost.Load(), m.counted.Load(), m.recent.Load(), lost, counted, recent)
		}
	})
}

func TestQuantiles(t *testing.T) {
	r := &ring{}
	require.Equal(t, Quantiles{}, r.quantiles())
	for i := range 5000 {
		r.add(int64(i%1000 + 1))
	}
	require.Equal(t, Quantiles{N: 1000, P50: 500, P99: 990, P999: 999}, r.quantiles())
	r.add(-5)
	require.EqualValues(t, 1, r.value[(r.next-1)%ringSize].Load())
}
