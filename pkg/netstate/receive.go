// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const readBatch = 256

// subscribe opens a non-blocking socket that hears the groups.
func subscribe(buffer int, groups ...int) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, fmt.Errorf("open netlink socket: %w", err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer) // without CAP_NET_ADMIN of the first namespace
	}
	err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	for _, g := range groups {
		if err == nil {
			err = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, g)
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("subscribe to netlink: %w", err)
	}
	return fd, nil
}

// read takes in the messages that are there, up to a batch (then there may be more); with wait,
// at least one.
func (w *Watcher) read(buf []byte, wait bool) (changed Change, more bool, err error) {
	var failed error
	err = w.raw.Read(func(fd uintptr) bool {
		for i := range readBatch {
			n, _, err := unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
			switch {
			case errors.Is(err, unix.EINTR):
				continue
			case errors.Is(err, unix.EAGAIN):
				return i > 0 || !wait
			case err != nil:
				failed = err
				return true
			}
			w.mu.Lock()
			err = messages(buf[:n], func(h header, body []byte) error {
				c, err := w.take(h, body)
				changed |= c
				return err
			})
			if changed != 0 {
				w.snap = nil
			}
			w.mu.Unlock()
			if err != nil {
				failed = err
				return true
			}
		}
		more = true
		return true
	})
	return changed, more, errors.Join(failed, err)
}

// drain throws away what is left after a loss. What it says is older than the listing to come,
// and what would correct it may be among what was lost.
func (w *Watcher) drain(buf []byte) {
	_ = w.raw.Control(func(fd uintptr) {
		for {
			_, _, err := unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
			if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
}

// take applies one message. Routes and Nexthops in the answer mean: list them.
func (w *Watcher) take(h header, body []byte) (Change, error) {
	t := &w.table
	switch h.typ {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		if len(body) > 0 && body[0] != unix.AF_UNSPEC {
			return 0, nil // a bridge's view of its port
		}
		l, err := parseLink(body)
		if err != nil {
			return 0, err
		}
		if h.typ == unix.RTM_DELLINK {
			return t.deleteLink(l.Index), nil
		}
		return t.addLink(l), nil
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		x, err := parseAddress(body)
		if err != nil {
			return 0, err
		}
		if h.typ == unix.RTM_DELADDR {
			t.deleteAddress(x)
			return Addresses | Routes, nil
		}
		t.addAddress(x)
		return Addresses, nil
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		n, ok, err := parseNeighbor(body)
		if !ok || err != nil {
			return 0, err
		}
		key := neighborKey{n.Link, n.IP}
		if h.typ == unix.RTM_DELNEIGH {
			delete(t.neighbors, key)
			return Neighbors, nil
		}
		if t.neighbors[key] == n {
			return 0, nil // the kernel also tells that it was confirmed
		}
		t.neighbors[key] = n
		return Neighbors, nil
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		r, ok, err := parseRoute(body)
		if !ok || err != nil || w.opt.KeepRoute != nil && !w.opt.KeepRoute(&r) {
			return 0, err
		}
		return Routes, nil
	case unix.RTM_NEWNEXTHOP, unix.RTM_DELNEXTHOP:
		return Nexthops | Routes, nil
	}
	return 0, nil
}
