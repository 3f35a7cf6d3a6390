// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// anatomy of the cell's median event: when what happened, on the wire and, where the contender told, inside it.
func anatomy(cell *result.Cell) string {
	s := median(cell)
	if s == nil || len(s.Events) == 0 {
		return ""
	}
	events := slices.Clone(s.Events)
	events = append(events, result.Event{Name: "first frame dropped"})
	slices.SortStableFunc(events, func(a, b result.Event) int { return cmp.Compare(a.After, b.After) })
	low, high := float64(events[0].After)/1e3, float64(events[len(events)-1].After)/1e3
	margin := (high - low) / 20
	const left, right, top, row = 20.0, 600.0, 50.0, 22.0
	bottom := top + row*float64(len(events)) + 10
	c := &canvas{width: 860, height: int(bottom) + 50}
	x := scale{low: low - margin, high: high + margin, from: left, to: right}
	c.text(left, 22, "start", fmt.Sprintf("%s, %s: the event with the median inbound failover time", cell.Contender, cell.Title))
	c.text(left, 40, "start", "filled: seen on the wire or at the application; hollow: told by the contender, its clock set by the announcement")
	step := tick(high - low)
	for v := step * float64(int(low/step)-1); v <= high+margin; v += step {
		if v < low-margin {
			continue
		}
		c.line(x.at(v), top, x.at(v), bottom, gridStyle)
		c.text(x.at(v), bottom+16, "middle", fmt.Sprintf("%g", v))
	}
	c.line(left, bottom, right, bottom, axisStyle)
	c.text((left+right)/2, bottom+34, "middle", "us after the first frame was dropped")
	for i, e := range events {
		y := top + row*float64(i) + 14
		at := x.at(float64(e.After) / 1e3)
		fill := colour(0)
		if e.Told {
			fill = "white"
		}
		c.line(at, y, right, y, faintStyle)
		c.add(`<circle cx="%.1f" cy="%.1f" r="5" fill="%s" stroke="%s"/>`, at, y, fill, colour(0))
		c.text(right+10, y+4, "start", fmt.Sprintf("%.0f  %s", float64(e.After)/1e3, strings.ReplaceAll(e.Name, "_", " ")))
	}
	return c.String()
}

// median event by inbound failover time.
func median(cell *result.Cell) *result.Sample {
	gaps := cell.Gaps(result.Inbound)
	if len(gaps) == 0 {
		return nil
	}
	want := result.Quantile(gaps, .5)
	for i := range cell.Samples {
		if s := &cell.Samples[i]; s.Inbound != nil && !s.Unrecovered && s.Inbound.Gap == want {
			return s
		}
	}
	return nil
}

// tick distance for about eight of them: 1, 2 or 5 times a power of ten.
func tick(span float64) float64 {
	step := 1.0
	for _, f := range []float64{2, 2.5, 2, 2, 2.5, 2, 2, 2.5, 2, 2, 2.5, 2, 2, 2.5, 2} {
		if span/step <= 8 {
			break
		}
		step *= f
	}
	return step
}
