// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"math"
	"strings"
)

// canvas collects SVG elements. It is our own, some hundred lines: a plotting library would bring thirty
// modules into a binary that has to run as the only program of a guest.
type canvas struct {
	width, height int
	body          strings.Builder
}

func (c *canvas) add(format string, args ...any) { fmt.Fprintf(&c.body, format+"\n", args...) }

func (c *canvas) line(x1, y1, x2, y2 float64, style string) {
	c.add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>`, x1, y1, x2, y2, style)
}

func (c *canvas) text(x, y float64, anchor, text string) {
	c.add(`<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, x, y, anchor, escape(text))
}

func (c *canvas) String() string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">
<rect width="100%%" height="100%%" fill="white"/>
%s</svg>
`, c.width, c.height, c.width, c.height, c.body.String())
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// scale maps values to pixels, by their logarithm where log.
type scale struct {
	low, high float64
	from, to  float64
	log       bool
}

func (s scale) at(v float64) float64 {
	low, high := s.low, s.high
	if s.log {
		v, low, high = math.Log10(max(v, s.low)), math.Log10(low), math.Log10(high)
	}
	return s.from + (v-low)/(high-low)*(s.to-s.from)
}

// logScale has whole decades around all values, which are positive; those that are not count as the smallest.
func logScale(values []float64, from, to float64) scale {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if v > 0 {
			low, high = min(low, v), max(high, v)
		}
	}
	if high < low {
		low, high = 1, 10
	}
	low, high = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
	if high <= low {
		high = low * 10
	}
	return scale{low: low, high: high, from: from, to: to, log: true}
}

// ticks of a logarithmic scale: each decade with a label, 2 and 5 without.
func (s scale) ticks() (major, minor []float64) {
	for v := s.low; v <= s.high*1.001; v *= 10 {
		major = append(major, v)
		for _, m := range []float64{2, 5} {
			if v*m < s.high {
				minor = append(minor, v*m)
			}
		}
	}
	return major, minor
}

// Lines of the axes.
const (
	gridStyle  = `stroke="#dddddd"`
	faintStyle = `stroke="#f0f0f0"`
	axisStyle  = `stroke="#444444"`
)

// timeAxis draws a logarithmic axis of microseconds below a plot.
func (c *canvas) timeAxis(s scale, top, bottom float64, label string) {
	major, minor := s.ticks()
	for _, v := range minor {
		c.line(s.at(v), top, s.at(v), bottom, faintStyle)
	}
	for _, v := range major {
		c.line(s.at(v), top, s.at(v), bottom, gridStyle)
		c.text(s.at(v), bottom+16, "middle", duration(v))
	}
	c.line(s.from, bottom, s.to, bottom, axisStyle)
	c.text((s.from+s.to)/2, bottom+34, "middle", label)
}

// duration of microseconds in the unit that is short.
func duration(us float64) string {
	switch {
	case us >= 1e6:
		return fmt.Sprintf("%g s", us/1e6)
	case us >= 1e3:
		return fmt.Sprintf("%g ms", us/1e3)
	}
	return fmt.Sprintf("%g us", us)
}

// palette is of Okabe and Ito, which the colour-blind can tell apart, then their darker ones.
var palette = []string{"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#884400", "#004D40", "#7F3C8D"}

func colour(i int) string { return palette[i%len(palette)] }
