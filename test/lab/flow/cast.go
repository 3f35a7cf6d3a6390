// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// join the destination of a flow on its receiver's interface, as any application does: what an interface of the
// host has joined is heard by every socket (IP_MULTICAST_ALL is left on).
func (s *Spec) join(fd int) error {
	link, err := s.To.Link(s.On)
	if err != nil {
		return err
	}
	level, option := unix.IPPROTO_IP, unix.MCAST_JOIN_GROUP
	if s.Destination.Is6() {
		level = unix.IPPROTO_IPV6
	}
	b := make([]byte, 8, 8+2*storage) // struct group_source_req
	binary.NativeEndian.PutUint32(b, uint32(link.Attrs().Index))
	b = append(b, stored(s.Destination)...)
	if s.Only.IsValid() {
		option = unix.MCAST_JOIN_SOURCE_GROUP
		b = append(b, stored(s.Only)...)
	}
	if err := unix.SetsockoptString(fd, level, option, string(b)); err != nil {
		return fmt.Errorf("join %s on %s: %w", s.Destination, s.On, err)
	}
	if !s.Bound {
		return nil
	}
	if err := unix.BindToDevice(fd, s.On); err != nil {
		return fmt.Errorf("bind to %s: %w", s.On, err)
	}
	return nil
}

const storage = 128 // of struct sockaddr_storage

func stored(a netip.Addr) []byte {
	b := make([]byte, storage)
	if a.Is4() {
		binary.NativeEndian.PutUint16(b, unix.AF_INET)
		copy(b[4:], a.AsSlice())
		return b
	}
	binary.NativeEndian.PutUint16(b, unix.AF_INET6)
	copy(b[8:], a.AsSlice())
	return b
}
