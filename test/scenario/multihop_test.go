// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
)

// TestRoutesWithSeveralNextHops are left alone (decision 7), be they over one member or over two, and
// stay as they were to the byte. What goes by them from a data address arrives even so: the egress
// switch carries it.
func TestRoutesWithSeveralNextHops(t *testing.T) {
	var before string
	routes := func(s *scene) string {
		return s.ip("route", "show", "198.51.100.0/24") + s.ip("route", "show", "203.0.113.0/24")
	}
	s := stage(t, setup{lab: lab.Options{Far: true}, prepare: func(_ *testing.T, s *scene) {
		s.ip("addr", "add", "192.0.2.10/24", "dev", "hme0")
		s.ip("addr", "add", "192.0.2.12/24", "dev", "hme1")
		// The peer forwards nothing: the host's flow takes either way, and both have to lead somewhere.
		s.ipIn(s.Router, "addr", "add", "192.0.2.2/24", "dev", "eth0")
		s.ip("route", "add", "198.51.100.0/24", "nexthop", "via", "192.0.2.1", "dev", "hme0", "nexthop", "via", "192.0.2.2", "dev", "hme0")
		s.ip("route", "add", "203.0.113.0/24", "nexthop", "via", "192.0.2.1", "dev", "hme0", "nexthop", "via", "192.0.2.1", "dev", "hme1")
		// Behind the router, too: an address of the far peer that only the second route reaches.
		s.ipIn(s.Far, "addr", "add", "203.0.113.100/24", "dev", "eth0")
		s.ipIn(s.Router, "route", "add", "203.0.113.0/24", "dev", "eth1")
		before = routes(s)
	}})
	require.NotEmpty(t, before)
	arrive := func(when string) {
		t.Helper()
		for _, to := range []netip.Addr{lab.Far, netip.MustParseAddr("203.0.113.100")} {
			for range 4 { // flows, over all next hops
				s.arrives(lab.Data, to)
			}
		}
		require.Equal(t, before, routes(s), when)
		_, g := s.status("hme0")
		require.Empty(t, g.Routes, when)
	}
	arrive("at home")
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme1", lab.Data)
	arrive("after a silent failure")
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")
	s.at("hme0", lab.Data)
	arrive("home again")
}

// arrives waits until a datagram from an address of the host is heard by the far peer. Each goes from
// a port of its own, and so by any of a route's next hops.
func (s *scene) arrives(from, to netip.Addr) {
	s.t.Helper()
	var conn *net.UDPConn
	require.NoError(s.t, s.Far.Do(func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 0)))
		return err
	}))
	defer conn.Close()
	var out net.Conn
	require.NoError(s.t, s.Host.Do(func() (err error) {
		d := net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
		out, err = d.Dial("udp", conn.LocalAddr().String())
		return err
	}))
	defer out.Close()
	s.wait("a packet from "+from.String()+" at "+to.String(), func() (bool, error) {
		if _, err := out.Write([]byte("here")); err != nil {
			return false, err
		}
		if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			return false, err
		}
		buf := make([]byte, 64)
		_, source, err := conn.ReadFromUDPAddrPort(buf)
		return err == nil && source.Addr().Unmap() == from, err
	})
}
