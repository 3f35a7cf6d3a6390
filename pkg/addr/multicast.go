// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// membership is one solicited-node group on one interface.
type membership struct {
	link  int
	group netip.Addr
}

// held is who needs a membership and the socket that holds it.
type held struct {
	fd    int
	users map[netip.Addr]struct{}
}

// memberships holds solicited-node groups (RFC 4291 2.7.1) open on members that may have to take
// an address over: switches that snoop MLD then forward its neighbour solicitations there at once.
type memberships struct {
	fds  []int
	held map[membership]*held
}

func newMemberships() *memberships {
	return &memberships{held: make(map[membership]*held)}
}

// solicitedNode is the group in which a is asked for.
func solicitedNode(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

func (m *memberships) join(link int, a netip.Addr) error {
	if !a.Is6() {
		return fmt.Errorf("join the group of %s: not IPv6", a)
	}
	key := membership{link, solicitedNode(a)}
	if h := m.held[key]; h != nil {
		h.users[a] = struct{}{}
		// Ask again: the kernel forgets when an interface goes, and its index may come back.
		err := unix.SetsockoptIPv6Mreq(h.fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, request(key))
		if err != nil && !errors.Is(err, unix.EADDRINUSE) {
			return fmt.Errorf("join %s on interface %d: %w", key.group, link, err)
		}
		return nil
	}
	fd, err := m.add(key)
	if err != nil {
		return fmt.Errorf("join %s on interface %d: %w", key.group, link, err)
	}
	m.held[key] = &held{fd: fd, users: map[netip.Addr]struct{}{a: {}}}
	return nil
}

func request(key membership) *unix.IPv6Mreq {
	return &unix.IPv6Mreq{Multiaddr: key.group.As16(), Interface: uint32(key.link)}
}

// add joins on the newest socket, and on a new one when that has no room left (optmem_max).
func (m *memberships) add(key membership) (int, error) {
	req := request(key)
	if n := len(m.fds); n > 0 {
		err := unix.SetsockoptIPv6Mreq(m.fds[n-1], unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, req)
		if !errors.Is(err, unix.ENOMEM) && !errors.Is(err, unix.ENOBUFS) {
			return m.fds[n-1], err
		}
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	m.fds = append(m.fds, fd)
	return fd, unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, req)
}

func (m *memberships) leave(link int, a netip.Addr) error {
	key := membership{link, solicitedNode(a)}
	h := m.held[key]
	if h == nil {
		return nil
	}
	delete(h.users, a)
	if len(h.users) > 0 {
		return nil
	}
	delete(m.held, key)
	err := unix.SetsockoptIPv6Mreq(h.fd, unix.IPPROTO_IPV6, unix.IPV6_LEAVE_GROUP, request(key))
	if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("leave %s on interface %d: %w", key.group, link, err)
	}
	return nil
}

func (m *memberships) close() error {
	var err error
	for _, fd := range m.fds {
		err = errors.Join(err, unix.Close(fd))
	}
	m.fds, m.held = nil, make(map[membership]*held)
	return err
}
