// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// What kernels print; 010000E0 is 224.0.0.1 where bytes are little-endian.
const (
	igmpText = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n" +
		"1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n" +
		"12\thme0      :     3      V2\n\t\t\t\t010101EF     2 0:00000000\t\t1\n\t\t\t\t010101E8     1 1:0000000C\t\t0\n\t\t\t\t010000E0     1 0:00000000\t\t0\n"
	mcfilterText = "Idx Device        MCA        SRC    INC    EXC\n" +
		" 12   hme0 0xe8010101 0xc0000264      1      0\n 12   hme0 0xef010101 0xc0000265      0      1\n" +
		" 99   gone 0xef010101 0xc0000265      0      1\n"
	igmp6Text = "1    lo              ff020000000000000000000000000001     1 0000000C 0\n" +
		"12   hme0            ff0e0000000000000000000000000009     3 00000004 0\n"
	mcfilter6Text = "Idx Device                Multicast Address                   Source Address    INC    EXC\n" +
		" 12   hme0 ff0e0000000000000000000000000009 20010db8000000000000000000000100      2      0\n"
)

func writeTables(t *testing.T, tables map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range tables {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

func TestMemberships(t *testing.T) {
	ip := netip.MustParseAddr
	list, queriers, err := membershipsIn(writeTables(t, map[string]string{
		"igmp": igmpText, "mcfilter": mcfilterText, "igmp6": igmp6Text, "mcfilter6": mcfilter6Text}))
	require.NoError(t, err)
	require.Equal(t, []Membership{
		{Link: 1, Group: ip("224.0.0.1"), Users: 1},
		{Link: 12, Group: ip("239.1.1.1"), Users: 2, Sources: []MembershipSource{{ip("192.0.2.101"), 0, 1}}},
		{Link: 12, Group: ip("232.1.1.1"), Users: 1, Sources: []MembershipSource{{ip("192.0.2.100"), 1, 0}}},
		{Link: 12, Group: ip("224.0.0.1"), Users: 1},
		{Link: 1, Group: ip("ff02::1"), Users: 1},
		{Link: 12, Group: ip("ff0e::9"), Users: 3, Sources: []MembershipSource{{ip("2001:db8::100"), 2, 0}}},
	}, list)
	require.Equal(t, map[int]int{12: 2}, queriers)

	list, queriers, err = membershipsIn(writeTables(t, map[string]string{"igmp": igmpText}))
	require.NoError(t, err, "a kernel without IPv6")
	require.Len(t, list, 4)
	require.Equal(t, map[int]int{12: 2}, queriers)
	list, _, err = membershipsIn(t.TempDir())
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestMembershipErrors(t *testing.T) {
	for name, tables := range map[string]map[string]string{
		"an interface without an index":  {"igmp": "head\nx\thme0 : 1 V3\n"},
		"a group that is no number":      {"igmp": "head\n1\tlo : 1 V3\n\t\t\t\tnothing     1 0:0\n"},
		"users that are no number":       {"igmp": "head\n1\tlo : 1 V3\n\t\t\t\t010000E0     x 0:0\n"},
		"a short line":                   {"igmp": "head\n1\n"},
		"a short line of IPv6":           {"igmp6": "1 lo\n"},
		"a group of IPv6 that is short":  {"igmp6": "1 lo ff02 1 0 0\n"},
		"a short line of a filter":       {"mcfilter": "head\n1 lo\n"},
		"a source that is no number":     {"mcfilter": "head\n1 lo 0xe0000001 0xq 1 1\n"},
		"a source of IPv6 that is short": {"mcfilter6": "head\n1 lo ff020000000000000000000000000001 20 1 1\n"},
	} {
		_, _, err := membershipsIn(writeTables(t, tables))
		require.ErrorIs(t, err, errMembership, name)
	}
}

// The kernel of this machine: what a socket joins is listed, and told where there is news.
func TestMembershipsOfTheKernel(t *testing.T) {
	s := newSpace(t)
	s.ip("link", "add", "hme0", "type", "veth", "peer", "name", "wire")
	s.ip("link", "set", "hme0", "up")
	var link int
	s.do(func() (err error) {
		l, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(l)
		ifr, err := unix.NewIfreq("hme0")
		if err == nil {
			err = unix.IoctlIfreq(l, unix.SIOCGIFINDEX, ifr)
			link = int(ifr.Uint32())
		}
		return err
	})
	var news *MembershipNews
	var told atomic.Int32
	s.do(func() (err error) {
		news, err = OpenMembershipNews()
		if errors.Is(err, ErrNoMembershipNews) {
			t.Log(err)
			return nil
		}
		return err
	})
	if news != nil {
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- news.Run(ctx, func() { told.Add(1) }) }()
		defer func() {
			stop()
			require.NoError(t, <-done)
			require.NoError(t, news.Close())
		}()
	}
	group4, group6 := netip.MustParseAddr("239.1.1.1"), netip.MustParseAddr("ff0e::9")
	var fds [2]int
	s.do(func() (err error) {
		for i, family := range []int{unix.AF_INET, unix.AF_INET6} {
			if fds[i], err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
				return err
			}
		}
		if err := unix.SetsockoptIPMreqn(fds[0], unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP,
			&unix.IPMreqn{Multiaddr: group4.As4(), Ifindex: int32(link)}); err != nil {
			return err
		}
		return unix.SetsockoptIPv6Mreq(fds[1], unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP,
			&unix.IPv6Mreq{Multiaddr: group6.As16(), Interface: uint32(link)})
	})
	users := func(group netip.Addr) (n int) {
		s.do(func() error {
			list, _, err := Memberships()
			for _, m := range list {
				if m.Link == link && m.Group == group {
					n = m.Users
				}
			}
			return err
		})
		return n
	}
	require.Equal(t, 1, users(group4))
	require.Equal(t, 1, users(group6))
	if news != nil {
		eventually(t, "news of who has joined", func() bool { return told.Load() > 0 })
	}
	for _, fd := range fds {
		require.NoError(t, unix.Close(fd))
	}
	eventually(t, "nobody to hear", func() bool { return users(group4)+users(group6) == 0 })
}
