// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"strings"
)

// Level is how much a finding matters.
type Level uint8

const (
	// OK is what was looked at and is as it should be.
	OK Level = iota
	// Note is good to know, and nothing has to be done.
	Note
	// Warning: `run` runs, but with a substitute, or something will not move.
	Warning
	// Error: `run` would not run, or not as the file says.
	Error
)

func (l Level) String() string { return [...]string{"ok", "note", "warning", "error"}[l] }

// Finding is one thing that was found.
type Finding struct {
	Level Level
	// About is a member, or a part of the host: kernel, rights, rules ...
	About string
	// Text is what it is and why it matters, in one line.
	Text string
	// Advice is what to do, a line each; none: nothing has to be done.
	Advice []string
}

// Group is what the findings need of a configured group.
type Group struct {
	Name    string
	Members []string
}

func ok(about, format string, args ...any) Finding {
	return Finding{Level: OK, About: about, Text: fmt.Sprintf(format, args...)}
}

func note(about, format string, args ...any) Finding {
	return Finding{Level: Note, About: about, Text: fmt.Sprintf(format, args...)}
}

func warning(about, format string, args ...any) Finding {
	return Finding{Level: Warning, About: about, Text: fmt.Sprintf(format, args...)}
}

func failure(about, format string, args ...any) Finding {
	return Finding{Level: Error, About: about, Text: fmt.Sprintf(format, args...)}
}

// do adds advice.
func (f Finding) do(lines ...string) Finding {
	f.Advice = append(f.Advice, lines...)
	return f
}

// most findings of one kind; a firewall may have thousands of rules.
const most = 8

// atMost shortens a list and says that it did.
func atMost(found []Finding, about, what string) []Finding {
	if len(found) <= most {
		return found
	}
	return append(found[:most:most], note(about, "and %d more %s like these", len(found)-most, what))
}

// brace writes names as a shell would: hme0, or {hme0,hme1}.
func brace(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return "{" + strings.Join(names, ",") + "}"
}
