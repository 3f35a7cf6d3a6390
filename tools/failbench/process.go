// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/ipmpd/ipmpd/test/lab"
)

// process of a contender or of a load. It dies with this one.
type process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// start a program in a namespace, nil: this process's own, with its output in a file.
func start(ns *lab.Netns, log string, cmd *exec.Cmd) (*process, error) {
	f, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &process{name: cmd.Path, log: log, cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never given back: the death signal is of this thread's end
		defer close(p.done)
		err := error(nil)
		if ns == nil {
			err = cmd.Start()
		} else {
			err = ns.Enter()
			if err == nil {
				err = cmd.Start()
			}
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// ended tells whether it has ended by itself, and with what words.
func (p *process) ended() error {
	select {
	case <-p.done:
		text, _ := os.ReadFile(p.log)
		return fmt.Errorf("%s has ended: %v: %s", p.name, p.err, tail(string(text), 300))
	default:
		return nil
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// stop it and all of its group, first with good words.
func (p *process) stop() error {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := syscall.Kill(-p.cmd.Process.Pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("end %s: %w", p.name, err)
		}
		select {
		case <-p.done:
			// What it has started itself may go on without it.
			_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
			return nil
		case <-time.After(3 * time.Second):
		}
	}
	return fmt.Errorf("%s goes on after SIGKILL", p.name)
}

// stopAll ends processes, the last one first.
func stopAll(list []*process) error {
	var errs []error
	for i := len(list) - 1; i >= 0; i-- {
		errs = append(errs, list[i].stop())
	}
	return errors.Join(errs...)
}
