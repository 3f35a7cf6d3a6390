// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoMembershipNews says that this kernel does not tell who joins a multicast group (before Linux 6.14 or so): the list has
// to be asked for.
var ErrNoMembershipNews = errors.New("the kernel does not tell of multicast groups")

// MembershipNews hears that the first socket has joined a multicast group on some interface, or the last one left.
// Of others, and of sources, the kernel tells nothing. It belongs to one goroutine.
type MembershipNews struct {
	file *os.File
}

// OpenMembershipNews subscribes in the network namespace of the calling thread.
//
// Errors: ErrNoMembershipNews.
func OpenMembershipNews() (*MembershipNews, error) {
	fd, err := subscribe(1<<18, unix.RTNLGRP_IPV4_MCADDR, unix.RTNLGRP_IPV6_MCADDR)
	if errors.Is(err, unix.EINVAL) {
		return nil, ErrNoMembershipNews
	}
	if err != nil {
		return nil, err
	}
	return &MembershipNews{os.NewFile(uintptr(fd), "rtnetlink")}, nil
}

// Close gives the socket back, after Run has returned.
func (n *MembershipNews) Close() error { return n.file.Close() }

// Run calls fn after messages, however many have come, until ctx ends. A loss of messages is news too.
func (n *MembershipNews) Run(ctx context.Context, fn func()) error {
	stop := context.AfterFunc(ctx, func() { _ = n.file.SetReadDeadline(past) })
	defer func() {
		if stop() {
			return
		}
		_ = n.file.SetReadDeadline(time.Time{}) // for a Run to come
	}()
	raw, err := n.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("follow multicast groups: %w", err)
	}
	buf := make([]byte, 32<<10)
	for ctx.Err() == nil {
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			for got := false; ; got = true {
				_, _, err := unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
				switch {
				case errors.Is(err, unix.EAGAIN):
					return got
				case err == nil, errors.Is(err, unix.EINTR), errors.Is(err, unix.ENOBUFS):
				default:
					failed = err
					return true
				}
			}
		})
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil || failed != nil:
			return fmt.Errorf("follow multicast groups: %w", errors.Join(err, failed))
		}
		fn()
	}
	return nil
}
