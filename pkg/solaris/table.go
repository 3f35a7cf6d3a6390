// SPDX-License-Identifier: Apache-2.0

package solaris

import (
	"io"
	"strings"
)

// column of a table.
type column struct {
	name  string
	width int
}

// table prints rows as libofmt does. For people: left-justified columns at least one blank apart, a
// header on every screen, "--" for what is empty. For programs: fields with a colon between, colons
// and backslashes in them behind a backslash; a single field is printed as it is.
type table struct {
	w        io.Writer
	columns  []column
	parsable bool
	screen   int // lines of one
	lines    int // printed so far
}

const undefined = "--"

func (t *table) row(values []string) error {
	var b strings.Builder
	switch {
	case t.parsable && len(values) == 1:
		b.WriteString(values[0])
		b.WriteByte('\n')
	case t.parsable:
		for i, v := range values {
			if i > 0 {
				b.WriteByte(':')
			}
			b.WriteString(escape.Replace(v))
		}
		b.WriteByte('\n')
	default:
		if t.lines%t.screen == 0 {
			names := make([]string, len(t.columns))
			for i, c := range t.columns {
				names[i] = c.name
			}
			t.line(&b, names)
		}
		t.line(&b, values)
	}
	_, err := io.WriteString(t.w, b.String())
	return err
}

var escape = strings.NewReplacer(":", `\:`, `\`, `\\`)

// line pads all columns but the last. A value that is too long pushes the next ones to the right
// only as far as they have no blanks to spare.
func (t *table) line(b *strings.Builder, values []string) {
	t.lines++
	over := 0 // columns that the line is too far to the right
	for i, v := range values {
		if v == "" {
			v = undefined
		}
		b.WriteString(v)
		if i == len(values)-1 {
			break
		}
		width := t.columns[i].width - over
		if len(v) >= width {
			b.WriteByte(' ')
			over = len(v) + 1 - width
			continue
		}
		b.WriteString(strings.Repeat(" ", width-len(v)))
		over = 0
	}
	b.WriteByte('\n')
}
