// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ipmpd/ipmpd/test/vm/plan"
)

// execute one static program with its arguments in a guest, and print what it says. It finds the daemon in
// /bin/ipmpd. What it leaves in /keep is in out/vm/exec afterwards.
func execute(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("exec", flag.ContinueOnError)
	name := f.String("kernel", "6.12", "6.1, 6.12 or 6.12-rt")
	tools := f.String("tools", "", "programs of this machine that it calls, with commas between")
	pack := f.String("pack", "", "files that it finds in /bin, with commas between")
	limit := f.Duration("limit", 10*time.Minute, "of this machine's time")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return errors.New("exec: no program given; go run ./test/vm exec [-kernel 6.12] PROGRAM [ARGUMENTS]")
	}
	k, err := kernelOf(*name)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "ipmpd-vm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	path := "/bin/" + filepath.Base(f.Arg(0))
	c := newCargo(plan.Program{Name: f.Arg(0), Path: path, Dir: "/root", Args: f.Args()[1:], Seconds: 24 * 3600})
	c.file(path, f.Arg(0))
	if err := c.basics(work); err != nil {
		return err
	}
	c.tools = append(c.tools, split(*tools)...)
	for _, here := range split(*pack) {
		c.file("/bin/"+filepath.Base(here), here)
	}
	c.plan.Keep = "/keep"
	c.dirs = append(c.dirs, "keep")
	dir := filepath.Join("out/vm", "exec")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	begun := time.Now()
	rep, out, err := launch(ctx, c, k, dir, *limit)
	if err != nil {
		return err
	}
	fmt.Printf("%s%s: %d s; %s\n", rep.said, rep.release, int(time.Since(begun).Seconds()), out)
	if err := rep.save(dir); err != nil {
		return err
	}
	if wrong := rep.judge(nil); len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "\n  "))
	}
	return nil
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// basics that each guest has: its first process and the daemon.
func (c *cargo) basics(work string) error {
	for _, p := range []struct{ pkg, name, to string }{
		{"./test/vm/guest", "init", "/init"}, {"./cmd/ipmpd", "ipmpd", "/bin/ipmpd"},
	} {
		binary := filepath.Join(work, p.name)
		if err := static("build", binary, p.pkg); err != nil {
			return err
		}
		c.file(p.to, binary)
	}
	return nil
}

// save the guest's files below a folder.
func (r *report) save(dir string) error {
	for name, content := range r.files {
		if !filepath.IsLocal(name) {
			return fmt.Errorf("the guest's file %s is not below its folder", name)
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
