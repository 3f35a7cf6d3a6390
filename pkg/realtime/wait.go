// SPDX-License-Identifier: Apache-2.0

package realtime

import (
	"unsafe" // for go:linkname too

	"golang.org/x/sys/unix"
)

//go:linkname entersyscallblock runtime.entersyscallblock
func entersyscallblock()

//go:linkname exitsyscall runtime.exitsyscall
func exitsyscall()

// Never is the time of a Wait without end.
const Never = int64(-1)

// Wait until a descriptor can be read, this one or the other (-1: there is no other), or for so many ns
// (0: look only). A signal may end it early, and whoever reads then must not block.
//
// It gives the thread's place in Go's scheduler back first. In an ordinary system call Go's monitor thread
// takes it away after a while, and holds the goroutine's state for a moment to do so (runtime,
// setBlockOnExitSyscall). A real-time thread that wakes up on the monitor's CPU in that moment waits for the
// state in a loop, and keeps the monitor off the CPU: on a machine with one, for the 950 ms after which
// the kernel lets others run. docs/decisions/0026.
//
//go:nosplit
//go:norace
func Wait(fd, other int, ns int64) error {
	fds := [2]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(other), Events: unix.POLLIN}}
	var limit unix.Timespec
	timeout := unsafe.Pointer(nil)
	if ns >= 0 {
		limit = unix.Timespec{Sec: ns / 1e9, Nsec: ns % 1e9}
		timeout = unsafe.Pointer(&limit)
	}
	entersyscallblock()
	_, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds)), uintptr(len(fds)), uintptr(timeout), 0, 0, 0)
	exitsyscall()
	if errno != 0 && errno != unix.EINTR {
		return errno
	}
	return nil
}
