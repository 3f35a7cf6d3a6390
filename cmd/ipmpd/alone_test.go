// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"log/slog"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// One daemon a network namespace; only root is taken for one, so that nobody else can keep it out.
func TestClaimNamespace(t *testing.T) {
	needRoot(t)
	runtime.LockOSThread() // the thread ends with the test
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNET))
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	release, err := claimNamespace(log)
	require.NoError(t, err)
	_, err = claimNamespace(log)
	require.ErrorContains(t, err, "another ipmpd (pid ")
	require.ErrorContains(t, err, "; end it first")
	release()
	release, err = claimNamespace(log)
	require.NoError(t, err, "it went with its holder")
	release()
	require.Empty(t, text.String())

	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: aloneName}))
	// Of this thread only: Go's own would change them all.
	const nobody = 65534
	_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), nobody, 0)
	require.Zero(t, errno)
	require.NoError(t, unix.Listen(fd, 1))
	_, _, errno = unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), 0, 0)
	require.Zero(t, errno)
	release, err = claimNamespace(log)
	require.NoError(t, err)
	release()
	require.Contains(t, text.String(), "not root")
}
