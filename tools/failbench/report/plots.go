// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// Plot is an SVG file.
type Plot struct {
	Name, Title string
	Scenario    string // whose chapter it belongs to
	SVG         string
}

// Plots of all cells that have something to draw: for each scenario boxes, and of the headline ones the
// distribution; one failover's anatomy; what the intervals cost.
func Plots(cells []*result.Cell) (plots []Plot) {
	for _, scenario := range distinct(cells, func(c *result.Cell) string { return c.Scenario }) {
		rows := slices.DeleteFunc(ofScenario(cells, scenario), func(c *result.Cell) bool {
			return c.Stays || len(c.Gaps(result.Inbound))+len(c.Gaps(result.Outbound)) == 0
		})
		if len(rows) == 0 {
			continue
		}
		title := rows[0].Title
		if lines := slices.DeleteFunc(slices.Clone(rows), ordinary); slices.ContainsFunc(lines, many) {
			for _, side := range []result.Side{result.Inbound, result.Outbound} {
				if svg := cdf(lines, side, title); svg != "" {
					plots = append(plots, Plot{Name: fmt.Sprintf("cdf-%s-%s.svg", scenario, side), Title: fmt.Sprintf("%s, %s: share of events by failover time", title, side),
						Scenario: scenario, SVG: svg})
				}
			}
		}
		plots = append(plots, Plot{Name: "box-" + scenario + ".svg", Title: title + ": failover times", Scenario: scenario, SVG: boxes(rows, title)})
	}
	for _, c := range cells {
		if c.Scenario == "silent" && !ordinary(c) {
			if svg := anatomy(c); svg != "" {
				plots = append(plots, Plot{Name: "anatomy-" + c.Contender + ".svg", Title: "Anatomy of one failover of " + c.Contender, Scenario: c.Scenario, SVG: svg})
			}
		}
	}
	if svg := costPlot(ofScenario(cells, "cost")); svg != "" {
		plots = append(plots, Plot{Name: "cost.svg", Title: "Processor time by interval", Scenario: "cost", SVG: svg})
	}
	return plots
}

// many events make a distribution worth a drawing.
func many(c *result.Cell) bool { return c.Headline && len(c.Samples) >= 20 }

// ordinary cells are in the tables and boxes only: too many lines tell nothing.
func ordinary(c *result.Cell) bool {
	return !c.Headline && c.Family == "ipmpd" && c.Contender != "ipmpd-link"
}

func micros(gaps []int64) (list []float64) {
	for _, g := range gaps {
		list = append(list, float64(g)/1e3)
	}
	return list
}

// cdf is the share of events that were over after a time, a line for each contender and a dashed one for the
// noise of them all.
func cdf(cells []*result.Cell, side result.Side, title string) string {
	var all, noise []float64
	drawn := 0
	for _, c := range cells {
		all = append(all, micros(c.Gaps(side))...)
		noise = append(noise, micros(c.Gaps(result.Noise))...)
	}
	if len(all) == 0 {
		return ""
	}
	slices.Sort(noise)
	const left, right, top, bottom = 60.0, 620.0, 40.0, 340.0
	c := &canvas{width: 860, height: 400}
	x := logScale(append(all, noise...), left, right)
	c.text(left, 22, "start", fmt.Sprintf("%s: %s failover time", title, side))
	c.timeAxis(x, top, bottom, "longest time without a packet")
	y := scale{low: 0, high: 1, from: bottom, to: top}
	for _, share := range []float64{0, .25, .5, .75, 1} {
		c.line(left, y.at(share), right, y.at(share), gridStyle)
		c.text(left-6, y.at(share)+4, "end", fmt.Sprintf("%g %%", share*100))
	}
	draw := func(values []float64, style, label string) {
		var points strings.Builder
		fmt.Fprintf(&points, "M%.1f %.1f", x.at(values[0]), bottom)
		for i, v := range values {
			fmt.Fprintf(&points, "H%.1fV%.1f", x.at(v), y.at(float64(i+1)/float64(len(values))))
		}
		c.add(`<path d="%s" fill="none" %s/>`, points.String(), style)
		ly := top + 10 + 18*float64(drawn)
		c.line(right+14, ly-4, right+34, ly-4, style)
		c.text(right+40, ly, "start", label)
		drawn++
	}
	for i, cell := range cells {
		if values := micros(cell.Gaps(side)); len(values) > 0 {
			draw(values, fmt.Sprintf(`stroke="%s" stroke-width="1.6"`, colour(i)), fmt.Sprintf("%s (n %d)", cell.Contender, len(values)))
		}
	}
	if len(noise) > 0 {
		draw(noise, `stroke="#999999" stroke-dasharray="4 3"`, "noise: not cut")
	}
	return c.String()
}

// boxes of all contenders of a scenario: from the first to the last quartile, with the median, and lines to the
// least and the greatest; inbound above outbound.
func boxes(cells []*result.Cell, title string) string {
	const left, right, top, row = 210.0, 800.0, 40.0, 36.0
	bottom := top + row*float64(len(cells))
	c := &canvas{width: 860, height: int(bottom) + 60}
	var all []float64
	for _, cell := range cells {
		all = append(all, micros(cell.Gaps(result.Inbound))...)
		all = append(all, micros(cell.Gaps(result.Outbound))...)
	}
	x := logScale(all, left, right)
	c.text(left, 22, "start", title+": failover time, inbound (filled) and outbound")
	c.timeAxis(x, top, bottom, "longest time without a packet")
	for i, cell := range cells {
		y := top + row*float64(i)
		c.text(left-8, y+22, "end", cell.Contender)
		for j, side := range []result.Side{result.Inbound, result.Outbound} {
			gaps := cell.Gaps(side)
			if len(gaps) == 0 {
				continue
			}
			q := func(p float64) float64 { return x.at(float64(result.Quantile(gaps, p)) / 1e3) }
			mid := y + 11 + 14*float64(j)
			stroke := fmt.Sprintf(`stroke="%s"`, colour(0))
			fill := colour(5)
			if j == 1 {
				stroke, fill = fmt.Sprintf(`stroke="%s"`, colour(1)), "white"
			}
			c.line(q(0), mid, q(1), mid, stroke)
			c.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="10" fill="%s" %s/>`, q(.25), mid-5, max(q(.75)-q(.25), 1), fill, stroke)
			c.line(q(.5), mid-6, q(.5), mid+6, `stroke="#000000" stroke-width="2"`)
		}
	}
	return c.String()
}
