// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/ipmpd/ipmpd/test/vm/plan"
)

// needs is how a test says that this kernel cannot have what it tests.
var needs = regexp.MustCompile(`needs (Linux [0-9]+\.[0-9]+|a kernel without PREEMPT_RT)[^\n]*`)

// outcome of one program in the guest.
type outcome struct {
	pkg    string
	end    string            // "ok" or why not; "": it never ended
	passed []string          // tests and rows
	failed []string          // tests and rows
	lacks  map[string]string // skipped, by name: what it needs
	hidden []string          // skipped without saying so
}

// report of one kernel.
type report struct {
	release  string
	programs []*outcome
	trouble  []string // of the kernel's log
	failed   string   // why the guest could not go on
	files    map[string][]byte
	said     []byte // by programs
	done     bool
}

// count a verdict.
func (o *outcome) count(verdict, name, said string) {
	switch verdict {
	case "PASS":
		o.passed = append(o.passed, name)
	case "FAIL":
		o.failed = append(o.failed, name)
	default:
		if why := needs.FindString(said); why != "" {
			o.lacks[name] = why
		} else {
			o.hidden = append(o.hidden, name)
		}
	}
}

var nowRunning = regexp.MustCompile(`^=== (?:RUN|NAME|CONT)\s+(\S+)`)

var verdictLine = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+)`)

// parse what a guest has printed.
func parse(r io.Reader) (*report, error) {
	rep := &report{files: map[string][]byte{}}
	var now *outcome
	file := ""                               // that is being read
	var read []byte                          // of it
	running, said := "", map[string]string{} // the test that prints, what each has printed
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		switch {
		case strings.HasPrefix(line, plan.Kernel):
			rep.release = line[len(plan.Kernel):]
		case strings.HasPrefix(line, plan.Begin):
			now = &outcome{pkg: line[len(plan.Begin):], lacks: map[string]string{}}
			running, said = "", map[string]string{}
			rep.programs = append(rep.programs, now)
		case strings.HasPrefix(line, plan.End):
			_, end, _ := strings.Cut(line[len(plan.End):], " ")
			if now != nil {
				now.end = end
			}
			now = nil
		case strings.HasPrefix(line, plan.File):
			file, read = line[len(plan.File):], []byte{}
		case line == plan.EOF:
			rep.files[file] = read // one that does not end is none
			file = ""
		case file != "":
			var err error
			if read, err = base64.StdEncoding.AppendDecode(read, []byte(line)); err != nil {
				return nil, fmt.Errorf("the guest's file %s: %w", file, err)
			}
		case strings.HasPrefix(line, plan.Trouble):
			rep.trouble = append(rep.trouble, line[len(plan.Trouble):])
		case strings.HasPrefix(line, plan.Failed):
			rep.failed = line[len(plan.Failed):]
		case line == plan.Done:
			rep.done = true
		case now != nil:
			rep.said = append(append(rep.said, line...), '\n')
			if m := nowRunning.FindStringSubmatch(line); m != nil {
				running = m[1]
			} else if m := verdictLine.FindStringSubmatch(line); m != nil {
				now.count(m[1], m[2], said[m[2]])
			} else {
				// The reason of a skip stands before the verdict.
				said[running] += line + "\n"
			}
		}
	}
	return rep, lines.Err()
}

// judge says what is wrong with a report; nothing is a pass.
func (r *report) judge(expected map[string][]string) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if r.failed != "" {
		say("the guest could not go on: %s", r.failed)
	}
	if !r.done {
		say("the guest did not come to its end")
	}
	ran := map[string]*outcome{}
	for _, p := range r.programs {
		ran[p.pkg] = p
		if p.end != "ok" {
			say("%s: ended with %q", p.pkg, p.end)
		}
		for _, name := range p.failed {
			say("%s: %s failed", p.pkg, name)
		}
		for _, name := range p.hidden {
			say("%s: %s was skipped and does not say which kernel it needs", p.pkg, name)
		}
	}
	for pkg, names := range expected {
		for _, name := range names {
			p := ran[pkg]
			if p == nil || !slices.Contains(p.passed, name) && !slices.Contains(p.failed, name) && p.lacks[name] == "" {
				say("%s: %s was not run", pkg, name)
			}
		}
	}
	for _, line := range r.trouble {
		say("kernel: %s", line)
	}
	slices.Sort(wrong)
	return wrong
}

// print the row of the matrix.
func (r *report) print(w io.Writer, expected map[string][]string) {
	for _, p := range r.programs {
		tests := 0
		for _, name := range p.passed {
			if slices.Contains(expected[p.pkg], name) {
				tests++
			}
		}
		fmt.Fprintf(w, "  %-18s %3d of %3d tests passed, %4d PASS lines, %d failed, %d need another kernel\n",
			p.pkg, tests, len(expected[p.pkg]), len(p.passed), len(p.failed), len(p.lacks))
		for _, name := range slices.Sorted(maps.Keys(p.lacks)) {
			fmt.Fprintf(w, "    %s: %s\n", name, p.lacks[name])
		}
	}
}
