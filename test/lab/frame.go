// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"net"
	"net/netip"
)

var broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// GratuitousARP is a broadcast ARP request whose sender and target are both addr.
func GratuitousARP(mac net.HardwareAddr, addr netip.Addr) []byte {
	ip := addr.AsSlice()
	f := append(append([]byte{}, broadcast...), mac...)
	f = append(f, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	f = append(append(f, mac...), ip...)
	f = append(append(f, make([]byte, 6)...), ip...)
	return append(f, make([]byte, 60-len(f))...)
}

// UnsolicitedNA is a neighbour advertisement to all nodes with Override set (RFC 4861 7.2.6).
func UnsolicitedNA(mac net.HardwareAddr, addr netip.Addr) []byte {
	all := netip.MustParseAddr("ff02::1")
	body := append([]byte{136, 0, 0, 0, 0x20, 0, 0, 0}, addr.AsSlice()...)
	body = append(append(body, 2, 1), mac...)
	binary.BigEndian.PutUint16(body[2:], icmp6Checksum(addr, all, body))

	f := append([]byte{0x33, 0x33, 0, 0, 0, 1}, mac...)
	f = append(f, 0x86, 0xdd, 0x60, 0, 0, 0, 0, byte(len(body)), 58, 255)
	f = append(append(f, addr.AsSlice()...), all.AsSlice()...)
	return append(f, body...)
}

func icmp6Checksum(src, dst netip.Addr, body []byte) uint16 {
	sum := uint32(len(body)) + 58
	for _, part := range [][]byte{src.AsSlice(), dst.AsSlice(), body} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
