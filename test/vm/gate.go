// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

const (
	gateCells  = `^ipmpd-tcx-icmp-250us\.(carrier|silent)$`
	gateCuts   = 24
	tolerance  = 0.05
	resolution = 50_000 // ns; packets come every 100 us: carrier means of two trees alike in this differed by 44
	baselineAt = "test/vm/baseline.json"
	still      = 100_000_000 // ns; nothing of the guest may stand still for as long
	renew      = "make bench-gate RENEW=1"
)

// baseline of the gate: failover times by the guest's clock.
type baseline struct {
	Kernel string           `json:"kernel"`
	Cuts   int              `json:"cuts"`
	Mean   map[string]int64 `json:"mean_ns"` // by cell and side
}

// meanOf sorted times without the shortest and the longest. Not the median: times come in steps of the 100 us between
// packets, of carrier cuts some 150 and some 380, so that a median of a few jumps where one more is of the other kind.
func meanOf(sorted []int64) (mean int64) {
	inner := sorted[1 : len(sorted)-1]
	for _, v := range inner {
		mean += v
	}
	return mean / int64(len(inner))
}

// gate is a small cell of the benchmark, whose mean times are held to the committed ones. RENEW=1 writes these; TWICE=1
// boots a second guest, which has to do the same to the last digit.
func gate(ctx context.Context) error {
	m := measurement{name: "gate", cells: gateCells, n: gateCuts, limit: 20 * time.Minute}
	rep, err := m.run(ctx)
	if err != nil {
		return err
	}
	is, err := meansOf(rep)
	if err != nil {
		return err
	}
	if set("TWICE") {
		again, err := m.run(ctx)
		if err != nil {
			return err
		}
		if err := same(rep.files, again.files); err != nil {
			return err
		}
		fmt.Printf("gate: two runs left the same %d files, to the byte\n", len(rep.files))
	}
	if set("RENEW") {
		text, err := json.MarshalIndent(is, "", "  ")
		if err != nil {
			return err
		}
		fmt.Println("gate: wrote", baselineAt)
		return os.WriteFile(baselineAt, append(text, '\n'), 0o644)
	}
	text, err := os.ReadFile(baselineAt)
	if err != nil {
		return err
	}
	var was baseline
	if err := json.Unmarshal(text, &was); err != nil {
		return fmt.Errorf("read %s: %w", baselineAt, err)
	}
	lines, slower := compare(was, is)
	for _, line := range lines {
		fmt.Println("  " + line)
	}
	return slower
}

// meansOf the cells that a guest has left. One that is not complete is an error.
func meansOf(rep *report) (baseline, error) {
	b := baseline{Kernel: rep.release, Cuts: gateCuts, Mean: map[string]int64{}}
	for _, name := range slices.Sorted(maps.Keys(rep.files)) {
		if !strings.HasPrefix(name, "cells/") {
			continue
		}
		var c result.Cell
		if err := json.Unmarshal(rep.files[name], &c); err != nil {
			return b, fmt.Errorf("read %s: %w", name, err)
		}
		if c.NotRun != "" {
			return b, fmt.Errorf("%s was not run: %s", c.Name(), c.NotRun)
		}
		for i, sample := range c.Samples {
			if f := sample.Inbound; f != nil && f.SenderGap > still {
				return b, fmt.Errorf("%s: everything stood still for %d ms after cut %d; see docs/decisions/0026-waiting-without-a-place.md",
					c.Name(), f.SenderGap/1e6, i+1)
			}
		}
		for _, side := range []result.Side{result.Inbound, result.Outbound} {
			sum := c.Sum(side)
			if sum.N != gateCuts || sum.Unrecovered > 0 {
				return b, fmt.Errorf("%s: %d cuts of %d, the traffic did not come back after %d", c.Name(), sum.N, gateCuts, sum.Unrecovered)
			}
			b.Mean[c.Name()+" "+string(side)] = meanOf(c.Gaps(side))
		}
	}
	if len(b.Mean) == 0 {
		return b, errors.New("the guest left no cell")
	}
	return b, nil
}

// compare means with those before: a line for each, and an error when one is slower by more than the tolerance.
func compare(was, is baseline) (lines []string, err error) {
	var slower []string
	names := maps.Clone(was.Mean)
	maps.Copy(names, is.Mean)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		old, now := was.Mean[name], is.Mean[name]
		if old == 0 || now == 0 {
			slower = append(slower, name+" is not in both")
			continue
		}
		change := float64(now-old) / float64(old)
		allowed := max(tolerance*float64(old), resolution)
		line := fmt.Sprintf("%-42s mean %7.1f us, was %7.1f us: %+.1f %%", name, float64(now)/1e3, float64(old)/1e3, 100*change)
		lines = append(lines, line)
		switch {
		case float64(now-old) > allowed:
			slower = append(slower, line)
		case float64(old-now) > allowed:
			lines = append(lines, "  faster: hold on to it with `"+renew+"`")
		}
	}
	if len(slower) == 0 {
		return lines, nil
	}
	cause := ""
	if was.Kernel != is.Kernel {
		cause = fmt.Sprintf(" (the baseline is of Linux %s, this is %s)", was.Kernel, is.Kernel)
	}
	return lines, fmt.Errorf("slower than %s by more than %.0f %% and 50 us%s:\n  %s\nfind out why; if it is meant to be so, write a new baseline with `%s` and commit it",
		baselineAt, 100*tolerance, cause, strings.Join(slower, "\n  "), renew)
}

// same files to the byte.
func same(a, b map[string][]byte) error {
	var differ []string
	names := maps.Clone(a)
	maps.Copy(names, b)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !bytes.Equal(a[name], b[name]) || (a[name] == nil) != (b[name] == nil) {
			differ = append(differ, name)
		}
	}
	if len(differ) > 0 {
		return fmt.Errorf("two runs differ in %s", strings.Join(differ, ", "))
	}
	return nil
}
