// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/vm/plan"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest: is process 1 of a virtual machine or nothing; run test/vm")
		os.Exit(2)
	}
	if err := begin(); err != nil {
		fmt.Println(plan.Failed + err.Error())
	}
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Println(plan.Failed + "power off: " + err.Error())
	}
	select {} // process 1 must not end
}

// begin what needs the kernel's file systems first.
func begin() error {
	if err := mounts(); err != nil {
		return err
	}
	out, err := port("/dev/ttyS1")
	if err != nil {
		return err
	}
	if err := work(out); err != nil {
		fmt.Fprintln(out, plan.Failed+err.Error())
	}
	_, err = fmt.Fprintln(out, plan.Done)
	drain(out)
	return err
}

func work(out *os.File) error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err
	}
	fmt.Fprintln(out, plan.Kernel+unix.ByteSliceToString(name.Release[:]))
	text, err := os.ReadFile(plan.Path)
	if err != nil {
		return err
	}
	var p plan.Plan
	if err := json.Unmarshal(text, &p); err != nil {
		return fmt.Errorf("read %s: %w", plan.Path, err)
	}
	for _, m := range p.Modules {
		if err := load(m); err != nil {
			return err
		}
	}
	for _, prog := range p.Programs {
		fmt.Fprintln(out, plan.Begin+prog.Name)
		end := "ok"
		if err := run(prog, out); err != nil {
			end = err.Error()
		}
		fmt.Fprintf(out, "\n%s%s %s\n", plan.End, prog.Name, end)
	}
	if err := keep(out, p.Keep); err != nil {
		return err
	}
	return trouble(out)
}

// keep prints the files below a folder.
func keep(out io.Writer, root string) error {
	if root == "" {
		return nil
	}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return plan.Print(out, name, content)
	})
}

func run(p plan.Program, out io.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(p.Seconds)*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.Path, p.Args...)
	cmd.Dir = p.Dir
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = 5 * time.Second
	return cmd.Run()
}

// load a module that the runner has unpacked.
func load(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && err != unix.EEXIST {
		return fmt.Errorf("load %s: %w", path, err)
	}
	return nil
}
