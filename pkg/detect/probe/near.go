// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// nearEvery is how often the prober looks whether the kernel has moved it.
const nearEvery = 10 * time.Millisecond

// near keeps another thread on the CPU that the prober runs on. A verdict is taken there, by a timer that
// a round has started: who is woken there needs no other CPU, which may have to wake up itself first
// (decision 20).
type near struct {
	thread atomic.Int32 // its id; 0: nobody's

	// Of the prober's thread.
	kept int32
	cpu  uint32
	due  int64
}

// keep the thread that calls near the prober's, wherever that goes. It has to be a real-time thread: an
// ordinary one that is held on one CPU waits for others there.
func (n *near) keep() { n.thread.Store(int32(unix.Gettid())) }

// leave ends that, if it is still about the calling thread.
func (n *near) leave() { n.thread.CompareAndSwap(int32(unix.Gettid()), 0) }

// follow puts the other thread where the calling one is, when it has moved.
//
//go:nosplit
//go:norace
func (n *near) follow(now int64) {
	thread := n.thread.Load()
	if thread == 0 || now < n.due {
		return
	}
	n.due = now + int64(nearEvery)
	var cpu uint32
	_, _, errno := unix.RawSyscall6(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0, 0, 0, 0)
	var set unix.CPUSet
	if errno != 0 || thread == n.kept && cpu == n.cpu || int(cpu/64) >= len(set) {
		return
	}
	set[cpu/64] = 1 << (cpu % 64)
	n.kept, n.cpu = thread, cpu
	// Where it is not permitted the thread stays what it is, free to go anywhere.
	_, _, _ = unix.RawSyscall6(unix.SYS_SCHED_SETAFFINITY, uintptr(thread), unsafe.Sizeof(set), uintptr(unsafe.Pointer(&set)), 0, 0, 0)
}
