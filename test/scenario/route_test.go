// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
)

// TestRoutesThroughTheGroup: a peer behind the router is reached over whichever member is usable,
// and always sees the data address.
func TestRoutesThroughTheGroup(t *testing.T) {
	c := dual().homes()
	c.lab = lab.Options{Far: true}
	c.group = []string{
		"routes:",
		fmt.Sprintf("  - {to: 0.0.0.0/0, via: %s}", lab.Router),
		fmt.Sprintf("  - {to: '::/0', via: '%s'}", lab.Router6),
	}
	s := stage(t, c)
	for _, far := range []struct{ far, data netip.Addr }{{lab.Far, lab.Data}, {lab.Far6, lab.Data6}} {
		s.reachedFrom(far.far)
	}
	seen := s.listenFar()
	check := func(when string) {
		t.Helper()
		for range 8 { // flows are spread over the members
			require.Equal(t, lab.Data, seen(lab.Far), when)
			require.Equal(t, lab.Data6, seen(lab.Far6), when)
		}
	}
	check("at home")
	for _, cut := range []func(m *lab.Member) error{
		(*lab.Member).CutSilent,
		func(m *lab.Member) error { _, err := m.CutCarrier(); return err },
	} {
		require.NoError(t, cut(s.Members[0]))
		s.at("hme1", lab.Data, lab.Data6)
		s.settled("failover hme0")
		s.reachedFrom(lab.Far)
		check("after a failover")
		require.NoError(t, s.Members[0].Repair())
		s.at("hme0", lab.Data, lab.Data6)
		s.settled("repair hme0", "failback hme0")
		check("home again")
	}
	_, g := s.status("hme0")
	require.Len(t, g.Routes, 2)
	require.Equal(t, "0.0.0.0/0", g.Routes[0].To)
	require.Equal(t, lab.Router.String(), g.Routes[0].Via)
	require.Equal(t, "config", g.Routes[0].Origin)
	require.Equal(t, []string{"hme0", "hme1"}, []string(g.Routes[0].Interfaces))
}

// reachedFrom the host, which chooses its source itself.
func (s *scene) reachedFrom(to netip.Addr) {
	s.t.Helper()
	s.wait("the host to reach "+to.String(), func() (bool, error) { return s.Host.Reaches(to) })
}

// listenFar returns a function that sends a packet from an unbound socket of the host to the far
// peer, and tells the source that the far peer sees.
func (s *scene) listenFar() func(far netip.Addr) netip.Addr {
	s.t.Helper()
	conns := map[netip.Addr]*net.UDPConn{}
	for _, far := range []netip.Addr{lab.Far, lab.Far6} {
		require.NoError(s.t, s.Far.Do(func() error {
			conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(far, 0)))
			conns[far] = conn
			return err
		}))
		s.t.Cleanup(func() { require.NoError(s.t, conns[far].Close()) })
	}
	number := 0
	return func(far netip.Addr) netip.Addr {
		s.t.Helper()
		number++
		text := fmt.Sprint(number)
		var source netip.Addr
		s.wait("a packet at "+far.String(), func() (bool, error) {
			if err := s.Host.Do(func() error {
				conn, err := net.Dial("udp", conns[far].LocalAddr().String())
				if err != nil {
					return err
				}
				defer conn.Close()
				_, err = conn.Write([]byte(text))
				return err
			}); err != nil {
				return false, err
			}
			buf := make([]byte, 64)
			if err := conns[far].SetReadDeadline(time.Now().Add(time.Second)); err != nil {
				return false, err
			}
			n, from, err := conns[far].ReadFromUDPAddrPort(buf)
			source = from.Addr().Unmap()
			return err == nil && string(buf[:n]) == text, err
		})
		return source
	}
}
