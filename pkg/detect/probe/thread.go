// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Realtime says how a thread is scheduled. The zero value is an ordinary locked thread.
type Realtime struct {
	Priority int   // SCHED_FIFO 1 .. 98; 0: ordinary scheduling
	CPUs     []int // to be pinned to; empty: no pinning
}

// RealtimeThread runs fn on a locked OS thread of its own with timer slack 1 ns, and waits for it.
// What the kernel does not permit is reported to warn (nil: dropped) and done without: a prober
// at ordinary priority detects later, but it detects. The thread ends with fn.
func RealtimeThread(rt Realtime, warn func(error), fn func() error) error {
	if warn == nil {
		warn = func(error) {}
	}
	done := make(chan error, 1)
	go func() {
		// Never unlocked: Go ends a thread whose goroutine ends locked, and with it its priority.
		runtime.LockOSThread()
		rt.apply(warn)
		done <- fn()
	}()
	return <-done
}

func (rt Realtime) apply(warn func(error)) {
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		warn(fmt.Errorf("set timer slack: %w", err))
	}
	if len(rt.CPUs) > 0 {
		var set unix.CPUSet
		for _, cpu := range rt.CPUs {
			set.Set(cpu)
		}
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			warn(fmt.Errorf("pin thread to CPUs %v: %w", rt.CPUs, err))
		}
	}
	if rt.Priority > 0 {
		attr := unix.SchedAttr{
			Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: uint32(rt.Priority),
			Flags: unix.SCHED_FLAG_RESET_ON_FORK, // Go clones new threads from any thread
		}
		if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
			warn(fmt.Errorf("set SCHED_FIFO priority %d: %w", rt.Priority, err))
		}
	}
}

// above puts the calling thread one priority above rt, where that is permitted; it returns whether the thread
// is real-time.
func (rt Realtime) above() bool {
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil || attr.Policy != unix.SCHED_FIFO {
		return false
	}
	attr.Priority = uint32(rt.Priority + 1)
	_ = unix.SchedSetAttr(0, attr, 0) // as far as RLIMIT_RTPRIO goes
	return true
}
