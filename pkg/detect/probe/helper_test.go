// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net/netip"
	"time"

	"github.com/ipmpd/ipmpd/bpf"
)

// testPlan is one IPv4 track with its members on nothing real.
func testPlan(members, targets int) *Plan {
	t := Track{Interval: 100 * time.Microsecond}
	for i := range members {
		t.Members = append(t.Members, Member{
			Number: i, Bit: i, Ifindex: 1000 + i, MAC: macA, Kind: bpf.KindICMP,
			Source: netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)}), ICMPID: 0x1234,
		})
	}
	for i := range targets {
		t.Targets = append(t.Targets, Target{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i)}), MAC: macB})
	}
	return &Plan{Tracks: []Track{t}}
}
