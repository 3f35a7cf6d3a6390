// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ipmpd/ipmpd/test/vm/plan"
)

// benchKernel has bonding and team, and is new enough for all that ipmpd can do.
const benchKernel = "6.12"

// The contenders of the comparison, all in one run of one guest. Rounds of 100 us are not among them: there the
// emulated processor, of 10^9 instructions a second, has nothing left beside three flows of 10 kHz.
const benchCells = `^(ipmpd-tcx-icmp-(150us|(150|200)us-2-misses|250us|1ms)|ipmpd-xdp-icmp-250us|bonding-.*|team-.*)\.(carrier|silent|silent-tx)$` +
	// All other scenarios for what stands for its kind, but the minutes, and the 10,000 routes: to give them to a host and
	// to adopt them takes the emulated processor many minutes.
	`|^(ipmpd-tcx-icmp-(150us|1ms)|bonding-miimon-1|bonding-arp-1-keep)\.(silent-rx|second|bulk|busy|addresses-.*|switch.*|target-dies|stall-.*|loss-.*|first-lost|flap|planned|killed)$`

// benchLong is how often a scenario is played whose sample takes seconds.
const benchLong = 3

// measurement is what of tools/failbench runs in a guest.
type measurement struct {
	name  string // of its files below out/vm
	cells string // pattern
	n     int    // failures of each cell
	limit time.Duration
	here  string // results of this folder are taken along, and what is finished there is not measured again
}

// bench is `make bench-vm`: the whole comparison, in out/bench/vm. ONLY and N, or QUICK=1, make it shorter.
func bench(ctx context.Context) error {
	const dir = "out/bench/vm"
	m := measurement{name: "bench", cells: benchCells, n: 12, limit: 3 * time.Hour, here: dir}
	if set("QUICK") {
		m.n = 3
	}
	if only := os.Getenv("ONLY"); only != "" {
		m.cells = only
	}
	if text := os.Getenv("N"); text != "" {
		var err error
		if m.n, err = strconv.Atoi(text); err != nil || m.n < 1 {
			return fmt.Errorf("failures of each cell: N=%s is not a number above 0", text)
		}
	}
	rep, err := m.run(ctx)
	if err != nil {
		if rep != nil && len(rep.files) > 0 {
			err = errors.Join(err, rep.save(dir),
				fmt.Errorf("%d finished cells are in %s; the same command goes on, as long as the daemon is the same", len(rep.files), dir))
		}
		return err
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, "plots")), rep.save(dir)); err != nil {
		return err
	}
	fmt.Println(filepath.Join(dir, "report.md"))
	if set("STRICT") && bytes.Contains(rep.files["report.md"], []byte(": not run: ")) {
		return errors.New("a cell did not run; see the report")
	}
	return nil
}

func set(name string) bool { v := os.Getenv(name); return v != "" && v != "0" }

// run it in a guest.
func (m measurement) run(ctx context.Context) (*report, error) {
	k, err := kernelOf(benchKernel)
	if err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp("", "ipmpd-vm-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	binary := filepath.Join(work, "failbench")
	if err := static("build", binary, "./tools/failbench"); err != nil {
		return nil, err
	}
	n := strconv.Itoa(m.n)
	c := newCargo(plan.Program{
		Name: "failbench", Path: "/bin/failbench", Dir: "/root", Seconds: 24 * 3600,
		Args: []string{"-ipmpd", "/bin/ipmpd", "-out", "/keep", "-only", m.cells, "-n", n, "-long", strconv.Itoa(min(m.n, benchLong)), "-turn", n, "-print"},
	})
	c.plan.Keep = "/keep"
	c.dirs = append(c.dirs, "keep")
	c.file("/bin/failbench", binary)
	if err := c.basics(work); err != nil {
		return nil, err
	}
	if m.here != "" {
		files, err := filepath.Glob(filepath.Join(m.here, "cells", "*.json"))
		if err != nil {
			return nil, err
		}
		for _, path := range files {
			c.file("/keep/cells/"+filepath.Base(path), path)
		}
	}
	for _, name := range []string{"teamd", "teamdctl", "iperf3"} {
		if _, err := exec.LookPath(name); err == nil { // else its cells say that they are not run, and why
			c.tools = append(c.tools, name)
		}
	}
	if err := os.MkdirAll("out/vm", 0o755); err != nil {
		return nil, err
	}
	begun := time.Now()
	rep, out, err := launch(ctx, c, k, filepath.Join("out/vm", m.name), m.limit)
	if err != nil {
		return rep, err
	}
	os.Stdout.Write(rep.said)
	fmt.Printf("Linux %s, %d s of this machine's time; %s\n", rep.release, int(time.Since(begun).Seconds()), out)
	if wrong := rep.judge(nil); len(wrong) > 0 {
		return rep, errors.New(strings.Join(wrong, "\n  "))
	}
	return rep, nil
}
