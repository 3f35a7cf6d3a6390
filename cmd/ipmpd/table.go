// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// clockFormat is the time of day in text output; days are told where needed.
const clockFormat = "15:04:05.000000"

// table aligns columns with two blanks between them.
type table struct {
	indent string
	rows   [][]string
}

func newTable(indent string) *table { return &table{indent: indent} }

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write prints the table; columns without any text are left out, a heading
// alone is none.
func (t *table) write(w io.Writer) error {
	var width []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range t.rows {
		var line strings.Builder
		line.WriteString(t.indent)
		for i, cell := range row {
			if width[i] == 0 {
				continue
			}
			line.WriteString(cell)
			line.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+2))
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// formatNS prints a duration as a person says it: 400us, 1.00ms, 2.5s.
func formatNS(ns int64) string {
	switch abs := max(ns, -ns); {
	case abs == 0:
		return "0us"
	case abs < 1_000:
		return fmt.Sprintf("%dns", ns)
	case abs < 999_500:
		return fmt.Sprintf("%dus", (ns+500)/1_000)
	case abs < 100_000_000:
		return fmt.Sprintf("%.2fms", float64(ns)/1e6)
	case abs < 1_000_000_000:
		return fmt.Sprintf("%dms", ns/1_000_000)
	default:
		return fmt.Sprintf("%.2fs", float64(ns)/1e9)
	}
}

// formatKnown is formatNS for a number that may be unknown.
func formatKnown(ns *int64) string {
	if ns == nil {
		return "-"
	}
	return formatNS(*ns)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func nonEmpty(words ...string) []string {
	var out []string
	for _, w := range words {
		if w != "" {
			out = append(out, w)
		}
	}
	return out
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
