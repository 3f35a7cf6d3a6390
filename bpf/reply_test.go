// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// families is t.Run for both.
func families(t *testing.T, r *rig, fn func(t *testing.T, family int)) {
	for family, name := range []string{"ipv4", "ipv6"} {
		r.run(t, name, func(t *testing.T) {
			r.pin(t)
			r.reset(t)
			fn(t, family)
		})
	}
}

func TestReplyAccepted(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		families(t, r, func(t *testing.T, family int) {
			const n = 200
			r.begin(t, family, n, 300*time.Microsecond, 1, 0, 1)
			before := uint64(monotonic(t))
			counted := r.counted(t, func() { r.reply(t, 0, family, n) })
			after := uint64(monotonic(t))
			require.Equal(t, map[string]uint64{"reply": 1}, counted)
			inst, track := r.inst(0, family), r.track(family)
			slot := inst.Slot[n&WindowMask]
			require.EqualValues(t, n, slot.Acked)
			require.GreaterOrEqual(t, slot.RttNs, uint32(300000))
			require.EqualValues(t, n, inst.Acked)
			require.EqualValues(t, 1, inst.Replies)
			require.Equal(t, slot.RttNs, inst.RttNs)
			require.Equal(t, slot.RttNs, inst.RttMinNs)
			require.Equal(t, slot.RttNs/2, inst.RttDevNs)
			require.GreaterOrEqual(t, inst.LastReplyNs, before)
			require.LessOrEqual(t, inst.LastReplyNs, after)
			require.EqualValues(t, r.pin(t)+1, inst.ReplyCpu[1])
			require.Zero(t, inst.ReplyCpu[0])
			round := track.Round[n&WindowMask]
			require.EqualValues(t, n, round.Answered)
			require.Equal(t, inst.LastReplyNs, round.AnsweredNs)
			require.EqualValues(t, 1, track.Answered)
			traffic, err := r.o.Traffic(r.number(0))
			require.NoError(t, err)
			require.EqualValues(t, 1, traffic.Replies)
			require.Equal(t, inst.LastReplyNs, traffic.ReplyNs)
			require.Zero(t, traffic.Other)
			require.EqualValues(t, n, traffic.Seen[family])

			// The second member's reply does not answer it again.
			r.reply(t, 1, family, n)
			require.Equal(t, round, track.Round[n&WindowMask])
			require.EqualValues(t, 1, track.Answered)
			// A duplicate is taken, and counts for nothing.
			was := *inst
			counted = r.counted(t, func() { r.reply(t, 0, family, n) })
			require.Equal(t, map[string]uint64{"reply_duplicate": 1}, counted)
			require.Equal(t, was, *inst)
		})
	})
}

func TestReplyRefused(t *testing.T) {
	const n = 200
	rows := []struct {
		name    string
		change  func(r *rig, p *probe)
		counter string // "": none
	}{
		{"window: older", func(_ *rig, p *probe) { p.round = n - uint32(Window) }, "reply_window"},
		{"window: not begun", func(_ *rig, p *probe) { p.round = n + 1 }, "reply_window"},
		{"window: round of the slot long ago", func(_ *rig, p *probe) { p.round = n - 1 }, "reply_window"},
		{"nonce", func(_ *rig, p *probe) { p.nonce++ }, "reply_nonce"},
		{"nonce of another round", func(_ *rig, p *probe) { p.nonce = nonceOf(n - 2) }, "reply_nonce"},
		{"from another address", func(_ *rig, p *probe) { p.from = p.to }, "reply_source"},
		{"from the other target", func(_ *rig, p *probe) { p.from = targetAddr(1, p.family) }, "reply_source"},
		{"to a sibling's address", func(_ *rig, p *probe) { p.to = testAddr(1, p.family) }, "reply_destination"},
		{"to a sibling's MAC", func(r *rig, p *probe) { p.toMAC = r.mac(1) }, "reply_destination"},
		{"to broadcast", func(_ *rig, p *probe) { p.toMAC = broadcast }, "reply_destination"},
		{"magic", func(_ *rig, p *probe) { p.magic++ }, "reply_magic"},
		{"identifier", func(_ *rig, p *probe) { p.id++ }, ""},
	}
	rigs(t, func(t *testing.T, r *rig) {
		families(t, r, func(t *testing.T, family int) {
			r.begin(t, family, n-2, 3*time.Millisecond, 0, 0)
			r.begin(t, family, n, time.Millisecond, 0, 0)
			was := *r.inst(0, family)
			for _, row := range rows {
				p := r.goodProbe(0, family, n)
				row.change(r, &p)
				want := map[string]uint64{}
				if row.counter != "" {
					want[row.counter] = 1
				}
				counted := r.counted(t, func() { require.False(t, r.in(t, 0, p.frame()), row.name) })
				require.Equal(t, want, counted, row.name)
				require.Equal(t, was, *r.inst(0, family), row.name)
				require.Zero(t, r.track(family).Answered, row.name)
			}
		})
	})
}

func TestReplyTagsOptionsFragments(t *testing.T) {
	const n = 200
	rigs(t, func(t *testing.T, r *rig) {
		r.reset(t)
		r.begin(t, 0, n, time.Millisecond, 0, 0)
		r.begin(t, 1, n, time.Millisecond, 0, 0)
		for family := range Families {
			good := r.goodProbe(0, family, n).frame()
			require.False(t, r.in(t, 0, tagged(good, 5)), "VLAN 5")
			require.Zero(t, r.inst(0, family).Replies)
			require.True(t, r.in(t, 0, tagged(good, 0xe000)), "VLAN 0 with a priority")
			require.EqualValues(t, 1, r.inst(0, family).Replies)
		}
		message := echo(echoReply4, rigICMPID, ProbeMagic, n, nonceOf(n))
		for name, ip := range map[string][]byte{
			"options":        ipv4(targetAddr(0, 0), testAddr(0, 0), protoICMP, 0, []byte{1, 1, 1, 0}, message),
			"more fragments": ipv4(targetAddr(0, 0), testAddr(0, 0), protoICMP, 0x2000, nil, message),
			"last fragment":  ipv4(targetAddr(0, 0), testAddr(0, 0), protoICMP, 1, nil, message),
		} {
			counted := r.counted(t, func() {
				require.False(t, r.in(t, 0, ether(r.mac(0), targetMAC(0), etherIPv4, ip)), name)
			})
			require.Empty(t, counted, name)
		}
		ext := ipv6(targetAddr(0, 1), testAddr(0, 1), 0, 64, append(hopByHop(protoICMPv6),
			echo(echoReply6, rigICMPID, ProbeMagic, n, nonceOf(n))...))
		require.False(t, r.in(t, 0, ether(r.mac(0), targetMAC(0), etherIPv6, ext)))
	})
}

// Rounds are numbered by 32 bits: 2.5 days at 100 us are half of them.
func TestReplyAfterLongTime(t *testing.T) {
	rows := []struct {
		name         string
		acked, round uint32
	}{
		{"never answered, first half", 0, 0x7fffffff},
		{"never answered, second half", 0, 0x80000010},
		{"answered half ago", 200, 0x800000f0},
		{"answered longer ago", 200, 0xfffffff0},
		{"numbers begin again", 0xffffffff, uint32(Window)},
	}
	rigs(t, func(t *testing.T, r *rig) {
		for _, row := range rows {
			r.reset(t)
			r.inst(0, 0).Acked = row.acked
			r.begin(t, 0, row.round, time.Millisecond, 0, 0)
			r.reply(t, 0, 0, row.round)
			require.Equal(t, row.round, r.inst(0, 0).Acked, row.name)
		}
	})
}

func TestReplyOutOfOrder(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		r.reset(t)
		for n := uint32(200); n < 204; n++ {
			r.begin(t, 0, n, time.Millisecond, 0, 0)
		}
		r.reply(t, 0, 0, 203)
		r.reply(t, 0, 0, 201)
		require.EqualValues(t, 203, r.inst(0, 0).Acked, "only grows")
		require.EqualValues(t, 201, r.inst(0, 0).Slot[201&WindowMask].Acked)
		require.EqualValues(t, 2, r.track(0).Answered)
	})
}

// A stamp of another CPU may be ahead of ours.
func TestReplyBeforeItsRoundBegan(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		r.reset(t)
		r.begin(t, 0, 200, -time.Hour, 0, 0)
		r.reply(t, 0, 0, 200)
		require.Zero(t, r.inst(0, 0).Slot[200&WindowMask].RttNs)
	})
}

func TestReplyRTTSmoothed(t *testing.T) {
	r := newRig(t, true)
	inst := r.inst(0, 0)
	inst.RttNs, inst.RttDevNs, inst.RttMinNs = 800, 400, 800
	r.begin(t, 0, 200, time.Second, 0, 0)
	r.reply(t, 0, 0, 200)
	rtt := inst.Slot[200&WindowMask].RttNs
	require.GreaterOrEqual(t, rtt, uint32(time.Second))
	require.EqualValues(t, 800+(rtt-800)>>3, inst.RttNs)
	require.EqualValues(t, 400+(rtt-800-400)>>2, inst.RttDevNs)
	require.EqualValues(t, 800, inst.RttMinNs)
	r.begin(t, 0, 201, time.Hour, 0, 0)
	r.reply(t, 0, 0, 201)
	require.EqualValues(t, 0x7fffffff, inst.Slot[201&WindowMask].RttNs, "saturates")
}

// neighbour is an ARP reply or an advertisement of a target.
func neighbour(family int, to, from mac, addr netip.Addr) []byte {
	if family == 0 {
		return ether(to, from, etherARP, arp(arpReply, from, addr, to, testAddr(0, 0)))
	}
	return ether(to, from, etherIPv6, ipv6(addr, testAddr(0, 1), protoICMPv6, 255, advertise(addr, from[:])))
}

func TestNeighbourReply(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		families(t, r, func(t *testing.T, family int) {
			inst := r.inst(0, family)
			good := neighbour(family, r.mac(0), targetMAC(1), targetAddr(1, family))
			begin := func() {
				r.reset(t)
				inst.Kind = KindARP
				inst.RttMinNs = 1000000
				r.begin(t, family, 200, 20*time.Millisecond, 1, 0)
				r.begin(t, family, 201, 15*time.Millisecond, 0, 0)
				r.begin(t, family, 202, 10*time.Millisecond, 1, 0)
				r.begin(t, family, 203, 10*time.Millisecond, 1)     // refused by the kernel
				r.begin(t, family, 204, 10*time.Millisecond, 0, 0)  // to the other target
				r.begin(t, family, 205, -10*time.Millisecond, 1, 0) // not rtt_min ago
			}
			begin()
			counted := r.counted(t, func() { require.False(t, r.in(t, 0, good), "passed on") })
			require.Equal(t, map[string]uint64{"reply": 1}, counted)
			require.EqualValues(t, 202, inst.Acked)
			require.EqualValues(t, 1, inst.Replies)
			// Again: the same round, which it answers already.
			counted = r.counted(t, func() { require.False(t, r.in(t, 0, good)) })
			require.Equal(t, map[string]uint64{"reply_duplicate": 1}, counted)

			begin()
			// The send has not returned yet, and the reply is here.
			r.begin(t, family, 206, 2*time.Millisecond, 1)
			require.False(t, r.in(t, 0, good))
			require.EqualValues(t, 206, inst.Acked)

			begin()
			// Faster than any before, and nothing older waits: it is the newest one's.
			require.False(t, r.in(t, 0, good))
			r.begin(t, family, 206, 100*time.Microsecond, 1, 0)
			require.False(t, r.in(t, 0, good))
			require.EqualValues(t, 206, inst.Acked)
			require.Less(t, inst.RttMinNs, uint32(1000000))
			// Something older waits: it is that one's.
			begin()
			r.begin(t, family, 206, 100*time.Microsecond, 1, 0)
			require.False(t, r.in(t, 0, good))
			require.EqualValues(t, 202, inst.Acked)

			for name, frame := range map[string][]byte{
				"MAC not learnt":    neighbour(family, r.mac(0), targetMAC(0), targetAddr(1, family)),
				"no target":         neighbour(family, r.mac(0), targetMAC(1), targetAddr(2, family)),
				"to all (announce)": neighbour(family, broadcast, targetMAC(1), targetAddr(1, family)),
			} {
				begin()
				counted := r.counted(t, func() { require.False(t, r.in(t, 0, frame), name) })
				require.Zero(t, counted["reply"], name)
				require.Zero(t, inst.Acked, name)
			}
			begin()
			r.track(family).Target[1].Mac = mac{}
			require.False(t, r.in(t, 0, neighbour(family, r.mac(0), mac{}, targetAddr(1, family))))
			require.Zero(t, inst.Acked, "a target whose MAC is not known yet")
		})
	})
}

func TestAdvertisementForms(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		from := targetMAC(0)
		target := targetAddr(0, 1)
		other := targetMAC(3)
		for _, row := range []struct {
			name  string
			src   mac
			hops  uint8
			body  []byte
			acked uint32
		}{
			{"option", mac{2, 2, 2, 2, 2, 2}, 255, advertise(target, from[:]), 200},
			{"without the option", from, 255, advertise(target, nil), 200},
			{"option of another", from, 255, advertise(target, other[:]), 0},
			{"from beyond the link", from, 254, advertise(target, from[:]), 0},
		} {
			r.reset(t)
			r.inst(0, 1).Kind = KindARP
			r.begin(t, 1, 200, time.Millisecond, 0, 0)
			require.False(t, r.in(t, 0, ether(r.mac(0), row.src, etherIPv6,
				ipv6(target, testAddr(0, 1), protoICMPv6, row.hops, row.body))), row.name)
			require.Equal(t, row.acked, r.inst(0, 1).Acked, row.name)
		}
	})
}

// Ordinary ARP and ND on a member that is probed by ICMP.
func TestNeighbourReplyUnprobed(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		families(t, r, func(t *testing.T, family int) {
			r.begin(t, family, 200, time.Millisecond, 0, 0)
			counted := r.counted(t, func() {
				require.False(t, r.in(t, 0, neighbour(family, r.mac(0), targetMAC(0), targetAddr(0, family))))
			})
			require.Equal(t, map[string]uint64{"reply_unprobed": 1}, counted)
			require.Zero(t, r.inst(0, family).Acked)
		})
	})
}
