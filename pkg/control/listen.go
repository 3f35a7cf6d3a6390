// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxSocketPath is what fits into sockaddr_un with its final zero.
const maxSocketPath = 107

// askTimeout bounds how long a start waits for a daemon that holds the socket
// and does not speak.
const askTimeout = time.Second

// Listen opens the control socket at path with mode 0660 and makes its
// directory (0755) if need be. The socket of a daemon that is gone is
// replaced; one that somebody listens on is an *InUseError. Closing the
// listener removes the file.
func Listen(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("the socket path %s is longer than %d bytes; choose a shorter --socket", path, maxSocketPath)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of socket %s: %w", path, err)
	}
	// Two daemons that start at once must not both find the same stale socket
	// and each remove the other's new one.
	unlock, err := lockSocket(path)
	if err != nil {
		return nil, err
	}
	l, err := bind(path)
	unlock()
	var other *InUseError
	if errors.As(err, &other) {
		other.Version = askVersion(path)
	}
	return l, err
}

func bind(path string) (net.Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// Before bind, so that the file never has a wider mode than this.
		var chmodErr error
		err := c.Control(func(fd uintptr) { chmodErr = unix.Fchmod(int(fd), 0o660) })
		return errors.Join(err, chmodErr)
	}}
	l, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	// And after it, because the umask has narrowed it.
	if err := os.Chmod(path, 0o660); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("set the mode of %s: %w", path, err)
	}
	return l, nil
}

// lockSocket takes a lock beside the socket; whoever cannot get it soon goes
// away rather than waits for a start that hangs.
func lockSocket(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock socket %s: %w", path, err)
	}
	deadline := time.Now().Add(3 * askTimeout)
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) || time.Now().After(deadline) {
			_ = f.Close()
			return nil, fmt.Errorf("lock socket %s: %w (another daemon is starting there)", path, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// removeStale makes room for a new socket at path.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at socket %s: %w", path, err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is no socket; remove it, or choose another --socket", path)
	}
	conn, err := net.DialTimeout("unix", path, askTimeout)
	if err == nil {
		defer conn.Close()
		other := &InUseError{Path: path}
		if cred, err := peerCred(conn.(*net.UnixConn)); err == nil {
			other.PID = int(cred.Pid)
		}
		return other
	}
	// EAGAIN is a full backlog: somebody is there, though not answering.
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, os.ErrDeadlineExceeded) {
		return &InUseError{Path: path}
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("find out who listens on %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove stale socket %s: %w", path, err)
	}
	return nil
}

// askVersion is empty for a daemon that does not answer.
func askVersion(path string) string {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	v, err := NewClient(path).Version(ctx)
	if err != nil {
		return ""
	}
	return v.Version
}
