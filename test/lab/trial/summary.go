// SPDX-License-Identifier: Apache-2.0

package trial

import (
	"math"
	"slices"
	"time"
)

// Quantiles in microseconds, by nearest rank. All are 0 where there is nothing to count.
type Quantiles struct {
	Min float64 `json:"min"`
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Quantify durations.
func Quantify(of []time.Duration) Quantiles {
	if len(of) == 0 {
		return Quantiles{}
	}
	sorted := slices.Sorted(slices.Values(of))
	rank := func(q float64) float64 {
		i := max(0, int(math.Ceil(q*float64(len(sorted))))-1)
		return float64(sorted[i]) / float64(time.Microsecond)
	}
	return Quantiles{Min: rank(0), P50: rank(.5), P90: rank(.9), P99: rank(.99), Max: rank(1)}
}

// Summary of cuts of one kind. Gaps are those of the cuts that were not missed.
type Summary struct {
	N        int       `json:"n"`
	Inbound  Quantiles `json:"inbound_gap_us"`
	Outbound Quantiles `json:"outbound_gap_us"`
	Verdict  Quantiles `json:"verdict_us"`
	Missed   int       `json:"missed"`

	LostInbound  int `json:"lost_inbound"` // packets, all cuts together
	LostOutbound int `json:"lost_outbound"`
	// SenderLate counts cuts during which a sender paused for more than 1 ms: their gaps may be
	// this machine's.
	SenderLate int `json:"sender_late"`
	// Suppressed announcements, with Options.FirstLost.
	Suppressed uint64 `json:"suppressed,omitempty"`
}

// Summarize cuts.
func Summarize(cuts []Cut) Summary {
	var s Summary
	var inbound, outbound, verdict []time.Duration
	for _, c := range cuts {
		s.N++
		if c.Missed {
			s.Missed++
			continue
		}
		if !c.InboundElsewhere {
			inbound = append(inbound, c.Inbound.Longest)
		}
		if !c.OutboundElsewhere {
			outbound = append(outbound, c.Outbound.Longest)
		}
		if v, ok := c.Failover.Timeline["verdict"]; ok {
			verdict = append(verdict, time.Duration(v))
		}
		s.LostInbound += c.Inbound.Lost
		s.LostOutbound += c.Outbound.Lost
		s.Suppressed += c.Wire.Suppressed
		if max(c.Inbound.SenderGap, c.Outbound.SenderGap) > time.Millisecond {
			s.SenderLate++
		}
	}
	s.Inbound, s.Outbound, s.Verdict = Quantify(inbound), Quantify(outbound), Quantify(verdict)
	return s
}

// Noise is the longest gap of the flow that was not cut, over the windows of the cuts.
func Noise(cuts []Cut) Quantiles {
	var longest []time.Duration
	for _, c := range cuts {
		longest = append(longest, c.Reference.Longest)
	}
	return Quantify(longest)
}
