// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/bpf"
)

// Questions are members whose carrier should be asked for now: a set and an eventfd. Asking never
// blocks, never allocates, and asking twice is asking once; so the prober thread may do it.
type Questions struct {
	fd      int
	open    [bpf.Members / 64]atomic.Uint64
	ifindex [bpf.Members]atomic.Int64
	stopped atomic.Bool
}

// NewQuestions makes the set; close it after its Asker has ended.
func NewQuestions() (*Questions, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make eventfd for link questions: %w", err)
	}
	return &Questions{fd: fd}, nil
}

// Close gives the file descriptor back.
func (q *Questions) Close() error { return unix.Close(q.fd) }

// Ask for the carrier of a member (number) on an interface.
//
//go:nosplit
//go:norace
func (q *Questions) Ask(member, ifindex int) {
	q.ifindex[member].Store(int64(ifindex))
	bit := uint64(1) << (member % 64)
	if q.open[member/64].Or(bit)&bit == 0 {
		q.wake()
	}
}

//go:nosplit
//go:norace
func (q *Questions) wake() {
	one := uint64(1)
	// It can only fail when 2^64 - 2 questions are open, which is a wake-up already.
	_, _, _ = unix.RawSyscall6(unix.SYS_WRITE, uintptr(q.fd), uintptr(unsafe.Pointer(&one)), unsafe.Sizeof(one), 0, 0, 0)
}

// Asker answers Questions on a FIFO thread of its own.
type Asker struct {
	Questions *Questions
	Realtime  Realtime
	Warn      func(error) // what the kernel did not permit; may be nil

	// Carrier asks the kernel (IFLA_CARRIER of an RTM_GETLINK answer).
	Carrier func(ifindex int) (up bool, err error)
	// Answer gets the result, on the Asker's thread: answeredNs is CLOCK_MONOTONIC.
	Answer func(member, ifindex int, up bool, answeredNs int64)
	// Failed gets what Carrier could not answer; may be nil.
	Failed func(member, ifindex int, err error)
}

// Run answers until ctx ends, whose error it returns.
func (a *Asker) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		a.Questions.stopped.Store(true)
		a.Questions.wake()
	})
	defer stop()
	return RealtimeThread(a.Realtime, a.Warn, func() error {
		var buf [8]byte
		for !a.Questions.stopped.Load() {
			if _, err := unix.Read(a.Questions.fd, buf[:]); err != nil && err != unix.EINTR {
				return fmt.Errorf("wait for link questions: %w", err)
			}
			a.answerAll()
		}
		return ctx.Err()
	})
}

func (a *Asker) answerAll() {
	for i := range a.Questions.open {
		// Closed before they are answered: what is asked meanwhile is a new question.
		for set := a.Questions.open[i].Swap(0); set != 0; set &= set - 1 {
			a.answer(i*64 + bits.TrailingZeros64(set))
		}
	}
}

func (a *Asker) answer(member int) {
	ifindex := int(a.Questions.ifindex[member].Load())
	up, err := a.Carrier(ifindex)
	if err == nil {
		a.Answer(member, ifindex, up, nowNs())
	} else if a.Failed != nil {
		a.Failed(member, ifindex, err)
	}
}
