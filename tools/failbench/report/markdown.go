// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// Markdown report of all cells. Damaged files are named in it.
func Markdown(cells []*result.Cell, damaged []error) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Failover benchmark\n")
	for _, m := range distinct(cells, func(c *result.Cell) string { return c.Machine }) {
		line("Machine: %s.  ", m)
	}
	line("Terms of RFC 6414. Times are microseconds: p50 / p99 / max over the failure events, by nearest rank. *Failover time* is by the")
	line("timestamp method, the longest time without a packet at the receiver; *by loss* is the packet-loss method, packets lost")
	line("times the interval (median). *Noise* is the same for a flow that was not cut, in the same windows.\n")
	for _, scenario := range distinct(cells, func(c *result.Cell) string { return c.Scenario }) {
		var rows []*result.Cell
		for _, c := range cells {
			if c.Scenario == scenario && len(c.Samples) > 0 {
				rows = append(rows, c)
			}
		}
		if len(rows) == 0 {
			continue
		}
		line("## %s\n\nRight answer: %s.\n", rows[0].Title, rows[0].Right)
		line("| contender | n | inbound failover time | by loss | outbound failover time | by loss | noise | unrecovered | moves |")
		line("|---|---|---|---|---|---|---|---|---|")
		for _, c := range rows {
			in, out := c.Sum(result.Inbound), c.Sum(result.Outbound)
			noise := c.Sum(result.Noise)
			line("| %s | %d | %s | %s | %s | %s | %s | %d | %d |", c.Contender, len(c.Samples), times(in), loss(in), times(out), loss(out),
				times(noise), max(in.Unrecovered, out.Unrecovered), noise.Moves)
		}
		line("")
	}
	notRun(line, cells, damaged)
	subjects(line, cells)
	return b.String()
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

func notRun(line func(string, ...any), cells []*result.Cell, damaged []error) {
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

func subjects(line func(string, ...any), cells []*result.Cell) {
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
