// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/sys/unix"
)

// aloneName is an abstract socket address. Such names belong to the network namespace, whatever is
// mounted where, and go with the process that holds them.
const aloneName = "@ipmpd"

// claimNamespace makes this the only daemon of its network namespace: two would share pins, nexthops
// and addresses, and undo each other's moves, whatever their sockets are called. Only root is
// believed to be a daemon; a name that somebody else holds is warned of.
func claimNamespace(log *slog.Logger) (release func(), err error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("claim the network namespace: %w", err)
	}
	release = func() { _ = unix.Close(fd) } // the kernel closes it anyhow
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: aloneName})
	if err == nil {
		if err = unix.Listen(fd, 1); err == nil {
			return release, nil
		}
	}
	release()
	if !errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("claim the network namespace: %w", err)
	}
	pid, uid, err := holder()
	switch {
	case err != nil:
		log.Warn("whether another ipmpd runs in this network namespace cannot be told", "error", err)
	case uid != 0:
		log.Warn("the name @ipmpd is held by somebody who is not root, and so is no ipmpd", "pid", pid, "uid", uid)
	default:
		return nil, fmt.Errorf("another ipmpd (pid %d) runs in this network namespace; end it first, or put both configurations into one file", pid)
	}
	return func() {}, nil
}

// holder of the name, at the moment it began to listen.
func holder() (pid int, uid uint32, err error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, 0, err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: aloneName}); err != nil {
		return 0, 0, fmt.Errorf("connect to %s: %w", aloneName, err)
	}
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, 0, err
	}
	return int(cred.Pid), cred.Uid, nil
}
