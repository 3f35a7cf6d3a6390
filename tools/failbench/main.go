// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/lab/flow"
	"github.com/ipmpd/ipmpd/tools/failbench/report"
	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// options come from flags, whose defaults come from the environment that make passes on.
type options struct {
	binary, out, only    string
	quick, strict        bool
	list, reportOnly     bool
	print                bool
	docs                 string
	n, headline, turnLen int
	long                 int
	minutes              int
}

func parse(args []string, env func(string) string) (options, error) {
	var o options
	set := func(name string) bool { v := env(name); return v != "" && v != "0" }
	minutes, err := strconv.Atoi(cmp.Or(env("MINUTES"), "0"))
	if err != nil || minutes < 0 {
		return o, fmt.Errorf("MINUTES=%s: not a number of minutes", env("MINUTES"))
	}
	f := flag.NewFlagSet("failbench", flag.ContinueOnError)
	f.StringVar(&o.binary, "ipmpd", cmp.Or(env("IPMPD"), "bin/ipmpd"), "the daemon's binary (IPMPD)")
	f.StringVar(&o.out, "out", "out/bench", "directory of the results")
	f.StringVar(&o.only, "only", env("ONLY"), "measure the cells CONTENDER.SCENARIO that match (ONLY)")
	f.BoolVar(&o.quick, "quick", set("QUICK"), "few failures for each cell (QUICK)")
	f.BoolVar(&o.strict, "strict", set("STRICT"), "exit 1 when a cell did not run (STRICT)")
	f.BoolVar(&o.list, "list", false, "name the cells and end")
	f.BoolVar(&o.reportOnly, "report", false, "write the report of what is there and end")
	f.BoolVar(&o.print, "print", false, "print each file as soon as its cell is finished, for test/vm, whose guest may not come to its end")
	f.StringVar(&o.docs, "docs", "", "write the report as this file, in place of report.md in -out")
	f.IntVar(&o.n, "n", 0, "failures of an ordinary cell")
	f.IntVar(&o.headline, "headline", 0, "failures of a headline cell")
	f.IntVar(&o.long, "long", 0, "failures of a cell whose sample takes seconds")
	f.IntVar(&o.minutes, "minutes", minutes, "minutes that ipmpd at 100 us is watched for, quiet and loaded; others a fifth of that (MINUTES)")
	f.IntVar(&o.turnLen, "turn", 0, "failures of a cell before the next contender's turn")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	return o, nil
}

func main() {
	flow.Child()
	burn()
	o, err := parse(os.Args[1:], os.Getenv)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
		// A second interrupt ends the process; the next lab sweeps up after it.
		context.AfterFunc(ctx, stop)
		err = benchmark(ctx, o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "failbench:", err)
		os.Exit(1)
	}
}

// planOf the options.
func planOf(o options) (plan, error) {
	p := full
	if o.quick {
		p = quick
	}
	if o.n > 0 {
		p.other, p.headline, p.long, p.blind = o.n, o.n, o.n, min(o.n, p.blind)
	}
	if o.long > 0 {
		p.long = o.long
	}
	if o.headline > 0 {
		p.headline = o.headline
	}
	if o.minutes > 0 {
		p.fullMinutes, p.minutes = o.minutes, max(1, o.minutes/5)
	}
	if o.turnLen > 0 {
		p.turn = o.turnLen
	}
	if o.only != "" {
		only, err := regexp.Compile(o.only)
		if err != nil {
			return p, fmt.Errorf("ONLY=%s: %w", o.only, err)
		}
		p.only = only
	}
	return p, nil
}

func benchmark(ctx context.Context, o options, log io.Writer) error {
	p, err := planOf(o)
	if err != nil {
		return err
	}
	cells, err := p.cells(entrants(o.binary), scenes())
	if err != nil {
		return err
	}
	if o.list {
		for _, c := range cells {
			fmt.Fprintf(log, "%-36s %3d\n", c.name(), c.want)
		}
		return nil
	}
	if !o.reportOnly {
		r := &run{plan: p, out: o.out, machine: machine(), commit: commit(), log: log, print: o.print, subjects: map[string]subject{}}
		err = r.all(ctx, cells)
	}
	missing, rerr := write(o, log)
	if err = errors.Join(err, rerr); err != nil {
		return err
	}
	if o.strict && missing > 0 {
		return fmt.Errorf("%d cells did not run or are damaged; see %s", missing, filepath.Join(o.out, "report.md"))
	}
	return nil
}

// write the report over all cells that are there. missing are those that did not run or are damaged.
func write(o options, log io.Writer) (missing int, err error) {
	out := o.out
	cells, damaged, err := result.LoadAll(filepath.Join(out, "cells"))
	if err != nil {
		return 0, err
	}
	cells = inOrder(cells, entrants(o.binary), scenes())
	missing = len(damaged)
	for _, c := range cells {
		if c.NotRun != "" {
			missing++
		}
	}
	for _, err := range damaged {
		fmt.Fprintln(log, err)
	}
	path, plots := filepath.Join(out, "report.md"), filepath.Join(out, "plots")
	if err := os.RemoveAll(plots); err != nil {
		return missing, err
	}
	if err := os.MkdirAll(plots, 0o755); err != nil {
		return missing, err
	}
	for _, p := range report.Plots(cells) {
		if err := os.WriteFile(filepath.Join(plots, p.Name), []byte(p.SVG), 0o644); err != nil {
			return missing, err
		}
	}
	if o.docs != "" {
		path = o.docs
	}
	folder, err := filepath.Rel(filepath.Dir(path), plots)
	if err != nil {
		return missing, err
	}
	if err := os.WriteFile(path, []byte(report.Markdown(cells, damaged, folder)), 0o644); err != nil {
		return missing, err
	}
	fmt.Fprintf(log, "%d cells, %d of them without a result: %s\n", len(cells)+len(damaged), missing, path)
	return missing, nil
}

// machine in a line: cells of another one are not mixed with these.
func machine() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	model := "unknown processor"
	text, _ := os.ReadFile("/proc/cpuinfo")
	count := 0
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(key) == "model name" {
			model, count = strings.TrimSpace(value), count+1
		}
	}
	return fmt.Sprintf("Linux %s, %d x %s", unix.ByteSliceToString(u.Release[:]), count, model)
}

// commit of the tree, where git is there to tell.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--exclude", "*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
