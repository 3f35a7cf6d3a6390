// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shortest frame that PROG_TEST_RUN takes for both kinds of programs.
const shortest = 15

// kinds are one frame of every kind that the parsers know, as member 0 would get them, with the
// length of the headers that are read: a frame cut before it is counted as short.
func (r *rig) kinds() []struct {
	name  string
	frame []byte
	read  int
} {
	a4, t4 := testAddr(0, 0), targetAddr(0, 0)
	a6, t6 := testAddr(0, 1), targetAddr(0, 1)
	me, peer := r.mac(0), targetMAC(0)
	// Replies to a round that was never begun: nothing is taken.
	e4 := probe{0, t4, a4, me, rigICMPID, ProbeMagic, 1, 1}.frame()
	e6 := probe{1, t6, a6, me, rigICMPID, ProbeMagic, 1, 1}.frame()
	lladdr := targetMAC(0)
	return []struct {
		name  string
		frame []byte
		read  int
	}{
		{"echo reply", e4, 14 + 20 + 8 + 16},
		{"echo reply of another", probe{0, t4, a4, me, 9, ProbeMagic, 1, 1}.frame(), 14 + 20 + 8},
		{"echo reply v6", e6, 14 + 40 + 8 + 16},
		{"echo reply, VLAN 0", tagged(e4, 0xe000), 18 + 20 + 8 + 16},
		{"echo reply, VLAN 5", tagged(e4, 5), 18},
		{"echo reply with options", ether(me, peer, etherIPv4,
			ipv4(t4, a4, protoICMP, 0, []byte{1, 1, 1, 1}, echo(echoReply4, rigICMPID, ProbeMagic, 1, 1))), 14 + 20},
		{"ICMP fragment", ether(me, peer, etherIPv4,
			ipv4(t4, a4, protoICMP, 0x2000, nil, echo(echoReply4, rigICMPID, ProbeMagic, 1, 1))), 14 + 20},
		{"TCP", ether(me, peer, etherIPv4, ipv4(t4, a4, protoTCP, 0, nil, tcp([]byte("data")))), 14 + 20},
		{"UDP v6", ether(me, peer, etherIPv6, ipv6(t6, a6, protoUDP, 64, udp(1, 2, []byte("data")))), 14 + 40},
		{"ARP request", ether(broadcast, peer, etherARP, arp(arpRequest, peer, t4, mac{}, a4)), 14 + 28},
		{"ARP reply", ether(me, peer, etherARP, arp(arpReply, peer, t4, me, a4)), 14 + 28},
		{"advertisement", ether(me, peer, etherIPv6, ipv6(t6, a6, protoICMPv6, 255, advertise(t6, lladdr[:]))), 14 + 40 + 8 + 16},
		{"LLDP", ether(me, peer, 0x88cc, make([]byte, 40)), 14},
	}
}

func TestTruncated(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		for _, k := range r.kinds() {
			for size := shortest; size <= len(k.frame); size++ {
				if r.path == "tc" && cutInIP(k.frame[:size]) {
					continue
				}
				r.reset(t)
				counted := r.counted(t, func() {
					require.False(t, r.in(t, 0, k.frame[:size]), "%s of %d bytes taken", k.name, size)
				})
				short := uint64(0)
				if size < k.read {
					short = 1
				}
				require.Equal(t, short, counted["short"], "%s cut to %d bytes: %v", k.name, size, counted)
				require.Zero(t, counted["reply"], "%s", k.name)
				traffic, err := r.o.Traffic(r.number(0))
				require.NoError(t, err)
				other := uint64(1)
				if k.frame[12] == 0x81 && size < 18 {
					other = 0 // not even an Ethernet header
				}
				require.Equal(t, other, traffic.Other, "%s cut to %d bytes", k.name, size)
				require.Equal(t, other != 0, traffic.OtherNs != 0)
			}
		}
	})
}

// A program may still run on an interface that is no member any more.
func TestNotMember(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		require.NoError(t, r.o.SetMember(r.number(3), Member{}))
		for _, k := range r.kinds() {
			counted := r.counted(t, func() { require.False(t, r.in(t, 3, k.frame)) })
			require.Equal(t, map[string]uint64{"not_member": 1}, counted, k.name)
		}
	})
}

// seed is printed, and IPMP_SEED repeats it.
func seed(t testing.TB) *rand.Rand {
	t.Helper()
	n := uint64(time.Now().UnixNano())
	if s := os.Getenv("IPMP_SEED"); s != "" {
		var err error
		n, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("IPMP_SEED=%d", n)
	return rand.New(rand.NewPCG(n, 0))
}

// randomFrame is noise, or noise behind headers that lead into the parsers.
func (r *rig) randomFrame(rnd *rand.Rand) []byte {
	kinds := r.kinds()
	frame := make([]byte, shortest+rnd.IntN(200))
	for i := range frame {
		frame[i] = byte(rnd.Uint32())
	}
	if rnd.IntN(4) > 0 {
		frame = append(bytes.Clone(kinds[rnd.IntN(len(kinds))].frame), frame[14:]...)
		for range rnd.IntN(4) {
			frame[rnd.IntN(len(frame))] = byte(rnd.Uint32())
		}
		if rnd.IntN(2) == 0 {
			frame = frame[:shortest+rnd.IntN(len(frame)-shortest)]
		}
	}
	return frame
}

// Whatever comes in or goes out passes unchanged while members are usable.
func TestRandomPacketsPass(t *testing.T) {
	rnd := seed(t)
	rigs(t, func(t *testing.T, r *rig) {
		r.reset(t)
		// An ARP request for this address alone may be dropped.
		require.NoError(t, r.o.SetOwner(netip.MustParseAddr("203.0.113.1"), r.number(1)))
		for range 5000 {
			frame := r.randomFrame(rnd)
			require.False(t, r.in(t, 0, frame), "taken: % x", frame)
			action, out := r.runSkb(t, r.o.egress, r.ifindex(0), frame)
			require.Equal(t, uint32(tcUnspec), action, "% x", frame)
			require.Equal(t, frame, out)
		}
	})
}

// On a member that is not usable, a random packet leaves unchanged or redirected with nothing but
// its source MAC changed, and then it was a data packet of this member's.
func TestRandomPacketsOnUnusableMember(t *testing.T) {
	rnd := seed(t)
	r := newRig(t, true)
	ChangeWord(r.track(0), 0, r.bit(0))
	ChangeWord(r.track(1), 0, r.bit(0))
	own, to := r.mac(0), r.mac(1)
	redirected := 0
	for range 5000 {
		frame := r.randomFrame(rnd)
		if rnd.IntN(2) == 0 {
			copy(frame[6:], own[:])
		}
		action, out := r.runSkb(t, r.o.egress, r.ifindex(0), frame)
		want := bytes.Clone(frame)
		if action == tcRedirect {
			require.Equal(t, own[:], frame[6:12], "% x", frame)
			copy(want[6:], to[:])
			redirected++
		} else {
			require.Equal(t, uint32(tcUnspec), action)
		}
		require.Equal(t, want, out)
	}
	require.NotZero(t, redirected)
}
