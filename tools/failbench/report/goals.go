// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"slices"

	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// goals of the benchmark, where the cells that they are judged by are there.
func goals(line printer, cells []*result.Cell) {
	var rows []string
	row := func(what, goal, measured string) {
		if measured != "" {
			rows = append(rows, fmt.Sprintf("| %s | %s | %s |", what, goal, measured))
		}
	}
	find := func(name string) *result.Cell {
		for _, c := range cells {
			if c.Name() == name && len(c.Gaps(result.Inbound)) > 0 {
				return c
			}
		}
		return nil
	}
	if c := find("ipmpd-tcx-icmp-100us.silent"); c != nil {
		row("100 us rounds, silent cut: verdict p50 over the limit (misses x interval + RTT)", "<= 1.15", verdictRatio(c))
	}
	if c := find("ipmpd-tcx-icmp-50us.silent"); c != nil {
		row("50 us rounds, 2 misses, silent cut: inbound failover time p50", "<= 300", micro(c.Sum(result.Inbound).P50))
	}
	for _, name := range []string{"ipmpd-tcx-icmp-50us.silent", "ipmpd-tcx-icmp-100us.silent", "ipmpd-tcx-icmp-1ms.silent"} {
		if c := find(name); c != nil {
			row(c.Contender+", silent cut, inbound: (p99 - noise p50) / (p50 - noise p50)", "<= 3", spread(c))
		}
	}
	for _, side := range []result.Side{result.Inbound, result.Outbound} {
		what, measured := ratio(cells, "silent", side, func(*result.Cell) bool { return true })
		row(what, ">= 20 x", measured)
		what, measured = ratio(cells, "carrier", side, func(c *result.Cell) bool { return c.Contender == "bonding-miimon-1" })
		row(what, ">= 8 x", measured)
	}
	moved := 0
	var stayed []string
	for _, c := range cells {
		if !c.Stays || c.Family != "ipmpd" || !slices.Contains(quiet, c.Scenario) {
			continue
		}
		for _, s := range c.Samples {
			if s.Moves > 0 {
				moved++
			}
		}
		if len(c.Samples) > 0 && !slices.Contains(stayed, c.Scenario) {
			stayed = append(stayed, c.Scenario)
		}
	}
	if len(stayed) > 0 {
		row(fmt.Sprintf("events in which ipmpd moved anything: %s", list(stayed)), "0", fmt.Sprint(moved))
	}
	if len(rows) > 0 {
		line("## Goals\n\n| figure | goal | measured |\n|---|---|---|")
		for _, r := range rows {
			line("%s", r)
		}
		line("")
	}
}

// quiet scenarios are those in which nothing may move.
var quiet = []string{"target-dies", "stall-5ms", "stall-50ms", "stall-500ms", "loss-all-1", "loss-all-10", "idle", "loaded"}

func list(words []string) (s string) {
	for i, w := range words {
		if i > 0 {
			s += ", "
		}
		s += w
	}
	return s
}

// verdictRatio is the time from the last good reply to the verdict, as the daemon tells it, over the limit that its
// rule has; medians of each.
func verdictRatio(c *result.Cell) string {
	var verdicts, limits []int64
	for _, s := range c.Samples {
		if s.Limit == 0 {
			continue
		}
		reply, verdict := told(s, "last_reply"), told(s, "verdict")
		if reply != nil && verdict != nil {
			verdicts, limits = append(verdicts, verdict.After-reply.After), append(limits, s.Limit)
		}
	}
	if len(verdicts) == 0 {
		return ""
	}
	slices.Sort(verdicts)
	slices.Sort(limits)
	v, l := result.Quantile(verdicts, .5), result.Quantile(limits, .5)
	return fmt.Sprintf("%.2f (%s over %s, n %d)", float64(v)/float64(l), micro(v), micro(l), len(verdicts))
}

func told(s result.Sample, name string) *result.Event {
	for i := range s.Events {
		if s.Events[i].Told && s.Events[i].Name == name {
			return &s.Events[i]
		}
	}
	return nil
}

// spread of the failover times over the noise.
func spread(c *result.Cell) string {
	in, noise := c.Sum(result.Inbound), c.Sum(result.Noise)
	if in.P50 <= noise.P50 {
		return ""
	}
	return fmt.Sprintf("%.2f (n %d)", float64(in.P99-noise.P50)/float64(in.P50-noise.P50), in.N)
}

// pair is ipmpd at its shortest rounds and, of bonding, what is quickest of those that are asked for. Who did not bring
// the traffic back once is not among them.
func pair(cells []*result.Cell, scenario string, side result.Side, ask func(*result.Cell) bool) (ours, bonding *result.Cell) {
	for _, c := range cells {
		sum := c.Sum(side)
		if c.Scenario != scenario || sum.N == 0 || sum.Unrecovered > 0 {
			continue
		}
		quicker := func(than *result.Cell) bool { return than == nil || sum.P50 < than.Sum(side).P50 }
		switch {
		case c.Family == "ipmpd" && c.Interval > 0 && (ours == nil || c.Interval < ours.Interval || c.Interval == ours.Interval && quicker(ours)):
			ours = c
		case c.Family == "bonding" && ask(c) && quicker(bonding):
			bonding = c
		}
	}
	return ours, bonding
}

// ratio of that pair, in words and numbers; "" where one of the two is not there.
func ratio(cells []*result.Cell, scenario string, side result.Side, ask func(*result.Cell) bool) (what, measured string) {
	ours, bonding := pair(cells, scenario, side, ask)
	if ours == nil || bonding == nil {
		return "", ""
	}
	a, b := ours.Sum(side), bonding.Sum(side)
	return fmt.Sprintf("%s cut, %s: %s against %s, p50", scenario, side, ours.Contender, bonding.Contender),
		fmt.Sprintf("%.1f x (%s, %s; n %d, %d)", float64(b.P50)/float64(a.P50), micro(a.P50), micro(b.P50), a.N, b.N)
}
