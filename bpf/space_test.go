// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// space is a network namespace of the test's own: nothing is named, so nothing stays.
type space struct {
	fd int
	nl *netlink.Handle
}

// enter locks the goroutine to a thread that ends with it, in the namespace.
func (s *space) enter(t testing.TB) {
	t.Helper()
	runtime.LockOSThread()
	require.NoError(t, unix.Setns(s.fd, unix.CLONE_NEWNET))
}

// run is t.Run in the namespace.
func (s *space) run(t *testing.T, name string, fn func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		s.enter(t)
		fn(t)
	})
}

// newSpace makes a namespace and enters it.
func newSpace(t testing.TB) *space {
	t.Helper()
	needRoot(t)
	runtime.LockOSThread()
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNET))
	// Devices are to be silent: nothing but the test's frames is counted.
	require.NoError(t, os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0o644))
	fd, err := unix.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	require.NoError(t, err)
	t.Cleanup(nl.Close)
	return &space{fd: fd, nl: nl}
}

// veth makes a pair that is up and returns the near end.
func (s *space) veth(t testing.TB, name string) netlink.Link {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	require.NoError(t, s.nl.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: name + "p"}))
	for _, n := range []string{name + "p", name} {
		l, err := s.nl.LinkByName(n)
		require.NoError(t, err)
		require.NoError(t, s.nl.LinkSetUp(l))
	}
	s.carriers(t, name+"p", name)
	l, err := s.nl.LinkByName(name)
	require.NoError(t, err)
	return l
}

// carriers waits for them: until the kernel has heard of one, from a work queue, it drops what is sent.
func (s *space) carriers(t testing.TB, names ...string) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, n := range names {
			if l, err := s.nl.LinkByName(n); err != nil || l.Attrs().OperState != netlink.OperUp {
				return false
			}
		}
		return true
	}, 10*time.Second, time.Millisecond)
}
