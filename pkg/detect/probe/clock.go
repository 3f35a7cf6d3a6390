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

// NowNs is CLOCK_MONOTONIC in ns, as all times here are. It costs no system call.
func NowNs() int64 { return nanotime() }

// nowNs is CLOCK_MONOTONIC in ns, the clock of bpf_ktime_get_ns.
//
//go:nosplit
//go:norace
func nowNs() int64 { return nanotime() }

const (
	futexWaitBitset = 9 | 128 // FUTEX_WAIT_BITSET of this process: until an absolute CLOCK_MONOTONIC time
	futexWake       = 1 | 128
	futexAll        = 0xffffffff
)

// sleep until an absolute time, or until the bell rings, or has rung since it was looked at. A signal
// may end it early too: the caller looks at the clock anyhow.
func (p *Prober) sleep(until int64, bell uint32) {
	ts := unix.Timespec{Sec: until / 1e9, Nsec: until % 1e9}
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&p.bell)), futexWaitBitset,
		uintptr(bell), uintptr(unsafe.Pointer(&ts)), 0, futexAll)
}

// sleepOutside is sleep where Go need not be told.
//
//go:nosplit
//go:norace
func (p *Prober) sleepOutside(until int64, bell uint32) {
	ts := unix.Timespec{Sec: until / 1e9, Nsec: until % 1e9}
	_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&p.bell)), futexWaitBitset,
		uintptr(bell), uintptr(unsafe.Pointer(&ts)), 0, futexAll)
}

// ring wakes the thread up: something has changed.
func (p *Prober) ring() {
	p.bell.Add(1)
	_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&p.bell)), futexWake, 1, 0, 0, 0)
}
