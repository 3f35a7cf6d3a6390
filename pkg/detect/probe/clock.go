// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	minInterval = 50 * time.Microsecond
	maxInterval = time.Hour
)

// nowNs is CLOCK_MONOTONIC in ns, the clock of bpf_ktime_get_ns. A raw system call does not give
// the Go scheduler an occasion to take the thread's processor away.
func nowNs() int64 {
	var ts unix.Timespec
	_, _, _ = unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_MONOTONIC, uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano()
}

// sleepUntil an absolute time. A signal may end it early: the caller looks at the clock anyhow.
func sleepUntil(ns int64) {
	ts := unix.NsecToTimespec(ns)
	_, _, _ = unix.Syscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME,
		uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
}
