// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestJoins: what the kernel of this machine has of our sockets, before and after each change.
func TestJoins(t *testing.T) {
	s := newSpace(t)
	s.ip("link", "add", "hme0", "type", "veth", "peer", "name", "wire")
	s.ip("link", "set", "hme0", "up")
	var link int
	s.do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		ifr, err := unix.NewIfreq("hme0")
		if err != nil {
			return err
		}
		err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr)
		link = int(ifr.Uint32())
		return err
	})
	// users of a group, and how often each source is asked for.
	users := func(line string) (n string) {
		s.do(func() error {
			for _, name := range []string{"igmp", "igmp6"} {
				b, err := os.ReadFile("/proc/thread-self/net/" + name)
				if err != nil {
					return err
				}
				for text := range strings.Lines(string(b)) {
					f := strings.Fields(text)
					if len(f) > 1 && f[0] == line {
						n = f[1]
					}
					if len(f) > 3 && f[2] == line {
						n = f[3]
					}
				}
			}
			return nil
		})
		return n
	}
	sources := func(name string) (n int) {
		s.do(func() error {
			b, err := os.ReadFile("/proc/thread-self/net/" + name)
			n = strings.Count(string(b), "\n") - 1
			return err
		})
		return n
	}
	j := NewJoins()
	set := func(list ...Heard) (failed []Heard) {
		s.do(func() error {
			failed, _ = j.Set(list)
			return nil
		})
		return failed
	}
	group4, group6 := ip1("239.1.1.1"), ip1("ff0e::9")
	const text4, text6 = "010101EF", "ff0e0000000000000000000000000009"
	var many []netip.Addr
	for i := range 25 {
		many = append(many, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
	}

	require.Empty(t, set(Heard{link, group4, nil}, Heard{link, group6, nil}))
	require.Equal(t, "1", users(text4))
	require.Equal(t, "1", users(text6))
	require.Equal(t, Own{Users: 1}, j.Own(link, group4))
	require.Empty(t, set(Heard{link, group4, nil}, Heard{link, group6, nil}), "the same again")
	require.Equal(t, "1", users(text4))

	require.Empty(t, set(Heard{link, group4, many}, Heard{link, group6, ips("2001:db8::1 2001:db8::2")}), "sources in place of any")
	require.Equal(t, Own{Users: 3, Sources: many}, j.Own(link, group4))
	require.Equal(t, "3", users(text4), "a socket takes ten sources")
	require.Equal(t, "1", users(text6))
	require.Equal(t, len(many), sources("mcfilter"))
	require.Equal(t, 2, sources("mcfilter6"))

	require.Empty(t, set(Heard{link, group4, many[:1]}))
	require.Equal(t, "1", users(text4))
	require.Equal(t, "", users(text6))
	require.Equal(t, 1, sources("mcfilter"))

	var all []Heard
	for i := range 100 {
		all = append(all, Heard{link, netip.AddrFrom4([4]byte{239, 2, 0, byte(i)}), nil})
	}
	require.Empty(t, set(all...), "more than a socket takes")
	for i := range all {
		require.Equal(t, "1", users(fmt.Sprintf("%02X0002EF", i)))
	}
	require.Equal(t, "", users(text4))

	gone := Heard{link + 1000, group4, nil}
	require.Equal(t, []Heard{gone}, set(gone), "no such interface")
	require.Equal(t, Own{}, j.Own(gone.Link, group4))
	require.Equal(t, "", users("000002EF"))
	s.do(j.Close)
}
