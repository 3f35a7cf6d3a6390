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
	"github.com/ipmpd/ipmpd/pkg/realtime"
)

// Questions are members whose carrier should be asked for now: a set and an eventfd. Asking never
// blocks, never allocates, and asking twice is asking once; so the prober thread may do it.
type Questions struct {
	fd      int
	open    [bpf.Members / 64]atomic.Uint64
	ifindex [bpf.Members]atomic.Int64
	stopped atomic.Bool

	watched atomic.Pointer[[]Watched]
	news    [bpf.Groups]atomic.Int64 // CLOCK_MONOTONIC ns of the newest, by group; 0: never
	strange atomic.Int64             // the same of links that are in no group
}

// NewQuestions makes the set; close it after its Asker has ended.
func NewQuestions() (*Questions, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
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

// Watch these members, and no others, whenever there are news.
func (q *Questions) Watch(list []Watched) {
	q.watched.Store(&list)
	q.wake()
}

// News of a group at a moment (CLOCK_MONOTONIC ns): something has happened to a link of its, or may have.
func (q *Questions) News(group int, at int64) { q.heard(&q.news[group], at) }

// Strange news: something has happened to a link that is in no group.
func (q *Questions) Strange(at int64) { q.heard(&q.strange, at) }

func (q *Questions) heard(news *atomic.Int64, at int64) {
	for was := news.Load(); was < at; was = news.Load() {
		if news.CompareAndSwap(was, at) {
			q.wake()
			return
		}
	}
}

// newsOf a group, and of links that are in none.
func (q *Questions) newsOf(group int) (own, strange int64) {
	return q.news[group].Load(), q.strange.Load()
}

// Asker answers Questions on a FIFO thread of its own.
type Asker struct {
	Questions *Questions
	Realtime  Realtime
	Warn      func(error) // what the kernel did not permit; may be nil

	// Carrier asks the kernel: is there carrier, and does it send over it?
	Carrier func(ifindex int) (up, sends bool, err error)
	// Answer gets the result, on the Asker's thread: answeredNs is CLOCK_MONOTONIC.
	Answer func(member, ifindex int, up, sends bool, answeredNs int64)
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
		q, s := a.Questions, &askTimes{}
		ask := func(w *Watched) { a.answer(w.Member, w.Ifindex) }
		for next := int64(0); !q.stopped.Load(); {
			if err := q.wait(next); err != nil {
				return fmt.Errorf("wait for link questions: %w", err)
			}
			a.answerAll()
			next = s.turn(nowNs(), q.watched.Load(), q.newsOf, ask)
		}
		return ctx.Err()
	})
}

// wait for a question, or until a moment (CLOCK_MONOTONIC ns); 0: as long as it takes.
func (q *Questions) wait(until int64) error {
	left := realtime.Never
	if until != 0 {
		left = max(until-nowNs(), 0)
	}
	err := realtime.Wait(q.fd, -1, left)
	if err == nil {
		var count [8]byte
		if _, err = unix.Read(q.fd, count[:]); err == unix.EAGAIN || err == unix.EINTR {
			err = nil
		}
	}
	return err
}

func (a *Asker) answerAll() {
	for i := range a.Questions.open {
		// Closed before they are answered: what is asked meanwhile is a new question.
		for set := a.Questions.open[i].Swap(0); set != 0; set &= set - 1 {
			member := i*64 + bits.TrailingZeros64(set)
			a.answer(member, int(a.Questions.ifindex[member].Load()))
		}
	}
}

func (a *Asker) answer(member, ifindex int) {
	up, sends, err := a.Carrier(ifindex)
	if err == nil {
		a.Answer(member, ifindex, up, sends, nowNs())
	} else if a.Failed != nil {
		a.Failed(member, ifindex, err)
	}
}
