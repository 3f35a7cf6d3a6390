// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

type mac = [6]uint8

var broadcast = mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherVLAN = 0x8100
	etherIPv6 = 0x86dd

	protoICMP   = 1
	protoIGMP   = 2
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58

	echoReply4 = 0
	echoReply6 = 129
)

func ether(dst, src mac, proto uint16, payload []byte) []byte {
	b := slices.Concat(dst[:], src[:], binary.BigEndian.AppendUint16(nil, proto))
	return append(b, payload...)
}

// tagged puts an 802.1Q tag into a frame.
func tagged(frame []byte, tci uint16) []byte {
	tag := binary.BigEndian.AppendUint16([]byte{0x81, 0x00}, tci)
	return slices.Concat(frame[:12], tag, frame[12:])
}

// ipv4 with options of a multiple of four bytes; fragment is the flags and offset field.
func ipv4(src, dst netip.Addr, proto uint8, fragment uint16, options, payload []byte) []byte {
	b := make([]byte, 20, 20+len(options)+len(payload))
	b[0] = 0x40 | uint8(5+len(options)/4)
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(options)+len(payload)))
	binary.BigEndian.PutUint16(b[6:], fragment)
	b[8], b[9] = 64, proto
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	return slices.Concat(b, options, payload)
}

func ipv6(src, dst netip.Addr, next, hops uint8, payload []byte) []byte {
	b := make([]byte, 40)
	b[0], b[6], b[7] = 0x60, next, hops
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	copy(b[8:], src.AsSlice())
	copy(b[24:], dst.AsSlice())
	return append(b, payload...)
}

// hopByHop is the router alert that MLD carries, in front of next.
func hopByHop(next uint8) []byte { return []byte{next, 0, 5, 2, 0, 0, 1, 0} }

func udp(src, dst uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, src)
	b = binary.BigEndian.AppendUint16(b, dst)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...)
}

func tcp(payload []byte) []byte {
	b := make([]byte, 20)
	b[1], b[3], b[12] = 80, 81, 0x50
	return append(b, payload...)
}

// echo is an ICMP message that carries a probe's payload.
func echo(kind uint8, id uint16, magic, round uint32, nonce uint64) []byte {
	b := []byte{kind, 0, 0, 0}
	b = binary.BigEndian.AppendUint16(b, id)
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint32(b, magic)
	b = binary.BigEndian.AppendUint32(b, round)
	return binary.NativeEndian.AppendUint64(b, nonce)
}

const (
	arpRequest = 1
	arpReply   = 2
)

func arp(op uint16, senderMAC mac, sender netip.Addr, targetMAC mac, target netip.Addr) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, uint8(op)}
	return slices.Concat(b, senderMAC[:], sender.AsSlice(), targetMAC[:], target.AsSlice())
}

// advertisement of a neighbour; without an option when lladdr is nil.
func advertise(target netip.Addr, lladdr []byte) []byte {
	b := slices.Concat([]byte{136, 0, 0, 0, 0x60, 0, 0, 0}, target.AsSlice())
	if lladdr != nil {
		b = slices.Concat(b, []byte{2, 1}, lladdr)
	}
	return b
}
