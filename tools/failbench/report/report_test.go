// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

func flow(gap int64, lost int) *result.Flow {
	return &result.Flow{Gap: gap, Lost: lost, Sent: 100, Interval: 100_000}
}

// cells of two contenders: one that fails over within 300, 400 and 500 us and one that never does.
func cells() []*result.Cell {
	good := &result.Cell{Contender: "ipmpd-tcx-icmp-100us", Family: "ipmpd", Scenario: "silent", Title: "silent cut", Right: "it goes on",
		Headline: true, Settings: "fast", Subject: "ipmpd 1 <&>", Machine: "here", Commit: "abc", Want: 3}
	for i := range int64(3) {
		good.Samples = append(good.Samples, result.Sample{
			Inbound: flow(300_000+i*100_000, 3), Outbound: flow(250_000, 2), Reference: flow(110_000, 0), Moves: 1,
			Reversion: &result.Reversion{LostInbound: 1, LostOutbound: 2},
			Limit:     300_000,
			Events: []result.Event{{Name: "announcement", After: 1000 * (i + 1)}, {Name: "last_reply", After: -60_000, Told: true},
				{Name: "verdict", After: 300_000, Told: true}},
		})
	}
	blind := &result.Cell{Contender: "ipmpd-link", Family: "ipmpd", Scenario: "silent", Title: "silent cut", Samples: []result.Sample{
		{Inbound: flow(5e9, 90), Outbound: flow(5e9, 90), Reference: flow(2_000_000, 0), Unrecovered: true},
	}}
	quiet := &result.Cell{Contender: "ipmpd-link", Family: "ipmpd", Scenario: "idle", Title: "a quiet minute", Right: "nothing moves", Stays: true, Samples: []result.Sample{
		{Inbound: flow(1000, 0), Outbound: flow(1000, 0), Reported: 4_000_000}, {Inbound: flow(1000, 7), Outbound: flow(1000, 0), Moves: 1},
	}}
	cost := &result.Cell{Contender: "ipmpd-tcx-icmp-100us", Family: "ipmpd", Scenario: "cost", Title: "what it costs", Stays: true, Interval: 100_000,
		Samples: []result.Sample{{CPU: 30_000_000}, {CPU: 10_000_000}, {CPU: 20_000_000}}}
	absent := &result.Cell{Contender: "absent", Scenario: "silent", Title: "silent cut", NotRun: "no such program\nmore", Want: 30}
	return []*result.Cell{good, blind, quiet, cost, absent}
}

func TestMarkdown(t *testing.T) {
	text := Markdown(cells(), []error{errors.New("x.json is damaged: torn")}, "plots")
	for _, line := range []string{
		"| ipmpd-tcx-icmp-100us | 3 | 400 / 500 / 500 | 300 | 250 / 250 / 250 | 200 | 110 / 110 / 110 | 0 | 9 |",
		"| 100 us rounds, silent cut: verdict p50 over the limit (misses x interval + RTT) | <= 1.15 | 1.20 (360 over 300, n 3) |",
		"| ipmpd-tcx-icmp-100us, silent cut, inbound: (p99 - noise p50) / (p50 - noise p50) | <= 3 | 1.34 (n 3) |",
		"| events in which ipmpd moved anything: idle | 0 | 1 |",
		"| ipmpd-link | 1 | none |  | none |  | 2,000 / 2,000 / 2,000 | 1 | 0 |",
		"| ipmpd-link | 2 | 1 | 1 / 1 / 1 | 7 of 200 | 1 / 1 / 1 | 0 of 200 | 4,000 |",
		"| ipmpd-tcx-icmp-100us | 3 | 2.00 | 3.00 |",
		"- absent.silent: not run: no such program (0 of 30 samples)",
		"- x.json is damaged: torn",
		"![silent cut: failover times](plots/box-silent.svg)",
	} {
		require.Contains(t, text, line+"\n")
	}
	require.NotContains(t, text, "more")
}

// TestRatio: the shortest rounds, and of those the quickest, against the quickest that always brought the traffic back.
func TestRatio(t *testing.T) {
	cell := func(name, family string, interval, gap int64, unrecovered bool) *result.Cell {
		return &result.Cell{Contender: name, Scenario: "silent", Family: family, Interval: interval,
			Samples: []result.Sample{{Inbound: &result.Flow{Gap: gap * 1000, Sent: 10}, Unrecovered: unrecovered}}}
	}
	cells := []*result.Cell{
		cell("slow rounds", "ipmpd", 1000, 10, false), cell("three misses", "ipmpd", 100, 40, false), cell("two misses", "ipmpd", 100, 25, false),
		cell("never", "bonding", 1, 5, true), cell("slow", "bonding", 1, 900, false), cell("best", "bonding", 1, 600, false),
	}
	all := func(*result.Cell) bool { return true }
	what, measured := ratio(cells, "silent", result.Inbound, all)
	require.Equal(t, "silent cut, inbound: two misses against best, p50", what)
	require.Equal(t, "24.0 x (25, 600; n 1, 1)", measured)
	_, measured = ratio(cells, "silent", result.Inbound, func(c *result.Cell) bool { return c.Contender == "slow" })
	require.Equal(t, "36.0 x (25, 900; n 1, 1)", measured)
	what, measured = ratio(cells[:3], "silent", result.Inbound, all)
	require.Empty(t, what+measured, "without bonding there is nothing to compare with")
}

func TestMicro(t *testing.T) {
	for ns, want := range map[int64]string{0: "0", 499: "0", 500: "1", 999_499: "999", 1_000_000: "1,000", 1_234_567_890: "1,234,568"} {
		require.Equal(t, want, micro(ns))
	}
}

// Every plot is well-formed, and nothing of it lies outside.
func TestPlots(t *testing.T) {
	list := cells()
	require.Equal(t, "box-silent.svg", Plots(list)[0].Name, "three events make no distribution")
	for range 6 {
		list[0].Samples = append(list[0].Samples, list[0].Samples[:3]...)
	}
	plots := Plots(list)
	var names []string
	for _, p := range plots {
		names = append(names, p.Name)
		inside(t, p)
	}
	require.Equal(t, []string{"cdf-silent-inbound.svg", "cdf-silent-outbound.svg", "box-silent.svg", "anatomy-ipmpd-tcx-icmp-100us.svg", "cost.svg"}, names)
	require.Contains(t, plots[0].SVG, "ipmpd-tcx-icmp-100us (n 21)")
	require.NotContains(t, plots[0].SVG, "ipmpd-link (n", "it never failed over")
	require.Empty(t, Plots(nil))
}

func inside(t *testing.T, p Plot) {
	t.Helper()
	var size [2]float64
	elements := 0
	for dec := xml.NewDecoder(strings.NewReader(p.SVG)); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err, p.Name)
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		elements++
		for _, a := range start.Attr {
			axis, ok := map[string]int{"x": 0, "x1": 0, "x2": 0, "cx": 0, "y": 1, "y1": 1, "y2": 1, "cy": 1, "width": 0, "height": 1}[a.Name.Local]
			if !ok || a.Value == "100%" {
				continue
			}
			v, err := strconv.ParseFloat(a.Value, 64)
			require.NoError(t, err)
			if start.Name.Local == "svg" {
				size[axis] = v
			}
			require.GreaterOrEqual(t, v, 0.0, "%s: %s of %s", p.Name, a.Name.Local, start.Name.Local)
			require.LessOrEqual(t, v, size[axis], "%s: %s of %s", p.Name, a.Name.Local, start.Name.Local)
		}
	}
	require.Greater(t, elements, 10, p.Name)
}

func TestLogScale(t *testing.T) {
	s := logScale([]float64{0, 3, 4000}, 0, 100)
	require.Equal(t, scale{low: 1, high: 10000, from: 0, to: 100, log: true}, s)
	require.InDelta(t, 0, s.at(0), 1e-9, "what is not positive is drawn as the smallest")
	require.InDelta(t, 50, s.at(100), 1e-9)
	major, minor := s.ticks()
	require.Equal(t, []float64{1, 10, 100, 1000, 10000}, major)
	require.Equal(t, []float64{2, 5, 20, 50, 200, 500, 2000, 5000}, minor)
	require.Equal(t, scale{low: 10, high: 100, from: 0, to: 1, log: true}, logScale([]float64{10}, 0, 1))
}
