// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var (
	castGroup4 = addr("239.1.1.1")
	castGroup6 = addr("ff0e::9")
	castMAC4   = mac{1, 0, 0x5e, 1, 1, 1}
	castMAC6   = mac{0x33, 0x33, 0, 0, 0, 9}
)

// castFrame is packet n of a feed.
func castFrame(family int, n uint32) []byte {
	payload := udp(1000, 2000, binary.BigEndian.AppendUint32(nil, n))
	if family == 0 {
		return ether(castMAC4, targetMAC(0), etherIPv4, ipv4(targetAddr(0, 0), castGroup4, protoUDP, 0, nil, payload))
	}
	return ether(castMAC6, targetMAC(0), etherIPv6, ipv6(targetAddr(0, 1), castGroup6, protoUDP, 8, payload))
}

func castOf(family int) Cast { return CastOf(rigGroup, []netip.Addr{castGroup4, castGroup6}[family]) }

// castRig hears what is given to members 0 and 1.
type castRig struct {
	*rig
	program *ebpf.Program
	taps    [2]int
}

// castRigs runs a test with both programs that deal with multicast.
func castRigs(t *testing.T, fn func(t *testing.T, r *castRig)) {
	r := newRig(t, true)
	for name, program := range map[string]*ebpf.Program{"with the rest": r.o.ingress, "beside XDP": r.o.multicast} {
		r.run(t, name, func(t *testing.T) {
			r.reset(t)
			c := &castRig{rig: r, program: program}
			for i := range c.taps {
				fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
				require.NoError(t, err)
				t.Cleanup(func() { unix.Close(fd) })
				require.NoError(t, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: r.ifindex(i)}))
				c.taps[i] = fd
			}
			fn(t, c)
			for _, known := range r.o.Casts() {
				require.NoError(t, r.o.DropFeed(known))
			}
		})
	}
}

// lease of what was asked for: it holds, or it is over.
func (c *castRig) lease(t testing.TB, holds bool) {
	until := monotonic(t) - time.Second.Nanoseconds()
	if holds {
		until += time.Hour.Nanoseconds()
	}
	for f := range Families {
		atomic.StoreUint64(&c.track(f).LeaseNs, uint64(until))
	}
}

// got is what was given to a member since the last call.
func (c *castRig) got(t testing.TB, i int) (frames [][]byte) {
	t.Helper()
	buf := make([]byte, 2000)
	for {
		n, _, err := unix.Recvfrom(c.taps[i], buf, 0)
		if errors.Is(err, unix.EAGAIN) {
			return frames
		}
		require.NoError(t, err)
		frames = append(frames, append([]byte(nil), buf[:n]...))
	}
}

// arrives lets a frame come in on a member; it says whether that hears it, and which of 0 and 1 were given it.
func (c *castRig) arrives(t testing.TB, i int, frame []byte) (heard bool, given []int) {
	t.Helper()
	counted := c.counted(t, func() {
		action, out := c.runSkb(t, c.program, c.ifindex(i), frame)
		require.Equal(t, uint32(tcUnspec), action)
		require.Equal(t, frame, out)
	})
	for j := range c.taps {
		for _, got := range c.got(t, j) {
			require.Equal(t, frame, got, "given to member %d", j)
			given = append(given, j)
		}
	}
	require.EqualValues(t, len(given), counted["cast_carried"])
	require.Zero(t, counted["lookup"]+counted["cast_refused"])
	return counted["cast_hidden"] == 0, given
}

// TestCastWhoHears: every row is one packet that comes in on a member, on its first.
func TestCastWhoHears(t *testing.T) {
	castRigs(t, func(t *testing.T, c *castRig) {
		for _, row := range []struct {
			name          string
			joined, asked []int
			unusable      []int
			over          bool // the lease
			on            int
			heard         bool
			given         []int
		}{
			{name: "nobody has joined", on: 1, heard: true},
			{name: "joined here", joined: []int{1}, on: 1, heard: true},
			{name: "joined elsewhere, not asked for here: the IP stack does not take it", joined: []int{0}, on: 1, heard: true},
			{name: "asked for here", joined: []int{0}, asked: []int{1}, on: 1},
			{name: "asked for here, by somebody who is gone", joined: []int{0}, asked: []int{1}, over: true, on: 1, heard: true},
			{name: "asked for and joined here", joined: []int{0, 1}, asked: []int{1}, on: 1, heard: true},
			{name: "failed, on its survivor", joined: []int{0}, asked: []int{1}, unusable: []int{0}, on: 1, given: []int{0}},
			{name: "failed, on its survivor, not asked for yet", joined: []int{0}, unusable: []int{0}, on: 1, heard: true, given: []int{0}},
			{name: "failed, on its survivor, which has joined", joined: []int{0, 1}, unusable: []int{0}, on: 1, heard: true, given: []int{0}},
			{name: "failed, on another member", joined: []int{0}, asked: []int{1, 2}, unusable: []int{0}, on: 2},
			{name: "failed, and its survivor too", joined: []int{0}, unusable: []int{0, 1}, on: 2, heard: true, given: []int{0}},
			{name: "two have failed", joined: []int{0, 1}, asked: []int{2}, unusable: []int{0, 1}, on: 2, given: []int{0, 1}},
			{name: "failed, on itself", joined: []int{0}, unusable: []int{0}, on: 0, heard: true},
			{name: "all have failed", joined: []int{0}, unusable: []int{0, 1, 2, 3}, on: 0, heard: true},
			{name: "failed, but has not joined", joined: []int{2}, unusable: []int{0}, on: 1, heard: true},
		} {
			for family := range Families {
				mask := func(list []int) (bits uint32) {
					for _, i := range list {
						bits |= c.bit(i)
					}
					return bits
				}
				require.NoError(t, c.o.DropFeed(castOf(family)))
				if len(row.joined)+len(row.asked) > 0 {
					require.NoError(t, c.o.SetFeed(castOf(family), mask(row.joined), mask(row.asked)))
				}
				c.lease(t, !row.over)
				ChangeWord(c.track(family), 0, mask(row.unusable))
				heard, given := c.arrives(t, row.on, castFrame(family, 1))
				require.Equal(t, row.heard, heard, "%s, family %d", row.name, family)
				require.Equal(t, row.given, given, "%s, family %d", row.name, family)
				ChangeWord(c.track(family), mask([]int{0, 1, 2, 3}), 0)
			}
		}
	})
}

// Member 0 has failed, and everything that comes in on its survivor is for the group; what may not be touched is not.
func TestCastPasses(t *testing.T) {
	castRigs(t, func(t *testing.T, c *castRig) {
		for family := range Families {
			require.NoError(t, c.o.SetFeed(castOf(family), c.bit(0), c.bit(1)))
			ChangeWord(c.track(family), 0, c.bit(0))
		}
		c.lease(t, true)
		to4, to6 := castGroup4, castGroup6
		payload := udp(1, 2, []byte("payload"))
		for name, frame := range map[string][]byte{
			"IGMP": ether(castMAC4, targetMAC(0), etherIPv4, ipv4(targetAddr(0, 0), to4, protoIGMP, 0, []byte{0x94, 4, 0, 0}, make([]byte, 8))),
			"MLD": ether(castMAC6, targetMAC(0), etherIPv6, ipv6(targetAddr(0, 1), to6, 0, 1,
				append(hopByHop(protoICMPv6), 130, 0, 0, 0, 0, 0, 0, 0))),
			"unicast in a multicast frame":    ether(castMAC4, targetMAC(0), etherIPv4, ipv4(targetAddr(0, 0), testAddr(1, 0), protoUDP, 0, nil, payload)),
			"unicast v6 in a multicast frame": ether(castMAC6, targetMAC(0), etherIPv6, ipv6(targetAddr(0, 1), testAddr(1, 1), protoUDP, 8, payload)),
			"another group":                   ether(castMAC4, targetMAC(0), etherIPv4, ipv4(targetAddr(0, 0), addr("239.129.1.1"), protoUDP, 0, nil, payload)),
			"unicast frame":                   ether(c.mac(1), targetMAC(0), etherIPv4, ipv4(targetAddr(0, 0), to4, protoUDP, 0, nil, payload)),
			"tagged":                          tagged(castFrame(0, 1), 5),
			"broadcast ARP":                   ether(broadcast, targetMAC(0), etherARP, arp(arpRequest, targetMAC(0), targetAddr(0, 0), mac{}, testAddr(1, 0))),
		} {
			heard, given := c.arrives(t, 1, frame)
			require.True(t, heard, name)
			require.Empty(t, given, name)
		}
		for name, frame := range map[string][]byte{
			"short":        ether(castMAC4, targetMAC(0), etherIPv4, ipv4(targetAddr(0, 0), to4, protoUDP, 0, nil, nil)),
			"with options": ether(castMAC4, targetMAC(0), etherIPv4, ipv4(targetAddr(0, 0), to4, protoUDP, 0, make([]byte, 40), payload)),
			"fragment":     ether(castMAC4, targetMAC(0), etherIPv4, ipv4(targetAddr(0, 0), to4, protoUDP, 0x2000, nil, payload)),
		} {
			heard, given := c.arrives(t, 1, frame)
			require.False(t, heard, name)
			require.Equal(t, []int{0}, given, name)
		}
	})
}

// TestCastChangesOver: a feed that two wires bring goes over from one to the other without a gap, and nothing is heard
// twice. Of every row, what member 0 hears is numbered on without a hole.
func TestCastChangesOver(t *testing.T) {
	const fail, repair, quiet = "fail", "repair", "quiet"
	type packet struct {
		on int
		n  uint32
	}
	for _, row := range []struct {
		name  string
		steps []any
		hears []uint32
	}{
		{"a silent wire", []any{packet{0, 1}, packet{1, 1}, fail, packet{1, 2}, packet{1, 3}}, []uint32{1, 2, 3}},
		{"its own wire goes on, and is first",
			[]any{packet{0, 1}, packet{1, 1}, fail, packet{0, 2}, packet{1, 2}, packet{0, 3}, packet{1, 3}}, []uint32{1, 2, 3}},
		{"its own wire goes on, and is last",
			[]any{packet{1, 1}, packet{0, 1}, fail, packet{1, 2}, packet{0, 2}, packet{1, 3}, packet{0, 3}}, []uint32{1, 2, 3}},
		{"its own wire is ahead by a burst", []any{packet{0, 1}, packet{1, 1}, fail, packet{0, 2}, packet{0, 3}, packet{0, 4},
			packet{1, 2}, packet{1, 3}, packet{1, 4}, packet{0, 5}, packet{1, 5}}, []uint32{1, 2, 3, 4, 5}},
		{"the survivor does not get it yet", []any{packet{0, 1}, fail, packet{0, 2}, packet{0, 3}, packet{1, 3}, packet{0, 4}, packet{1, 4}},
			[]uint32{1, 2, 3, 4}},
		{"its own wire falls silent", []any{fail, packet{0, 1}, packet{0, 2}, quiet, packet{1, 3}, packet{1, 4}}, []uint32{1, 2, 3, 4}},
		{"repaired, its own wire is first", []any{fail, packet{1, 1}, repair, packet{0, 2}, packet{1, 2}, packet{0, 3}, packet{1, 3}},
			[]uint32{1, 2, 3}},
		{"repaired, its own wire is last", []any{fail, packet{1, 1}, repair, packet{1, 2}, packet{0, 2}, packet{1, 3}, packet{0, 3}},
			[]uint32{1, 2, 3}},
		{"repaired, its own wire does not bring it yet", []any{fail, packet{1, 1}, repair, packet{1, 2}, packet{1, 3}, packet{0, 3},
			packet{0, 4}, packet{1, 4}}, []uint32{1, 2, 3, 4}},
		{"repaired, and the survivor's falls silent", []any{fail, packet{1, 1}, repair, packet{1, 2}, quiet, packet{0, 3}, packet{0, 4}},
			[]uint32{1, 2, 3, 4}},
		{"a slow feed", []any{packet{0, 1}, packet{1, 1}, quiet, fail, packet{1, 2}, packet{0, 2}, quiet, packet{1, 3}, packet{0, 3}, quiet,
			repair, packet{1, 4}, packet{0, 4}, quiet, packet{1, 5}, packet{0, 5}}, []uint32{1, 2, 3, 4, 5}},
		{"flaps", []any{fail, repair, packet{0, 1}, packet{1, 1}, fail, packet{1, 2}, repair, fail, packet{1, 3}, repair, packet{0, 4},
			packet{1, 4}, packet{0, 5}}, []uint32{1, 2, 3, 4, 5}},
	} {
		t.Run(row.name, func(t *testing.T) {
			castRigs(t, func(t *testing.T, c *castRig) {
				for family := range Families {
					require.NoError(t, c.o.SetFeed(castOf(family), c.bit(0), c.bit(1)))
					c.lease(t, true)
					// Wires are neither as quick nor as slow as the machine that tests.
					wires := func(age time.Duration) {
						for i := range c.o.feeds[c.o.casts[castOf(family)]].Wire {
							if w := &c.o.feeds[c.o.casts[castOf(family)]].Wire[i]; w.Ns != 0 {
								w.Ns = uint64(monotonic(t) - age.Nanoseconds())
							}
						}
					}
					var hears []uint32
					for _, step := range row.steps {
						switch step {
						case fail:
							ChangeWord(c.track(family), 0, c.bit(0))
						case repair:
							ChangeWord(c.track(family), c.bit(0), 0)
						case quiet:
							wires(time.Second)
						default:
							p := step.(packet)
							heard, given := c.arrives(t, p.on, castFrame(family, p.n))
							if p.on == 0 && heard || len(given) == 1 {
								hears = append(hears, p.n)
							}
							wires(-time.Hour)
						}
					}
					require.Equal(t, row.hears, hears, "family %d", family)
					ChangeWord(c.track(family), c.bit(0), 0)
				}
			})
		})
	}
}

// TestCastDown: a member that is down takes nothing, which is counted; what others hear stays right.
func TestCastDown(t *testing.T) {
	castRigs(t, func(t *testing.T, c *castRig) {
		require.NoError(t, c.nl.LinkSetDown(c.links[0]))
		require.NoError(t, c.o.SetFeed(castOf(0), c.bit(0), c.bit(1)))
		c.lease(t, true)
		ChangeWord(c.track(0), 0, c.bit(0))
		counted := c.counted(t, func() {
			action, _ := c.runSkb(t, c.program, c.ifindex(1), castFrame(0, 1))
			require.Equal(t, uint32(tcUnspec), action)
		})
		delete(counted, "not_member")
		require.Equal(t, map[string]uint64{"cast_refused": 1, "cast_hidden": 1}, counted)
		require.NoError(t, c.nl.LinkSetUp(c.links[0]))
	})
}

// What is given to a member is not counted there, and not dealt with again.
func TestCastIsNotTraffic(t *testing.T) {
	castRigs(t, func(t *testing.T, c *castRig) {
		require.NoError(t, c.o.SetFeed(castOf(0), c.bit(0), 0))
		ChangeWord(c.track(0), 0, c.bit(0))
		require.NoError(t, c.hooks[0].Detach())
		hook, err := c.o.AttachAuto(c.ifindex(0))
		require.NoError(t, err)
		defer func() {
			require.NoError(t, hook.Detach())
			c.hooks[0], err = c.o.Attach(c.ifindex(0), ModeXDP)
			require.NoError(t, err)
		}()
		before, err := c.o.Traffic(c.number(0))
		require.NoError(t, err)
		heard, given := c.arrives(t, 1, castFrame(0, 1))
		require.True(t, heard)
		require.Equal(t, []int{0}, given)
		after, err := c.o.Traffic(c.number(0))
		require.NoError(t, err)
		require.Equal(t, before.Other, after.Other)
		feed, _ := c.o.Feed(castOf(0))
		require.Equal(t, c.bit(0), feed.Fed, "it came in on the survivor")
	})
}

// TestFeeds: groups come and go, and there is an end to them.
func TestFeeds(t *testing.T) {
	o := loadForTest(t, Options{})
	group := func(i int) Cast { return CastOf(i%Groups, netip.AddrFrom4([4]byte{239, 0, byte(i >> 8), byte(i)})) }
	for i := range Feeds {
		require.NoError(t, o.SetFeed(group(i), 1, 2))
	}
	require.ErrorIs(t, o.SetFeed(group(Feeds), 1, 2), ErrFeedsFull)
	require.NoError(t, o.SetFeed(group(7), 4, 8), "it is there")
	f, known := o.Feed(group(7))
	require.True(t, known)
	require.Equal(t, Feed{Joined: 4, Asked: 8}, f)
	require.NoError(t, o.DropFeed(group(7)))
	require.NoError(t, o.DropFeed(group(7)))
	_, known = o.Feed(group(7))
	require.False(t, known)
	require.NoError(t, o.SetFeed(group(Feeds), 1, 2))
	require.Len(t, o.Casts(), Feeds)
	require.NoError(t, o.recallCasts())
	require.Len(t, o.Casts(), Feeds)
}
