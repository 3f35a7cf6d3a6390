// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// sourcesASocket is how many sources one socket may name of a group: igmp_max_msf and mld_max_msf may allow more.
const sourcesASocket = 10

// Joins are multicast groups that we hold joined for the sake of others. The sockets are bound to no port, so they
// receive nothing; the kernel reports for them, answers queriers, and leaves when the process ends. Not safe for concurrent use.
type Joins struct {
	held map[linkIP]*join
	any  [2][]*anySocket // of any source, by family; the last one may have room
}

// join is one group on one interface.
type join struct {
	sources []netip.Addr // nil: any
	any     *anySocket
	fds     []int // of sources, each with a part of them
}

type anySocket struct {
	fd, used int
}

// NewJoins holds nothing.
func NewJoins() *Joins { return &Joins{held: map[linkIP]*join{}} }

// Own is what our sockets are of a group on an interface.
func (j *Joins) Own(link int, group netip.Addr) Own {
	h := j.held[linkIP{link, group}]
	switch {
	case h == nil:
		return Own{}
	case h.any != nil:
		return Own{Users: 1}
	}
	return Own{Users: len(h.fds), Sources: h.sources}
}

// Set makes what is held these groups and no others; it returns those that could not be joined, which are tried again
// by the next call. What is new is joined before what is over is left.
func (j *Joins) Set(want []Heard) (failed []Heard, err error) {
	var errs []error
	wanted := make(map[linkIP]bool, len(want))
	for _, w := range want {
		key := linkIP{w.Link, w.Group}
		wanted[key] = true
		old := j.held[key]
		if old != nil && (old.sources == nil) == (w.Sources == nil) && slices.Equal(old.sources, w.Sources) {
			continue
		}
		now, err := j.join(key, w.Sources)
		if err != nil {
			failed = append(failed, w)
			errs = append(errs, fmt.Errorf("join %s on interface %d: %w", w.Group, w.Link, err))
			continue
		}
		if old != nil {
			j.leave(key, old)
		}
		j.held[key] = now
	}
	for key, old := range j.held {
		if !wanted[key] {
			j.leave(key, old)
			delete(j.held, key)
		}
	}
	return failed, errors.Join(errs...)
}

// Close leaves everything.
func (j *Joins) Close() error {
	_, err := j.Set(nil)
	return err
}

func (j *Joins) join(key linkIP, sources []netip.Addr) (*join, error) {
	if sources == nil {
		s, err := j.joinAny(key)
		return &join{any: s}, err
	}
	h := &join{sources: slices.Clone(sources)}
	for part := range slices.Chunk(sources, sourcesASocket) {
		fd, err := castSocket(key.ip)
		if err == nil {
			h.fds = append(h.fds, fd)
			for _, s := range part {
				err = errors.Join(err, joinSource(fd, key, s))
			}
		}
		if err != nil {
			j.leave(key, h)
			return nil, err
		}
	}
	return h, nil
}

func castSocket(group netip.Addr) (int, error) {
	family := unix.AF_INET
	if group.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open socket: %w", err)
	}
	return fd, nil
}

// joinAny on the newest socket, and on a new one when that has no room left (igmp_max_memberships, optmem_max) or has
// the group of an interface that had the same index.
func (j *Joins) joinAny(key linkIP) (*anySocket, error) {
	family := familyOf(key.ip)
	list := j.any[family]
	if n := len(list); n > 0 {
		if err := membershipOption(list[n-1].fd, key, true); err == nil {
			list[n-1].used++
			return list[n-1], nil
		}
	}
	fd, err := castSocket(key.ip)
	if err != nil {
		return nil, err
	}
	if err := membershipOption(fd, key, true); err != nil {
		_ = unix.Close(fd) // the first error counts
		return nil, err
	}
	s := &anySocket{fd, 1}
	j.any[family] = append(list, s)
	return s, nil
}

// leave cannot fail in a way that matters: the interface may be gone, and sockets are closed.
func (j *Joins) leave(key linkIP, h *join) {
	for _, fd := range h.fds {
		_ = unix.Close(fd)
	}
	if h.any == nil {
		return
	}
	_ = membershipOption(h.any.fd, key, false)
	if h.any.used--; h.any.used == 0 {
		_ = unix.Close(h.any.fd)
		family := familyOf(key.ip)
		j.any[family] = slices.DeleteFunc(j.any[family], func(s *anySocket) bool { return s == h.any })
	}
}

func membershipOption(fd int, key linkIP, join bool) error {
	if key.ip.Is4() {
		option := unix.IP_DROP_MEMBERSHIP
		if join {
			option = unix.IP_ADD_MEMBERSHIP
		}
		return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, option, &unix.IPMreqn{Multiaddr: key.ip.As4(), Ifindex: int32(key.link)})
	}
	option := unix.IPV6_LEAVE_GROUP
	if join {
		option = unix.IPV6_JOIN_GROUP
	}
	return unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, option, &unix.IPv6Mreq{Multiaddr: key.ip.As16(), Interface: uint32(key.link)})
}

// joinSource by struct group_source_req: the interface, and two addresses of the size of sockaddr_storage.
func joinSource(fd int, key linkIP, source netip.Addr) error {
	const storage, align = 128, 8
	var b [align + 2*storage]byte
	binary.NativeEndian.PutUint32(b[:], uint32(key.link))
	put := func(at int, a netip.Addr) {
		if a.Is4() {
			binary.NativeEndian.PutUint16(b[at:], unix.AF_INET)
			copy(b[at+4:], a.AsSlice())
			return
		}
		binary.NativeEndian.PutUint16(b[at:], unix.AF_INET6)
		copy(b[at+8:], a.AsSlice())
	}
	put(align, key.ip)
	put(align+storage, source)
	level := unix.IPPROTO_IP
	if key.ip.Is6() {
		level = unix.IPPROTO_IPV6
	}
	return unix.SetsockoptString(fd, level, unix.MCAST_JOIN_SOURCE_GROUP, string(b[:]))
}
