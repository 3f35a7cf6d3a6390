// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

type egressRow struct {
	name  string
	frame []byte
}

// Everything is sent by member 0, which is not usable.
func egressRows(r *rig) (moves, stays []egressRow) {
	me, peer := r.mac(0), targetMAC(0)
	data4, data6 := addr("192.0.2.10"), addr("2001:db8::10")
	out4, out6 := addr("198.51.100.1"), addr("2001:db8:1::1")
	e4 := func(ip []byte) []byte { return ether(peer, me, etherIPv4, ip) }
	e6 := func(ip []byte) []byte { return ether(peer, me, etherIPv6, ip) }
	udp4 := func(src, dst uint16) []byte {
		return e4(ipv4(data4, out4, protoUDP, 0, nil, udp(src, dst, []byte("payload"))))
	}
	udp6 := func(src, dst uint16) []byte {
		return e6(ipv6(data6, out6, protoUDP, 64, udp(src, dst, []byte("payload"))))
	}
	icmp6 := func(kind uint8) []byte {
		return e6(ipv6(data6, out6, protoICMPv6, 255, []byte{kind, 0, 0, 0, 0, 0, 0, 0}))
	}
	tcp4 := e4(ipv4(data4, out4, protoTCP, 0, nil, tcp([]byte("payload"))))
	moves = []egressRow{
		{"TCP", tcp4},
		{"TCP with VLAN 0", tagged(tcp4, 0xe000)},
		{"long TCP", e4(ipv4(data4, out4, protoTCP, 0, nil, tcp(bytes.Repeat([]byte("x"), 1400))))},
		{"TCP with IP options", e4(ipv4(data4, out4, protoTCP, 0, bytes.Repeat([]byte{1}, 40), tcp(nil)))},
		{"UDP", udp4(1000, 2000)},
		{"UDP multicast", ether(mac{1, 0, 0x5e, 1, 1, 1}, me, etherIPv4,
			ipv4(data4, addr("239.1.1.1"), protoUDP, 0, nil, udp(1000, 2000, nil)))},
		{"ICMP echo from a data address", e4(ipv4(data4, out4, protoICMP, 0, nil, echo(8, 1, 2, 3, 4)))},
		{"ESP", e4(ipv4(data4, out4, 50, 0, nil, make([]byte, 20)))},
		{"first fragment", e4(ipv4(data4, out4, protoUDP, 0x2000, nil, udp(1000, 2000, nil)))},
		{"later fragment that looks like DHCP", e4(ipv4(data4, out4, protoUDP, 100, nil, udp(68, 67, nil)))},
		{"forwarded", e4(ipv4(addr("203.0.113.9"), out4, protoTCP, 0, nil, tcp(nil)))},
		{"TCP v6", e6(ipv6(data6, out6, protoTCP, 64, tcp([]byte("payload"))))},
		{"TCP v6 with hop-by-hop", e6(ipv6(data6, out6, 0, 64, append(hopByHop(protoTCP), tcp(nil)...)))},
		{"UDP v6", udp6(1000, 2000)},
		{"UDP v6 multicast", ether(mac{0x33, 0x33, 0, 0, 0, 9}, me, etherIPv6,
			ipv6(data6, addr("ff0e::9"), protoUDP, 64, udp(1000, 2000, nil)))},
		{"fragment v6", e6(ipv6(data6, out6, 44, 64, make([]byte, 40)))},
		{"ICMPv6 echo from a data address", icmp6(128)},
		{"ICMPv6 too big", icmp6(2)},
	}
	stays = []egressRow{
		{"test source", e4(ipv4(testAddr(0, 0), out4, protoTCP, 0, nil, tcp(nil)))},
		{"test source v6", e6(ipv6(testAddr(0, 1), out6, protoTCP, 64, tcp(nil)))},
		{"link-local source", e4(ipv4(addr("169.254.3.4"), out4, protoTCP, 0, nil, tcp(nil)))},
		{"link-local source v6", e6(ipv6(addr("fe80::1"), out6, protoTCP, 64, tcp(nil)))},
		{"router solicitation", icmp6(133)},
		{"router advertisement", icmp6(134)},
		{"neighbour solicitation", icmp6(135)},
		{"neighbour advertisement", icmp6(136)},
		{"redirect", icmp6(137)},
		{"IGMP", e4(ipv4(data4, addr("224.0.0.22"), protoIGMP, 0, []byte{0x94, 4, 0, 0}, make([]byte, 8)))},
		{"MLD query", icmp6(130)},
		{"MLD report", icmp6(131)},
		{"MLD done", icmp6(132)},
		{"MLDv2 report with hop-by-hop", e6(ipv6(data6, addr("ff02::16"), 0, 1,
			append(hopByHop(protoICMPv6), 143, 0, 0, 0, 0, 0, 0, 0)))},
		{"DHCP client", e4(ipv4(addr("0.0.0.0"), addr("255.255.255.255"), protoUDP, 0, nil, udp(68, 67, make([]byte, 240))))},
		{"DHCP server", udp4(67, 68)},
		{"DHCPv6 client", udp6(546, 547)},
		{"DHCPv6 server", udp6(547, 546)},
		{"PTP event", udp4(319, 319)},
		{"PTP general", udp4(320, 320)},
		{"PTP event v6", udp6(319, 319)},
		{"PTP general v6", udp6(320, 320)},
		{"foreign source MAC", ether(peer, mac{2, 9, 9, 9, 9, 9}, etherIPv4, ipv4(data4, out4, protoTCP, 0, nil, tcp(nil)))},
		{"foreign source MAC v6", ether(peer, mac{2, 9, 9, 9, 9, 9}, etherIPv6, ipv6(data6, out6, protoTCP, 64, tcp(nil)))},
		{"UDP header cut", e4(ipv4(data4, out4, protoUDP, 0, nil, []byte{1, 2, 3}))},
		{"not version 4", e4(append([]byte{0x65}, ipv4(data4, out4, protoTCP, 0, nil, tcp(nil))[1:]...))},
		{"more extension headers than are walked", e6(ipv6(data6, out6, 0, 64, slices.Concat(
			hopByHop(60), hopByHop(60), hopByHop(60), hopByHop(60), hopByHop(protoTCP), tcp(nil))))},
		// Not even looked at: no family.
		{"ARP", ether(broadcast, me, etherARP, arp(arpRequest, me, data4, mac{}, out4))},
		{"LLDP", ether(mac{1, 0x80, 0xc2, 0, 0, 0xe}, me, 0x88cc, make([]byte, 50))},
		{"LACP", ether(mac{1, 0x80, 0xc2, 0, 0, 2}, me, 0x8809, make([]byte, 110))},
		{"STP", ether(mac{1, 0x80, 0xc2, 0, 0, 0}, me, 38, append([]byte{0x42, 0x42, 3}, make([]byte, 35)...))},
		{"EAPOL", ether(mac{1, 0x80, 0xc2, 0, 0, 3}, me, 0x888e, make([]byte, 46))},
		{"PTP over Ethernet", ether(mac{1, 0x1b, 0x19, 0, 0, 0}, me, 0x88f7, make([]byte, 46))},
		{"tagged", tagged(tcp4, 5)},
		{"tagged with a priority", tagged(tcp4, 0xe005)},
	}
	return moves, stays
}

// familyless are the last rows of stays, which no counter sees.
const familyless = 8

func TestEgress(t *testing.T) {
	r := newRig(t, true)
	moves, stays := egressRows(r)
	all := slices.Concat(moves, stays)
	for _, row := range all {
		counted := r.counted(t, func() {
			action, out := r.runSkb(t, r.o.egress, r.ifindex(0), row.frame)
			require.Equal(t, uint32(tcUnspec), action, "%s, usable", row.name)
			require.Equal(t, row.frame, out, "%s, usable", row.name)
		})
		require.Empty(t, counted, row.name)
	}
	ChangeWord(r.track(0), 0, r.bit(0))
	ChangeWord(r.track(1), 0, r.bit(0))
	to := r.mac(1)
	for i, row := range moves {
		counted := r.counted(t, func() {
			action, out := r.runSkb(t, r.o.egress, r.ifindex(0), row.frame)
			require.EqualValues(t, tcRedirect, action, row.name)
			want := bytes.Clone(row.frame)
			copy(want[6:], to[:])
			require.Equal(t, want, out, row.name)
		})
		require.Equal(t, map[string]uint64{"egress_redirected": 1}, counted, row.name)
		traffic, err := r.o.Traffic(r.number(0))
		require.NoError(t, err)
		require.EqualValues(t, i+1, traffic.Redirected)
	}
	for i, row := range stays {
		want := map[string]uint64{"egress_passed": 1}
		if i >= len(stays)-familyless {
			want = map[string]uint64{}
		}
		counted := r.counted(t, func() {
			action, out := r.runSkb(t, r.o.egress, r.ifindex(0), row.frame)
			require.Equal(t, uint32(tcUnspec), action, row.name)
			require.Equal(t, row.frame, out, row.name)
		})
		require.Equal(t, want, counted, row.name)
	}
}

// Each family is switched by its own word.
func TestEgressOtherFamilyStays(t *testing.T) {
	r := newRig(t, true)
	moves, _ := egressRows(r)
	ChangeWord(r.track(1), 0, r.bit(0))
	for _, row := range moves {
		action, _ := r.runSkb(t, r.o.egress, r.ifindex(0), row.frame)
		want := uint32(tcUnspec)
		if row.frame[12] == 0x86 {
			want = tcRedirect
		}
		require.Equal(t, want, action, row.name)
	}
}

// The first usable one of the survivors, in their order; chained failures need no user space.
func TestEgressSurvivors(t *testing.T) {
	r := newRig(t, true)
	moves, _ := egressRows(r)
	frame := moves[0].frame
	instance := InstanceNumber(r.number(0), 0)
	sends := func() (mac, map[string]uint64) {
		var source mac
		counted := r.counted(t, func() {
			action, out := r.runSkb(t, r.o.egress, r.ifindex(0), frame)
			source = mac(out[6:12])
			require.Equal(t, source == r.mac(0), action == tcUnspec)
		})
		return source, counted
	}
	ChangeWord(r.track(0), 0, r.bit(0))
	require.NoError(t, r.o.SetSurvivors(instance, []uint8{rigBit + 2, rigBit + 3, rigBit + 1}))
	for _, to := range []int{2, 3, 1} {
		source, _ := sends()
		require.Equal(t, r.mac(to), source)
		ChangeWord(r.track(0), 0, r.bit(to))
	}
	source, counted := sends()
	require.Equal(t, r.mac(0), source, "none usable: unchanged")
	require.Equal(t, map[string]uint64{"egress_nowhere": 1}, counted)

	ChangeWord(r.track(0), r.bit(1)|r.bit(3), 0)
	require.NoError(t, r.o.SetSurvivors(instance, []uint8{rigBit + 1, rigBit + 3}))
	source, _ = sends()
	require.Equal(t, r.mac(1), source, "a new list")
	require.NoError(t, r.o.SetSurvivors(instance, nil))
	source, counted = sends()
	require.Equal(t, r.mac(0), source, "an empty list")
	require.Equal(t, map[string]uint64{"egress_nowhere": 1}, counted)

	require.NoError(t, r.o.SetSurvivors(instance, []uint8{rigBit + 1}))
	require.NoError(t, r.o.SetMember(r.number(1), Member{}))
	source, counted = sends()
	require.Equal(t, r.mac(0), source, "a survivor that is gone")
	require.Equal(t, map[string]uint64{"egress_nowhere": 1}, counted)

	require.NoError(t, r.o.SetMember(r.number(0), Member{}))
	_, counted = sends()
	require.Equal(t, map[string]uint64{"not_member": 1}, counted)
}
