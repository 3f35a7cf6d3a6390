// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// peerCred asks the kernel who is at the other end. The answer is of the
// moment of connect (or of listen, for the one who listens).
func peerCred(c *net.UnixConn) (*unix.Ucred, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("ask for peer credentials: %w", err)
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err == nil {
		err = credErr
	}
	if err != nil {
		return nil, fmt.Errorf("ask for peer credentials: %w", err)
	}
	return cred, nil
}

type peerKey struct{}

// mayWrite tells whether the peer of the request's connection is root. A
// connection of which nothing is known may not.
func mayWrite(ctx context.Context) bool {
	uid, ok := ctx.Value(peerKey{}).(uint32)
	return ok && uid == 0
}
