// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"net"
	"net/netip"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/netstate"
	"github.com/ipmpd/ipmpd/test/lab"
)

// listener is a socket that has joined a group on an interface.
type listener struct {
	s    *scene
	conn *net.UDPConn
}

const castPort = 50000

func (s *scene) listens(group netip.Addr, on string) *listener {
	s.t.Helper()
	l := &listener{s: s}
	require.NoError(s.t, s.Host.Do(func() error {
		ifi, err := net.InterfaceByName(on)
		if err == nil {
			l.conn, err = net.ListenMulticastUDP("udp4", ifi, net.UDPAddrFromAddrPort(netip.AddrPortFrom(group, castPort)))
		}
		return err
	}))
	s.t.Cleanup(func() { l.conn.Close() })
	return l
}

// next packet.
func (l *listener) next() string {
	l.s.t.Helper()
	buf := make([]byte, 100)
	require.NoError(l.s.t, l.conn.SetReadDeadline(time.Now().Add(patience)))
	n, err := l.conn.Read(buf)
	require.NoError(l.s.t, err)
	return string(buf[:n])
}

// heard says whether there is one.
func (l *listener) heard() bool {
	_ = l.conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) // a connection that is open takes it
	_, err := l.conn.Read(make([]byte, 100))
	return err == nil
}

// sends one packet to a group over an interface, looped back to who has joined there.
func (s *scene) sends(from *lab.Netns, over string, group netip.Addr, text string) {
	s.t.Helper()
	require.NoError(s.t, from.Do(func() error {
		link, err := from.Link(over)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(link.Attrs().Index)}); err != nil {
			return err
		}
		return unix.Sendto(fd, []byte(text), 0, &unix.SockaddrInet4{Port: castPort, Addr: group.As4()})
	}))
}

// users of a group on a member.
func (s *scene) users(member string, group netip.Addr) (n int, err error) {
	err = s.Host.Do(func() error {
		link, err := s.Host.Link(member)
		if err != nil {
			return err
		}
		list, _, err := netstate.Memberships()
		for _, m := range list {
			if m.Link == link.Attrs().Index && m.Group == group {
				n = m.Users
			}
		}
		return err
	})
	return n, err
}

func (s *scene) joined(member string, group netip.Addr) (bool, error) {
	n, err := s.users(member, group)
	return n > 0, err
}
