// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// logSize is the number of entries kept: 52 s at 10 kHz. A power of two.
const logSize = 1 << 19

// shared is one flow's memory, written by the child and read by the parent. count is raised after
// its entry is written.
type shared struct {
	sent   atomic.Uint64
	errors atomic.Uint64 // sends that the kernel refused
	late   atomic.Uint64 // ticks that the sender skipped because it was late

	received   atomic.Uint64 // arrivals, duplicates included
	duplicates atomic.Uint64
	// drained: what had arrived by then is logged, CLOCK_MONOTONIC ns. A starved receiver is late.
	drained atomic.Int64

	tx [logSize]int64 // by sequence number
	rx [logSize]arrival
}

type arrival struct {
	seq uint64
	at  int64
}

const sharedSize = int(unsafe.Sizeof(shared{}))

// newShared makes the memory as a file that a child can inherit.
func newShared() (*shared, int, error) {
	fd, err := unix.MemfdCreate("flow", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, 0, fmt.Errorf("memfd: %w", err)
	}
	if err := unix.Ftruncate(fd, int64(sharedSize)); err != nil {
		return nil, 0, fmt.Errorf("size memfd: %w", err)
	}
	s, err := mapShared(fd, 0)
	return s, fd, err
}

func mapShared(fd, flags int) (*shared, error) {
	mem, err := unix.Mmap(fd, 0, sharedSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|flags)
	if err != nil {
		return nil, fmt.Errorf("map flow log: %w", err)
	}
	return (*shared)(unsafe.Pointer(&mem[0])), nil
}

func (s *shared) unmap() error {
	return unix.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(s)), sharedSize))
}
