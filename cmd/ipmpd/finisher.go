// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/detect/probe"
	"github.com/ipmpd/ipmpd/pkg/realtime"
)

// finisher writes routes and addresses of what the reader or the asker has announced, on a FIFO thread of
// its own, and hands the news on to the engine, in order. The kernel takes a millisecond for it; a member
// that fails in both families has two verdicts within a round, two members may lose their carrier at
// once, and the second one's announcements do not wait for the first one's addresses (docs/decisions/0019).
//
// An eventfd wakes it, not the channel: Go's scheduler would leave that to an ordinary thread.
type finisher struct {
	fd      int
	queue   chan news
	stopped atomic.Bool
	next    func(any)
}

// news for the engine, after what was fired for it is finished.
type news struct {
	fired *firing
	event any
}

// newFinisher makes one; close it when run has ended. next gets the news.
func newFinisher(next func(any)) (*finisher, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make eventfd for routes and addresses: %w", err)
	}
	// A verdict for each member of many groups; with more the reader waits.
	return &finisher{fd: fd, queue: make(chan news, 256), next: next}, nil
}

func (f *finisher) close() error { return unix.Close(f.fd) }

// hand over what was announced, and what the engine is to hear. Runs on the threads that announce.
func (f *finisher) hand(fired *firing, event any) {
	f.queue <- news{fired, event}
	f.wake()
}

func (f *finisher) wake() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	// It can only fail when 2^64 - 2 wake-ups are outstanding.
	_, _ = unix.Write(f.fd, one[:])
}

// run until ctx ends, whose error it returns.
func (f *finisher) run(ctx context.Context, rt probe.Realtime, warn func(error)) error {
	stop := context.AfterFunc(ctx, func() {
		f.stopped.Store(true)
		f.wake()
	})
	defer stop()
	return probe.RealtimeThread(rt, warn, func() error {
		var buf [8]byte
		for !f.stopped.Load() {
			err := realtime.Wait(f.fd, -1, realtime.Never)
			if err == nil {
				_, err = unix.Read(f.fd, buf[:])
			}
			if err != nil && err != unix.EAGAIN && err != unix.EINTR {
				return fmt.Errorf("wait for announcements: %w", err)
			}
			f.finishAll()
		}
		return ctx.Err()
	})
}

func (f *finisher) finishAll() {
	for {
		select {
		case n := <-f.queue:
			n.fired.finish()
			f.next(n.event)
		default:
			return
		}
	}
}
