// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Of the members that hear an ARP request for a data address one answers.
func TestARPFilter(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		r.reset(t)
		owned, other := addr("192.0.2.10"), addr("192.0.2.77")
		peerAddr, peer := addr("192.0.2.1"), targetMAC(0)
		request := ether(broadcast, peer, etherARP, arp(arpRequest, peer, peerAddr, mac{}, owned))
		require.NoError(t, r.o.SetOwner(owned, r.number(1)))

		answers := func(frame []byte) (who []int) {
			for i := range rigCount {
				dropped := false
				counted := r.counted(t, func() { dropped = r.in(t, i, frame) })
				want := map[string]uint64{}
				if dropped {
					want["arp_filtered"] = 1
				} else {
					who = append(who, i)
				}
				require.Equal(t, want, counted)
			}
			return who
		}
		everybody := []int{0, 1, 2, 3}
		require.Equal(t, []int{1}, answers(request))
		require.Equal(t, []int{1}, answers(ether(broadcast, peer, etherARP,
			arp(arpRequest, peer, addr("0.0.0.0"), mac{}, owned))), "a probe of RFC 5227")
		require.Equal(t, []int{1}, answers(ether(r.mac(0), peer, etherARP,
			arp(arpRequest, peer, peerAddr, mac{}, owned))), "unicast to the former owner")
		require.Equal(t, []int{1}, answers(tagged(request, 0xe000)), "VLAN 0")

		// The word is what a verdict changes; its survivors are 2, 3, 0.
		ChangeWord(r.track(0), 0, r.bit(1))
		require.Equal(t, []int{2}, answers(request))
		ChangeWord(r.track(0), 0, r.bit(2))
		require.Equal(t, []int{3}, answers(request))
		ChangeWord(r.track(0), 0, r.bit(3)|r.bit(0))
		require.Equal(t, []int{1}, answers(request), "none usable: the owner")
		ChangeWord(r.track(1), 0, ^uint32(0))
		ChangeWord(r.track(0), r.bit(0)|r.bit(1), 0)
		require.Equal(t, []int{1}, answers(request), "the word of IPv4 counts")

		require.NoError(t, r.o.SetOwner(owned, r.number(0)))
		require.Equal(t, []int{0}, answers(request), "another owner")

		for name, frame := range map[string][]byte{
			"gratuitous":  ether(broadcast, peer, etherARP, arp(arpRequest, peer, owned, mac{}, owned)),
			"reply":       ether(broadcast, peer, etherARP, arp(3, peer, peerAddr, mac{}, owned)),
			"not owned":   ether(broadcast, peer, etherARP, arp(arpRequest, peer, peerAddr, mac{}, other)),
			"tagged":      tagged(request, 5),
			"not for IP":  ether(broadcast, peer, etherARP, append([]byte{0, 1, 8, 1}, request[18:]...)),
			"not for MAC": ether(broadcast, peer, etherARP, append([]byte{0, 2}, request[16:]...)),
		} {
			require.Equal(t, everybody, answers(frame), name)
		}
		require.NoError(t, r.o.DeleteOwner(owned))
		require.Equal(t, everybody, answers(request))

		// A test address: elsewhere it would draw the probe replies of a failed member there.
		require.NoError(t, r.o.FixOwner(owned, r.number(2)))
		require.Equal(t, []int{2}, answers(request), "test address of a failed member")
		ChangeWord(r.track(0), r.bit(2), 0)
		require.Equal(t, []int{2}, answers(request), "test address")

		// An interface that is only watched answers as it would without us.
		m, err := r.o.Member(r.number(3))
		require.NoError(t, err)
		m.Flags = Monitored
		require.NoError(t, r.o.SetMember(r.number(3), m))
		require.Equal(t, []int{2, 3}, answers(request))
		m.Flags = 0
		require.NoError(t, r.o.SetMember(r.number(3), m))
		require.NoError(t, r.o.DeleteOwner(owned))
	})
}

// A verdict of the kernel itself flips the answer.
func TestARPFlippedByVerdict(t *testing.T) {
	rigs(t, func(t *testing.T, r *rig) {
		s := r.scenario(t, 0)
		owned := addr("192.0.2.10")
		require.NoError(t, r.o.SetOwner(owned, r.number(0)))
		request := ether(broadcast, targetMAC(0), etherARP, arp(arpRequest, targetMAC(0), addr("192.0.2.1"), mac{}, owned))
		s.warm(t)
		require.False(t, r.in(t, 0, request))
		require.True(t, r.in(t, 1, request))
		for range 3 {
			s.round(t, 0, 1)
		}
		s.confirm(t)
		s.event(t)
		require.True(t, r.in(t, 0, request))
		require.False(t, r.in(t, 1, request))
		require.True(t, r.in(t, 2, request))
	})
}
