// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/realtime"
)

// LinkEvent is one link message, or the loss of some.
type LinkEvent struct {
	Index int
	Name  string
	// Carrier is IFLA_CARRIER, Up is IFF_UP. Sends: the kernel sends over it, as far as there is carrier.
	Carrier, Up, Sends bool
	// Exists is false when the interface was deleted or left the namespace.
	Exists bool
	// Resync: messages were lost, ask for every interface. The other fields are empty.
	Resync bool
}

// LinkEvents hears link messages and nothing else, for a thread that must not wait behind
// addresses, routes and neighbours. It belongs to one goroutine.
type LinkEvents struct {
	fd, wake int
	in       []byte
}

// OpenLinkEvents subscribes in the network namespace of the calling thread, with a receive buffer
// of so many bytes; 0: 1 MiB.
func OpenLinkEvents(buffer int) (*LinkEvents, error) {
	if buffer == 0 {
		buffer = 1 << 20
	}
	fd, err := subscribe(buffer, unix.RTNLGRP_LINK)
	if err != nil {
		return nil, err
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("open eventfd: %w", err)
	}
	return &LinkEvents{fd: fd, wake: wake, in: make([]byte, 64<<10)}, nil
}

// Close gives the sockets back, after Run has returned.
func (e *LinkEvents) Close() error { return errors.Join(unix.Close(e.fd), unix.Close(e.wake)) }

// Run calls fn for each message, on the calling thread, until ctx ends.
func (e *LinkEvents) Run(ctx context.Context, fn func(LinkEvent)) error {
	var left [8]byte
	_, _ = unix.Read(e.wake, left[:]) // of a Run before
	stop := realtime.AfterFunc(ctx, func() { _, _ = unix.Write(e.wake, []byte{1, 0, 0, 0, 0, 0, 0, 1}) })
	defer stop() // or Close could take the descriptor away under it
	for ctx.Err() == nil {
		if err := realtime.Wait(e.fd, e.wake, realtime.Never); err != nil {
			return fmt.Errorf("wait for link messages: %w", err)
		}
		if err := e.take(fn); err != nil {
			return err
		}
	}
	return nil
}

// take reads all that is there.
func (e *LinkEvents) take(fn func(LinkEvent)) error {
	for {
		n, _, err := unix.Recvfrom(e.fd, e.in, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS):
			fn(LinkEvent{Resync: true})
			continue
		case err != nil:
			return fmt.Errorf("read link messages: %w", err)
		}
		err = messages(e.in[:n], func(h header, body []byte) error {
			if h.typ != unix.RTM_NEWLINK && h.typ != unix.RTM_DELLINK || len(body) > 0 && body[0] != unix.AF_UNSPEC {
				return nil
			}
			l, err := parseLink(body)
			if err == nil {
				fn(LinkEvent{Index: l.Index, Name: l.Name, Carrier: l.Carrier, Up: l.Up, Sends: sending(l.Operstate), Exists: h.typ == unix.RTM_NEWLINK})
			}
			return err
		})
		if err != nil {
			fn(LinkEvent{Resync: true}) // unreadable is as good as lost
		}
	}
}
