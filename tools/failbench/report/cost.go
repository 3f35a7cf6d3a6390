// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"

	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// costPlot is processor time against the interval of the rounds, a line for each mode.
func costPlot(cells []*result.Cell) string {
	type point struct{ us, percent float64 }
	series := map[string][]point{}
	var order []string
	var xs, ys []float64
	for _, c := range cells {
		cpu := cpus(c)
		if c.Interval == 0 || len(cpu) == 0 {
			continue
		}
		name := c.Contender
		if c.Family == "ipmpd" {
			name = stem(name)
		}
		if series[name] == nil {
			order = append(order, name)
		}
		p := point{float64(c.Interval) / 1e3, float64(result.Quantile(cpu, .5)) / 1e7}
		series[name] = append(series[name], p)
		xs, ys = append(xs, p.us), append(ys, p.percent)
	}
	if len(xs) == 0 {
		return ""
	}
	const left, right, top, bottom = 70.0, 620.0, 40.0, 340.0
	c := &canvas{width: 860, height: 400}
	x, y := logScale(xs, left, right), logScale(ys, bottom, top)
	c.text(left, 22, "start", "processor time of the contender's processes while nothing happens")
	c.timeAxis(x, top, bottom, "interval of the rounds")
	major, _ := y.ticks()
	for _, v := range major {
		c.line(left, y.at(v), right, y.at(v), gridStyle)
		c.text(left-6, y.at(v)+4, "end", fmt.Sprintf("%g %%", v))
	}
	for i, name := range order {
		style := fmt.Sprintf(`stroke="%s" stroke-width="1.6"`, colour(i))
		for j, p := range series[name] {
			if j > 0 {
				q := series[name][j-1]
				c.line(x.at(q.us), y.at(q.percent), x.at(p.us), y.at(p.percent), style)
			}
			c.add(`<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`, x.at(p.us), y.at(p.percent), colour(i))
		}
		ly := top + 10 + 18*float64(i)
		c.line(right+14, ly-4, right+34, ly-4, style)
		c.text(right+40, ly, "start", name)
	}
	return c.String()
}

// stem of a contender's name: without its last part, the interval.
func stem(name string) string {
	for i := len(name) - 1; i > 0; i-- {
		if name[i] == '-' {
			return name[:i]
		}
	}
	return name
}
