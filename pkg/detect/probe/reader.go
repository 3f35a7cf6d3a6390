// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/realtime"
)

// Reader hears the kernel's events on a FIFO thread of its own.
type Reader struct {
	Events   *ebpf.Map // the ring buffer
	Realtime Realtime
	Warn     func(error) // what the kernel did not permit; may be nil

	// Prober is whose CPU the thread shares, one priority above it, if both are real-time; may be nil.
	Prober *Prober

	// Event is called on the reader's thread before anything else is done: it fires the
	// contingency of the verdict, then hands the event on. ev is only valid during the call;
	// wokeNs is CLOCK_MONOTONIC, when the thread had the event.
	Event func(ev *bpf.Event, wokeNs int64)
}

// Run reads until ctx ends, whose error it returns.
func (r *Reader) Run(ctx context.Context) error {
	ring, err := ringbuf.NewReader(r.Events)
	if err != nil {
		return fmt.Errorf("open ring buffer %v: %w", r.Events, err)
	}
	defer ring.Close()
	// It reads what there is; waiting is done outside Go's scheduler.
	ring.SetDeadline(time.Unix(1, 0))
	ended, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make eventfd for the end of the reader: %w", err)
	}
	defer unix.Close(ended)
	stop := realtime.AfterFunc(ctx, func() { _, _ = unix.Write(ended, []byte{1, 0, 0, 0, 0, 0, 0, 0}) })
	defer stop()
	return RealtimeThread(r.Realtime, r.Warn, func() error {
		if r.Prober != nil && r.Realtime.above() {
			r.Prober.near.keep()
			defer r.Prober.near.leave()
		}
		var rec ringbuf.Record
		for {
			err := ring.ReadInto(&rec)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(err, os.ErrDeadlineExceeded):
				if err := realtime.Wait(r.Events.FD(), ended, realtime.Never); err != nil {
					return fmt.Errorf("wait for the ring buffer: %w", err)
				}
				continue
			case err != nil:
				return fmt.Errorf("read ring buffer: %w", err)
			}
			woke := nowNs()
			ev, err := decode(rec.RawSample)
			if err != nil {
				return err
			}
			r.Event(ev, woke)
		}
	})
}

// decode looks at the sample where it lies. The ring buffer's records are 8-byte aligned, but Go's
// copy of one need not be.
func decode(sample []byte) (*bpf.Event, error) {
	if len(sample) < int(unsafe.Sizeof(bpf.Event{})) {
		return nil, fmt.Errorf("decode event: %d bytes, want %d: maps of another layout", len(sample), unsafe.Sizeof(bpf.Event{}))
	}
	p := unsafe.Pointer(unsafe.SliceData(sample))
	if uintptr(p)%unsafe.Alignof(bpf.Event{}) == 0 {
		return (*bpf.Event)(p), nil
	}
	ev := new(bpf.Event)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(ev)), unsafe.Sizeof(*ev)), sample)
	return ev, nil
}
