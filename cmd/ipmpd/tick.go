// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ticker is a time.Ticker by timerfd. A timer of Go's wakes the process twice, as it waits in whole ms,
// and its monitor thread polls in between: all of that together is as much as a tick's own work.
type ticker struct {
	C    <-chan struct{} // a tick that nobody takes is not kept for later, but for one
	file *os.File
	raw  syscall.RawConn
	done chan struct{}
}

// newTicker ticks until Stop.
func newTicker(interval time.Duration) (*ticker, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make timerfd: %w", err)
	}
	c := make(chan struct{}, 1)
	t := &ticker{C: c, file: os.NewFile(uintptr(fd), "tick"), done: make(chan struct{})}
	if t.raw, err = t.file.SyscallConn(); err == nil {
		err = t.Reset(interval)
	}
	if err != nil {
		_ = t.file.Close()
		return nil, err
	}
	go t.hear(c)
	return t, nil
}

// Reset the interval; the next tick is one of it from now.
func (t *ticker) Reset(interval time.Duration) (err error) {
	ts := unix.NsecToTimespec(interval.Nanoseconds())
	controlled := t.raw.Control(func(fd uintptr) {
		err = unix.TimerfdSettime(int(fd), 0, &unix.ItimerSpec{Interval: ts, Value: ts}, nil)
	})
	if err == nil {
		err = controlled
	}
	if err != nil {
		return fmt.Errorf("set timerfd to %v: %w", interval, err)
	}
	return nil
}

// Stop ticking; no tick comes afterwards, but one may lie in C.
func (t *ticker) Stop() {
	_ = t.file.Close()
	<-t.done
}

// hear the ticks until the file is closed.
func (t *ticker) hear(c chan<- struct{}) {
	defer close(t.done)
	var count [8]byte
	for {
		err := t.raw.Read(func(fd uintptr) bool {
			// Raw: it does not block, and Go's monitor thread need not look after it.
			_, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&count)), unsafe.Sizeof(count))
			return errno != unix.EAGAIN
		})
		if err != nil {
			return
		}
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
