// SPDX-License-Identifier: Apache-2.0

package control

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// leaveStale makes what a daemon leaves that was killed.
func leaveStale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	_, err = os.Lstat(path)
	require.NoError(t, err)
}

func TestListenModes(t *testing.T) {
	for _, umask := range []int{0, 0o77} {
		old := unix.Umask(umask)
		path := filepath.Join(t.TempDir(), "run", "s.sock")
		l, err := Listen(path)
		unix.Umask(old)
		require.NoError(t, err)
		info, err := os.Lstat(path)
		require.NoError(t, err)
		require.Equal(t, os.ModeSocket|0o660, info.Mode())
		info, err = os.Stat(filepath.Dir(path))
		require.NoError(t, err)
		require.Equal(t, os.ModeDir|0o755&^os.FileMode(umask), info.Mode())
		require.NoError(t, l.Close())
		_, err = os.Lstat(path)
		require.ErrorIs(t, err, os.ErrNotExist)
	}
}

func TestListenReplacesStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	leaveStale(t, path)
	l, err := Listen(path)
	require.NoError(t, err)
	defer l.Close()
	conn, err := net.Dial("unix", path)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

func TestListenNamesTheOtherDaemon(t *testing.T) {
	ts := startServer(t, &fakeBackend{}, nil)
	_, err := Listen(ts.path)
	require.Equal(t, &InUseError{Path: ts.path, PID: os.Getpid(), Version: "1.2.3"}, err)
	require.Regexp(t, `^/\S+/s.sock is in use by another daemon, ipmpd 1.2.3, pid \d+; stop that one, or give this one its own --socket$`, err.Error())
	_, err = ts.client.Version(t.Context())
	require.NoError(t, err, "which goes on undisturbed")
}

// One that listens and does not speak is alive nevertheless.
func TestListenBesideAMuteOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer l.Close()
	_, err = Listen(path)
	require.Equal(t, &InUseError{Path: path, PID: os.Getpid()}, err)
}

func TestListenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "precious")
	require.NoError(t, os.WriteFile(file, []byte("data"), 0o600))
	_, err := Listen(file)
	require.EqualError(t, err, file+" exists and is no socket; remove it, or choose another --socket")
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "data", string(data))

	_, err = Listen("/tmp/" + strings.Repeat("x", 103))
	require.ErrorContains(t, err, "is longer than 107 bytes; choose a shorter --socket")
	_, err = Listen(filepath.Join(file, "s.sock"))
	require.ErrorContains(t, err, "make the directory of socket")
}

// Of daemons that start at once on a stale socket one gets it.
func TestListenRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	leaveStale(t, path)
	var mu sync.Mutex
	var won []net.Listener
	var start sync.WaitGroup
	for range 4 {
		start.Go(func() {
			l, err := Listen(path)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, l)
				return
			}
			var other *InUseError
			if !errors.As(err, &other) && !strings.Contains(err.Error(), "another daemon is starting there") {
				t.Errorf("unexpected: %v", err)
			}
		})
	}
	start.Wait()
	require.Len(t, won, 1)
	conn, err := net.Dial("unix", path)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.NoError(t, won[0].Close())
}

func TestNoDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	_, err := NewClient(path).Status(t.Context())
	require.Equal(t, &NoDaemonError{Path: path}, err)
	require.EqualError(t, err, "no daemon at "+path+"; start it with `ipmpd run`, or name its socket with --socket")
	leaveStale(t, path)
	require.Equal(t, &NoDaemonError{Path: path}, NewClient(path).Online(t.Context(), "hme0"))
	_, err = NewClient(filepath.Join(t.TempDir(), strings.Repeat("x", 200))).Status(t.Context())
	require.ErrorContains(t, err, "ask the daemon at")
}
