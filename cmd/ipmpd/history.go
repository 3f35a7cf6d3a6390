// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/ipmpd/ipmpd/pkg/control"
)

func newHistoryCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:                   "history [ID] [--json]",
		Short:                 "every failover and repair; with ID its timeline",
		Args:                  argsBetween(0, 1),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, out := globalsOf(cmd).client(), cmd.OutOrStdout()
			if len(args) == 1 {
				id, err := strconv.ParseUint(args[0], 10, 64)
				if err != nil {
					return usageError("history: %q is no id; the ids are in the first column of `ipmpd history`", args[0])
				}
				entry, err := client.HistoryEntry(cmd.Context(), id)
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(out, control.List[control.HistoryEntry]{*entry})
				}
				return writeEntry(out, *entry)
			}
			entries, err := client.History(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(out, control.List[control.HistoryEntry](entries))
			}
			return writeHistory(out, entries)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "a JSON array")
	return cmd
}

// writeHistory prints a line for each entry, newest last.
func writeHistory(w io.Writer, entries []control.HistoryEntry) error {
	if len(entries) == 0 {
		_, err := fmt.Fprintln(w, "nothing has happened yet")
		return err
	}
	t := newTable("")
	t.add("ID", "TIME", "GROUP", "WHAT", "MEMBER", "FAMILY", "WHY", "VERDICT", "DONE", "MOVED", "")
	for _, e := range entries {
		last := "-"
		if steps := e.Timeline.Steps(); len(steps) > 0 {
			last = formatNS(steps[len(steps)-1].NS)
		}
		state := ""
		if !e.Complete {
			state = "not complete"
		}
		t.add(strconv.FormatUint(e.ID, 10), e.Time.Local().Format("2006-01-02 "+clockFormat), e.Group, e.Kind, orDash(e.Interface),
			orDash(e.Family), orDash(why(e)), formatKnown(e.Timeline.Verdict), last, movedTo(e.Moved), state)
	}
	return t.write(w)
}

func why(e control.HistoryEntry) string {
	return strings.Join(nonEmpty(e.Cause, e.Detail), ": ")
}

// movedTo is how many addresses went where.
func movedTo(moved []control.Moved) string {
	count := make(map[string]int)
	var order []string
	for _, m := range moved {
		if count[m.To] == 0 {
			order = append(order, m.To)
		}
		count[m.To]++
	}
	var parts []string
	for _, to := range order {
		parts = append(parts, fmt.Sprintf("%d to %s", count[to], orDash(to)))
	}
	return orDash(strings.Join(parts, ", "))
}

// writeEntry draws one entry with its timeline and what moved.
func writeEntry(w io.Writer, e control.HistoryEntry) error {
	out := &errWriter{w: w}
	fmt.Fprintf(out, "%d  %s\n", e.ID, strings.Join(nonEmpty(e.Kind, e.Interface, familyWord(e.Family)), " "))
	fmt.Fprintf(out, "%s\n\n", e.Time.Local().Format("2006-01-02 15:04:05.000000000 -0700"))
	t := newTable("  ")
	t.add("group", e.Group)
	t.add("cause", orDash(why(e)))
	complete := "yes"
	if !e.Complete {
		complete = "no, still trying"
	}
	t.add("complete", complete)
	out.table(t)
	writeTimeline(out, e)
	if len(e.Moved) > 0 {
		t := newTable("    ")
		for _, m := range e.Moved {
			t.add(m.Address, orDash(m.From)+" → "+orDash(m.To))
		}
		fmt.Fprintf(out, "\n  moved\n")
		out.table(t)
	}
	if len(e.Failed) > 0 {
		t := newTable("    ")
		for _, f := range e.Failed {
			t.add(orDash(f.Address), f.Step, f.Error)
		}
		fmt.Fprintf(out, "\n  failed steps\n")
		out.table(t)
	}
	return out.err
}

func familyWord(family string) string {
	if family == "ipv4" || family == "ipv6" {
		return "(" + family + ")"
	}
	return ""
}

// chartWidth is the length of the time axis in characters.
const chartWidth = 40

// writeTimeline draws the steps along an axis that starts at the last good
// reply (or the link event) and ends with the last step:
//
//	last reply        0us  ●
//	verdict         301us  ────────────────────●              +301us
//	announced       350us  ────────────────────────●           +49us
func writeTimeline(out *errWriter, e control.HistoryEntry) {
	steps := e.Timeline.Steps()
	if len(steps) == 0 {
		return
	}
	first, last := min(steps[0].NS, 0), steps[len(steps)-1].NS
	var names, times, deltas []string
	for i, s := range steps {
		name := strings.ReplaceAll(s.Name, "_", " ")
		if s.Name == "last_reply" && e.Cause == "link" {
			name = "link event"
		}
		names, times = append(names, name), append(times, formatNS(s.NS))
		delta := ""
		if i > 0 {
			delta = "+" + formatNS(s.NS-steps[i-1].NS)
		}
		deltas = append(deltas, delta)
	}
	fmt.Fprintf(out, "\n  timeline\n")
	for i, s := range steps {
		at := 0
		if last > first {
			at = int(float64(chartWidth-1) * float64(s.NS-first) / float64(last-first))
		}
		bar := strings.Repeat("─", at) + "●" + strings.Repeat(" ", chartWidth-1-at)
		line := fmt.Sprintf("    %s  %s  %s  %s", padRight(names[i], longest(names)), padLeft(times[i], longest(times)), bar, padLeft(deltas[i], longest(deltas)))
		fmt.Fprintln(out, strings.TrimRight(line, " "))
	}
}

func longest(words []string) int {
	n := 0
	for _, w := range words {
		n = max(n, utf8.RuneCountInString(w))
	}
	return n
}

func padRight(s string, n int) string {
	return s + strings.Repeat(" ", n-utf8.RuneCountInString(s))
}

func padLeft(s string, n int) string {
	return strings.Repeat(" ", n-utf8.RuneCountInString(s)) + s
}
