// SPDX-License-Identifier: Apache-2.0

package trial

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/flow"
)

func TestQuantify(t *testing.T) {
	var of []time.Duration
	for i := 100; i > 0; i-- {
		of = append(of, time.Duration(i)*time.Microsecond)
	}
	require.Equal(t, Quantiles{Min: 1, P50: 50, P90: 90, P99: 99, Max: 100}, Quantify(of))
	require.Equal(t, Quantiles{Min: 1.5, P50: 1.5, P90: 1.5, P99: 1.5, Max: 1.5}, Quantify([]time.Duration{1500}))
	require.Zero(t, Quantify(nil))
}

func TestSummarize(t *testing.T) {
	cut := func(gap time.Duration) Cut {
		return Cut{
			Inbound:  flow.Gap{Longest: gap, Lost: 3, SenderGap: gap},
			Outbound: flow.Gap{Longest: gap / 2, Lost: 1},
			Failover: lab.HistoryEntry{Timeline: map[string]int64{"verdict": int64(gap / 4)}},
		}
	}
	missed := cut(time.Second)
	missed.Missed = true
	elsewhere := cut(2 * time.Millisecond)
	elsewhere.OutboundElsewhere = true
	s := Summarize([]Cut{cut(400 * time.Microsecond), missed, elsewhere})
	require.Equal(t, 3, s.N)
	require.Equal(t, 1, s.Missed)
	require.InDelta(t, 2000, s.Inbound.Max, 0)
	require.InDelta(t, 200, s.Outbound.Max, 0)
	require.InDelta(t, 100, s.Verdict.Min, 0)
	require.Equal(t, 6, s.LostInbound)
	require.Equal(t, 1, s.SenderLate)
}
