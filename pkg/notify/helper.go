// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// HelperName is the name (args[0]) by which the binary is the helper.
const HelperName = "ipmpd-notify"

// Serve is the helper: it runs one program after the other as r asks, and answers each on w. At the end
// of r (the daemon is gone) it finishes what it runs; at the end of ctx it kills that.
func Serve(ctx context.Context, r io.Reader, w io.Writer) error {
	// The death of a program's parent thread is its own (Pdeathsig): it must not be one that Go ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The daemon's threads run before others' (cmd/ipmpd, nice.go). Programs are others: the group is
	// the helper's own, with all its threads.
	const ordinary = 20 // what the system call makes of niceness 0; more is before others
	if is, err := unix.Getpriority(unix.PRIO_PGRP, 0); err == nil && is > ordinary && unix.Getpgrp() == os.Getpid() {
		if err := unix.Setpriority(unix.PRIO_PGRP, 0, 0); err != nil {
			return fmt.Errorf("set niceness 0: %w", err)
		}
	}
	// The kernel would show it as `exe`.
	if err := os.WriteFile("/proc/self/comm", []byte(HelperName), 0); err != nil {
		return fmt.Errorf("set the process's name: %w", err)
	}
	if err := closeInherited(); err != nil {
		return err
	}
	in, out := json.NewDecoder(r), json.NewEncoder(w)
	for {
		var ask request
		if err := in.Decode(&ask); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read what to run: %w", err)
		}
		answer := run(ctx, ask)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := out.Encode(answer); err != nil {
			return fmt.Errorf("tell the outcome: %w", err)
		}
	}
}

// closeInherited closes what others had left open in the daemon: it is neither the helper's, which may
// outlive a daemon that is killed, nor the programs'. Go's own files are marked close-on-exec.
func closeInherited() error {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list open files: %w", err)
	}
	for _, f := range list {
		fd, err := strconv.Atoi(f.Name())
		if err != nil || fd <= 2 {
			continue
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd)
		}
	}
	return nil
}

// slack is what a helper may take longer than the program that it runs.
const slack = 5 * time.Second

// helper is the daemon's end of the process.
type helper struct {
	cmd     *exec.Cmd
	to      *os.File
	from    *os.File
	answers *json.Decoder
	ended   chan struct{} // closed when the process is reaped
}

// startHelper starts this binary under its other name.
func startHelper() (*helper, error) {
	theirs, to, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	from, answer, err := os.Pipe()
	if err != nil {
		_ = errors.Join(theirs.Close(), to.Close())
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	h := &helper{to: to, from: from, answers: json.NewDecoder(from), ended: make(chan struct{})}
	// What runs, also when another version has been installed meanwhile.
	h.cmd = exec.Command("/proc/self/exe")
	h.cmd.Args = []string{HelperName}
	h.cmd.Dir, h.cmd.Env = "/", []string{"GOMAXPROCS=1"}
	h.cmd.Stdin, h.cmd.Stdout, h.cmd.Stderr = theirs, answer, os.Stderr
	// Its own group: a ^C is for the daemon, which says when the end is.
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = h.cmd.Start()
	_ = errors.Join(theirs.Close(), answer.Close())
	if err != nil {
		_ = errors.Join(to.Close(), from.Close())
		return nil, fmt.Errorf("start %s: %w", HelperName, err)
	}
	go func() {
		_ = h.cmd.Wait()
		close(h.ended)
	}()
	return h, nil
}

// ask for a run and wait for its outcome; until ctx ends.
func (h *helper) ask(ctx context.Context, r request) (outcome, error) {
	stop := context.AfterFunc(ctx, func() { _ = h.from.SetReadDeadline(time.Now()) })
	defer stop()
	deadline := time.Now().Add(r.Limit + slack)
	_ = h.to.SetWriteDeadline(deadline)
	_ = h.from.SetReadDeadline(deadline)
	if ctx.Err() != nil { // it may have ended just before the deadline was set
		return outcome{}, ctx.Err()
	}
	if err := json.NewEncoder(h.to).Encode(r); err != nil {
		return outcome{}, fmt.Errorf("ask %s: %w", HelperName, err)
	}
	var o outcome
	if err := h.answers.Decode(&o); err != nil {
		return outcome{}, fmt.Errorf("wait for %s: %w", HelperName, err)
	}
	return o, nil
}

// stop ends the helper, by the end of its input, and what it runs, by a signal.
func (h *helper) stop() {
	_ = h.to.Close()
	_ = h.cmd.Process.Signal(syscall.SIGTERM)
	patience := time.NewTimer(time.Second)
	defer patience.Stop()
	select {
	case <-h.ended:
	case <-patience.C:
		_ = h.cmd.Process.Kill()
		<-h.ended
	}
	_ = h.from.Close()
}
