// SPDX-License-Identifier: Apache-2.0

package result

import (
	"math"
	"slices"
)

// Quantile of sorted values by nearest rank: one that was measured. 0 where there are none.
func Quantile(sorted []int64, q float64) int64 {
	if len(sorted) == 0 {
		return 0
	}
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

// Side of the traffic.
type Side string

// The sides. Noise is the flow that was not cut.
const (
	Inbound  Side = "inbound"
	Outbound Side = "outbound"
	Noise    Side = "noise"
)

// Of is the sample's flow of a side, nil where the contender has none.
func (s *Sample) Of(side Side) *Flow {
	switch side {
	case Inbound:
		return s.Inbound
	case Outbound:
		return s.Outbound
	}
	return s.Reference
}

// Gaps of a side, sorted. Those of failures that the traffic did not come back from are not among them.
func (c *Cell) Gaps(side Side) []int64 {
	var gaps []int64
	for i := range c.Samples {
		s := &c.Samples[i]
		if f := s.Of(side); f != nil && (side == Noise || !s.Unrecovered) {
			gaps = append(gaps, f.Gap)
		}
	}
	slices.Sort(gaps)
	return gaps
}

// Add a window that follows: the longest gap of both, and the packets of both. Moves are those since the
// first window began, so the later count has all of them.
func (s *Sample) Add(next *Sample) {
	for _, f := range []struct{ to, from *Flow }{{s.Inbound, next.Inbound}, {s.Outbound, next.Outbound}, {s.Reference, next.Reference}} {
		if f.to == nil || f.from == nil {
			continue
		}
		if f.from.Gap > f.to.Gap {
			f.to.Gap, f.to.Start, f.to.End, f.to.Open = f.from.Gap, f.from.Start, f.from.End, f.from.Open
		}
		f.to.Sent += f.from.Sent
		f.to.Lost += f.from.Lost
		f.to.Duplicates += f.from.Duplicates
		f.to.SenderGap = max(f.to.SenderGap, f.from.SenderGap)
	}
	s.Moves = max(s.Moves, next.Moves)
	s.Events = append(s.Events, next.Events...)
	s.Reported = max(s.Reported, next.Reported)
}

// Sum over a cell.
type Sum struct {
	N, Unrecovered int
	Lost, Sent     int // packets of the side
	P50, P99, Max  int64
	Min            int64
	// LossTime is the median failover time by packet loss (RFC 6414 3.5.2): packets lost times interval.
	LossTime int64
	// SenderLate are samples whose sender paused for more than a millisecond.
	SenderLate int
	Moves      int // in all samples
}

// Sum of a side.
func (c *Cell) Sum(side Side) Sum {
	var s Sum
	var losses []int64
	for i := range c.Samples {
		f := c.Samples[i].Of(side)
		if f == nil {
			continue
		}
		s.N++
		s.Moves += c.Samples[i].Moves
		s.Lost += f.Lost
		s.Sent += f.Sent
		losses = append(losses, int64(f.Lost)*f.Interval)
		if f.SenderGap > 1e6 {
			s.SenderLate++
		}
		if c.Samples[i].Unrecovered && side != Noise {
			s.Unrecovered++
		}
	}
	gaps := c.Gaps(side)
	s.Min, s.P50, s.P99, s.Max = Quantile(gaps, 0), Quantile(gaps, .5), Quantile(gaps, .99), Quantile(gaps, 1)
	slices.Sort(losses)
	s.LossTime = Quantile(losses, .5)
	return s
}
