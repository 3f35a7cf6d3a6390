// SPDX-License-Identifier: Apache-2.0

package config

import "fmt"

// Pos is a place in the file. Lines and columns (in characters) count from 1.
type Pos struct {
	Line, Column int
}

// Error is what is wrong, where, and what to do about it. Line and Column are 0 only where there
// is no text to point into (a file that cannot be read), Column also in Solaris files, where the
// cause begins with the word.
type Error struct {
	File         string
	Line, Column int
	Cause        string
	Advice       string
}

// Error is one line, FILE:LINE:COLUMN: CAUSE; WHAT TO DO (contract section 2).
func (e *Error) Error() string {
	switch {
	case e.Line == 0:
		return fmt.Sprintf("%s: %s; %s", e.File, e.Cause, e.Advice)
	case e.Column == 0:
		return fmt.Sprintf("%s:%d: %s; %s", e.File, e.Line, e.Cause, e.Advice)
	}
	return fmt.Sprintf("%s:%d:%d: %s; %s", e.File, e.Line, e.Column, e.Cause, e.Advice)
}

// Warning is what does not keep the daemon from running.
type Warning struct {
	File         string
	Line, Column int
	Cause        string
	Advice       string
}

// String has the form of Error.
func (w Warning) String() string {
	return (*Error)(&w).Error()
}
