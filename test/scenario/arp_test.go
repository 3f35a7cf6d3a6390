// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

const (
	etherARP = 0x0806
	arpReply = 2
	// listen is how long answers are collected: that there is no second one can only be waited for.
	listen = 100 * time.Millisecond
)

// whoHas asks for an address by broadcast from the peer and returns the members that answer, one
// name for each answer.
func (s *scene) whoHas(a netip.Addr) []string {
	s.t.Helper()
	l, err := s.Peer.Link("eth0")
	require.NoError(s.t, err)
	mac := l.Attrs().HardwareAddr
	protocol := binary.NativeEndian.Uint16([]byte{etherARP >> 8, etherARP & 0xff})
	var fd int
	require.NoError(s.t, s.Peer.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(protocol))
		return err
	}))
	defer unix.Close(fd)
	require.NoError(s.t, unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: l.Attrs().Index, Protocol: protocol}))
	request := lab.GratuitousARP(mac, lab.Peer)
	copy(request[38:], a.AsSlice())
	require.NoError(s.t, unix.Sendto(fd, request, 0, &unix.SockaddrLinklayer{Ifindex: l.Attrs().Index}))

	var names []string
	end := time.Now().Add(listen)
	buf := make([]byte, 128)
	for time.Now().Before(end) {
		timeout := unix.NsecToTimeval(max(int64(time.Until(end)), int64(time.Millisecond)))
		require.NoError(s.t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout))
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		require.NoError(s.t, err)
		if n < 42 || buf[21] != arpReply || !slices.Equal(buf[28:32], a.AsSlice()) || !slices.Equal(buf[0:6], mac) {
			continue
		}
		from := net.HardwareAddr(buf[22:28]).String()
		i := slices.IndexFunc(s.Members, func(m *lab.Member) bool { return m.MAC().String() == from })
		require.GreaterOrEqual(s.t, i, 0, "an answer from %s", from)
		names = append(names, s.Members[i].Name)
	}
	return names
}

// TestOneMemberAnswersARP for each address: the owner for the data address, also right after a
// verdict with user space stopped, and the member itself for its test address.
func TestOneMemberAnswersARP(t *testing.T) {
	s := stage(t, setup{lab: lab.Options{Members: 3}})
	tr := s.traffic()
	tests := func() {
		t.Helper()
		for i, m := range s.Members {
			require.Equal(t, []string{m.Name}, s.whoHas(lab.TestAddr(i)), "test address of %s", m.Name)
		}
	}
	for range 5 {
		require.Equal(t, []string{"hme0"}, s.whoHas(lab.Data))
	}
	tests()

	// Only probes are lost, so that the failed member hears requests, and could answer.
	for _, m := range s.Members[1:] {
		require.NoError(t, m.Port.Reset(faults.From, faults.Announced))
	}
	require.NoError(t, s.Members[0].Port.Set(faults.Drop(faults.To, faults.Echo())))
	s.wait("the first announcement", func() (bool, error) {
		return s.count(s.Members[1].Port, faults.From, faults.Announced) > 0, nil
	})
	require.NoError(t, s.daemon.Signal(syscall.SIGSTOP))
	for range 5 {
		require.Equal(t, []string{"hme1"}, s.whoHas(lab.Data), "after the verdict, user space stopped")
	}
	tests()
	require.NoError(t, s.daemon.Signal(syscall.SIGCONT))
	s.expect("failover hme0")
	tests()
	for range 5 {
		require.Equal(t, []string{"hme1"}, s.whoHas(lab.Data))
	}
	tr.flows(faults.Now())

	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")
	for range 5 {
		require.Equal(t, []string{"hme0"}, s.whoHas(lab.Data))
	}
}

// TestAddressOfTheLoopback: what the host has besides, and peers reach through a member, answers
// before, during and after a failover.
func TestAddressOfTheLoopback(t *testing.T) {
	loopback := netip.MustParseAddr("203.0.113.5")
	s := stage(t, setup{prepare: func(t *testing.T, s *scene) {
		lo, err := s.Host.Link("lo")
		require.NoError(t, err)
		require.NoError(t, s.Host.Netlink.LinkSetUp(lo))
		require.NoError(t, s.Host.AddAddr("lo", loopback.String()+"/32"))
	}})
	require.NoError(t, s.Peer.Netlink.RouteAdd(&netlink.Route{
		Dst: &net.IPNet{IP: loopback.AsSlice(), Mask: net.CIDRMask(32, 32)}, Gw: lab.Data.AsSlice()}))
	answers := func() {
		t.Helper()
		s.reached(loopback)
		require.NotEmpty(t, s.whoHas(loopback), "nobody owns it, so anybody may answer")
	}
	answers()
	require.NoError(t, s.Members[0].CutSilent())
	answers()
	s.expect("failover hme0")
	answers()
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")
	answers()
}

// TestFirstAnnouncementLost on the switch: the repeated one brings inbound traffic back.
func TestFirstAnnouncementLost(t *testing.T) {
	s := stage(t, setup{})
	tr := s.traffic()
	p := s.Members[1].Port
	require.NoError(t, p.Set(faults.Burst(faults.From, faults.Announcement(), 5*time.Millisecond)))
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	tr.flows(faults.Now())
	states, err := p.States()
	require.NoError(t, err)
	require.Positive(t, states[0].Dropped)
	require.Greater(t, states[0].Matched, states[0].Dropped, "one was repeated")
	require.NoError(t, p.Heal())
	s.at("hme1", lab.Data)
}
