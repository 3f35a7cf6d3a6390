// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestSysctlWatcher hears who writes what is watched, also after the kernel has dropped what it keeps
// of the directory, and of an interface that is made again under its name.
func TestSysctlWatcher(t *testing.T) {
	s := newSpace(t)
	s.ip("link", "add", "w0", "type", "veth", "peer", "name", "w1")
	w, err := OpenSysctls(slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	w.every = time.Hour // not by looking
	const announce, proxy = "net/ipv4/conf/w0/arp_announce", "net/ipv4/conf/w0/proxy_arp"
	s.do(func() error {
		w.Watch([]string{announce, "net/ipv6/conf/w0/keep_addr_on_down", "net/ipv4/conf/none/arp_announce"})
		return nil
	})
	write := func(key, value string) {
		t.Helper()
		s.do(func() error { return os.WriteFile("/proc/sys/"+key, []byte(value), 0) })
	}
	buf := make([]byte, 4096)
	// heard what is there; the kernel queues an event before the write returns.
	heard := func() bool {
		t.Helper()
		require.NoError(t, w.file.SetReadDeadline(time.Now().Add(5*time.Second)))
		n, err := w.file.Read(buf)
		require.NoError(t, err)
		return w.heard(buf[:n])
	}
	write(announce, "2")
	require.True(t, heard())
	write(announce, "2")
	require.True(t, heard(), "the value that it has")
	write("net/ipv6/conf/w0/keep_addr_on_down", "1")
	require.True(t, heard())
	write(proxy, "1")
	require.False(t, heard(), "nobody asked for that one")
	require.NoError(t, os.WriteFile("/proc/sys/vm/drop_caches", []byte("2"), 0))
	write(announce, "1")
	require.True(t, heard(), "after the caches were dropped")

	s.ip("link", "del", "w0")
	s.ip("link", "add", "w0", "type", "veth", "peer", "name", "w1")
	s.do(func() error { w.Watch([]string{announce}); return nil })
	write("net/ipv6/conf/w0/keep_addr_on_down", "1")
	write(announce, "1")
	for !heard() { // what is left of the former directory, then the new one
	}
	require.NoError(t, w.Close())
}

// TestSysctlWatcherLooks now and then, for writers that inotify does not hear.
func TestSysctlWatcherLooks(t *testing.T) {
	w, err := OpenSysctls(slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	w.every = 10 * time.Millisecond
	s := newSpace(t)
	const key = "net/ipv4/conf/lo/arp_announce"
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	s.do(func() error {
		w.Watch([]string{key})
		for _, d := range w.dirs { // deaf
			delete(w.by, d.watch)
		}
		return nil
	})
	tid := s.tid
	go func() { ended <- inSpaceOf(tid, func() error { return w.Run(ctx) }) }()
	for value := 0; ; value = 1 - value { // until the first look has been, a change is the first value
		s.do(func() error { return os.WriteFile("/proc/sys/"+key, []byte{'0' + byte(value)}, 0) })
		select {
		case <-w.Changes():
		case err := <-ended:
			t.Fatal("it ended:", err)
		case <-time.After(20 * time.Millisecond):
			continue
		}
		break
	}
	cancel()
	require.NoError(t, <-ended)
	require.NoError(t, w.Close())
}

// inSpaceOf a thread runs fn in its network namespace, on a thread that ends with it.
func inSpaceOf(tid int, fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked
		fd, err := unix.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", tid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			_ = unix.Close(fd)
		}
		if err == nil {
			err = fn()
		}
		done <- err
	}()
	return <-done
}
