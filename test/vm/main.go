// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// limit of one guest on this machine's clock.
const limit = 10 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	command := ""
	if len(os.Args) > 1 {
		command = os.Args[1]
	}
	switch command {
	case "":
		err = matrix(ctx, whole())
	case "fetch":
		for _, k := range kernels {
			_, fetched := kernelOf(k.name)
			err = errors.Join(err, fetched)
		}
	case "smoke":
		err = matrix(ctx, smoke)
	case "bench":
		err = bench(ctx)
	case "gate":
		err = gate(ctx)
	case "exec":
		err = execute(ctx, os.Args[2:])
	default:
		err = fmt.Errorf("unknown command %q; use fetch, smoke, bench, gate or exec, or none for the matrix", command)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		os.Exit(1)
	}
}

// matrix of kernels and guests.
func matrix(ctx context.Context, set []guest) error {
	only := map[string]bool{}
	for _, pkg := range split(os.Getenv("ONLY")) {
		only[pkg] = true
	}
	list := asked(set, only, os.Getenv("RUN"))
	if len(list) == 0 {
		return fmt.Errorf("ONLY=%s names no package of the matrix", os.Getenv("ONLY"))
	}
	out := "out/vm"
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "ipmpd-vm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	b, err := build(work, list)
	if err != nil {
		return err
	}
	ran := 0
	var failed []string
	for _, k := range kernels {
		if want := os.Getenv("KERNEL"); want != "" && want != k.name {
			continue
		}
		ran++
		if err := one(ctx, b, out, k.name); err != nil {
			fmt.Fprintf(os.Stderr, "vm: %s: %v\n", k.name, err)
			failed = append(failed, k.name)
		}
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
	}
	if ran == 0 {
		return fmt.Errorf("KERNEL=%s is not in the matrix; use 6.1, 6.12 or 6.12-rt", os.Getenv("KERNEL"))
	}
	if len(failed) > 0 {
		return fmt.Errorf("FAILED on %s", strings.Join(failed, ", "))
	}
	return nil
}

// one kernel of the matrix: a guest for each list of suites.
func one(ctx context.Context, b *built, dir, name string) error {
	k, err := kernelOf(name)
	if err != nil {
		return err
	}
	fmt.Printf("%s: Linux %s\n", k.name, k.release)
	var errs []error
	for _, g := range b.guests {
		errs = append(errs, boot(ctx, b, k, g, dir))
	}
	return errors.Join(errs...)
}

// boot a kernel for one guest.
func boot(ctx context.Context, b *built, k *kernel, g guest, dir string) error {
	c, err := b.cargo(g)
	if err != nil {
		return err
	}
	begun := time.Now()
	rep, out, err := launch(ctx, c, k, filepath.Join(dir, k.name+"-"+g.name), limit)
	if err != nil {
		return err
	}
	expected := map[string][]string{}
	for _, s := range g.suites {
		expected[s.pkg] = b.expected[s.name()]
	}
	rep.print(os.Stdout, expected)
	fmt.Printf("    %d s; %s\n", int(time.Since(begun).Seconds()), out)
	for _, s := range g.suites {
		for _, name := range slices.Sorted(maps.Keys(s.without)) {
			fmt.Printf("    %s: left out: %s\n", name, s.without[name])
		}
	}
	if wrong := rep.judge(expected); len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "\n  "))
	}
	return nil
}

// launch a guest, and read what it has printed, which is in the file out. The report of one that did not come to its
// end is what was printed until then.
func launch(ctx context.Context, c *cargo, k *kernel, name string, limit time.Duration) (rep *report, out string, err error) {
	content, err := c.initramfs(k)
	if err != nil {
		return nil, "", err
	}
	initramfs := name + ".initramfs"
	if err := os.WriteFile(initramfs, content, 0o644); err != nil {
		return nil, "", err
	}
	defer os.Remove(initramfs)
	out, ended := emulate(ctx, k, initramfs, name, limit)
	f, err := os.Open(out)
	if err != nil {
		return nil, out, errors.Join(ended, err)
	}
	defer f.Close()
	rep, err = parse(f)
	return rep, out, errors.Join(ended, err)
}
