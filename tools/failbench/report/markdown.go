// SPDX-License-Identifier: Apache-2.0

package report

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// printer of lines.
type printer func(format string, args ...any)

// Markdown report of all cells, with the plots of [Plots] in folder. Damaged files are named in it.
func Markdown(cells []*result.Cell, damaged []error, folder string) string {
	var b strings.Builder
	line := printer(func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) })
	line("%s", head)
	for _, m := range distinct(cells, func(c *result.Cell) string { return c.Machine }) {
		if m != "" {
			line("Machine: %s.\n", m)
		}
	}
	goals(line, cells)
	plots := Plots(cells)
	for _, scenario := range distinct(cells, func(c *result.Cell) string { return c.Scenario }) {
		rows := ofScenario(cells, scenario)
		if len(rows) == 0 {
			continue
		}
		line("## %s\n\nCell `%s`. Right answer: %s.\n", rows[0].Title, scenario, rows[0].Right)
		switch {
		case scenario == "cost":
			costs(line, rows)
		case rows[0].Stays:
			stays(line, rows)
		default:
			failovers(line, rows)
		}
		line("")
		for _, p := range plots {
			if p.Scenario == scenario {
				line("![%s](%s/%s)\n", p.Title, folder, p.Name)
			}
		}
	}
	notRun(line, cells, damaged)
	subjects(line, cells)
	return b.String()
}

// head says what the figures are.
//
//go:embed head.md
var head string

func ofScenario(cells []*result.Cell, scenario string) (rows []*result.Cell) {
	for _, c := range cells {
		if c.Scenario == scenario && len(c.Samples) > 0 {
			rows = append(rows, c)
		}
	}
	return rows
}

func failovers(line printer, rows []*result.Cell) {
	line("| contender | n | inbound failover time | by loss | outbound failover time | by loss | noise | unrecovered | reversion lost |")
	line("|---|---|---|---|---|---|---|---|---|")
	for _, c := range rows {
		in, out, noise := c.Sum(result.Inbound), c.Sum(result.Outbound), c.Sum(result.Noise)
		lost := 0
		for _, s := range c.Samples {
			if s.Reversion != nil {
				lost += s.Reversion.LostInbound + s.Reversion.LostOutbound
			}
		}
		line("| %s | %d | %s | %s | %s | %s | %s | %d | %d |", c.Contender, len(c.Samples), times(in), loss(in), times(out), loss(out),
			times(noise), max(in.Unrecovered, out.Unrecovered), lost)
	}
}

// stays are scenarios in which nothing should move.
func stays(line printer, rows []*result.Cell) {
	line("| contender | n | of these, moved | longest inbound gap | lost of sent | longest outbound gap | lost of sent | detection time it says it holds, median |")
	line("|---|---|---|---|---|---|---|---|")
	for _, c := range rows {
		in, out := c.Sum(result.Inbound), c.Sum(result.Outbound)
		moved := 0
		var reported []int64
		for _, s := range c.Samples {
			if s.Moves > 0 {
				moved++
			}
			if s.Reported > 0 {
				reported = append(reported, s.Reported)
			}
		}
		says := "not said"
		if len(reported) > 0 {
			slices.Sort(reported)
			says = micro(result.Quantile(reported, .5))
		}
		line("| %s | %d | %d | %s | %d of %d | %s | %d of %d | %s |", c.Contender, len(c.Samples), moved,
			times(in), in.Lost, in.Sent, times(out), out.Lost, out.Sent, says)
	}
}

func costs(line printer, rows []*result.Cell) {
	line("Processor time of the contender's processes in percent of one processor: without what its programs do in the kernel for others' packets.\n")
	line("| contender | n | median | max |\n|---|---|---|---|")
	for _, c := range rows {
		cpu := cpus(c)
		line("| %s | %d | %.2f | %.2f |", c.Contender, len(cpu), float64(result.Quantile(cpu, .5))/1e7, float64(result.Quantile(cpu, 1))/1e7)
	}
}

// cpus of the samples, sorted, ns a second.
func cpus(c *result.Cell) (list []int64) {
	for _, s := range c.Samples {
		list = append(list, s.CPU)
	}
	slices.Sort(list)
	return list
}

func times(s result.Sum) string {
	switch {
	case s.N == 0:
		return "not measured"
	case s.N == s.Unrecovered:
		return "none"
	}
	return fmt.Sprintf("%s / %s / %s", micro(s.P50), micro(s.P99), micro(s.Max))
}

func loss(s result.Sum) string {
	if s.N == 0 || s.N == s.Unrecovered {
		return ""
	}
	return micro(s.LossTime)
}

// micro seconds with thousands apart.
func micro(ns int64) string {
	digits := fmt.Sprint((ns + 500) / 1000)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func notRun(line printer, cells []*result.Cell, damaged []error) {
	var rows []string
	for _, c := range cells {
		if c.NotRun != "" {
			first, _, _ := strings.Cut(c.NotRun, "\n")
			rows = append(rows, fmt.Sprintf("- %s: not run: %s (%d of %d samples)", c.Name(), first, len(c.Samples), c.Want))
		}
	}
	for _, err := range damaged {
		rows = append(rows, "- "+err.Error())
	}
	if len(rows) > 0 {
		line("## Without a result\n\n%s\n", strings.Join(rows, "\n"))
	}
}

func subjects(line printer, cells []*result.Cell) {
	line("## What was measured\n\n| contender | settings | subject | commit |\n|---|---|---|---|")
	for _, name := range distinct(cells, func(c *result.Cell) string { return c.Contender }) {
		i := slices.IndexFunc(cells, func(c *result.Cell) bool { return c.Contender == name })
		line("| %s | %s | %s | %s |", name, cells[i].Settings, cells[i].Subject, cells[i].Commit)
	}
}

// distinct values, in the order of their first appearance.
func distinct(cells []*result.Cell, of func(*result.Cell) string) (list []string) {
	for _, c := range cells {
		if v := of(c); !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	return list
}
