// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"encoding/binary"
	"net/netip"
)

const icmpNS = 135

// appendProbe appends the question whether somebody has ip, from nobody: an ARP probe (RFC 5227
// 2.1.1), 60 bytes, or the solicitation of duplicate address detection (RFC 4862 5.4.2).
func appendProbe(b []byte, ip netip.Addr, mac MAC) []byte {
	start := len(b)
	if ip.Is4() {
		b = appendEther(b, Broadcast, mac, etherARP)
		b = AppendARP(b, &ARP{Op: arpRequest, SenderMAC: mac, SenderIP: netip.IPv4Unspecified(), TargetIP: ip})
		return append(b, make([]byte, etherMin-(len(b)-start))...)
	}
	target := ip.As16()
	group := [16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: target[13], 14: target[14], 15: target[15]}
	b = appendEther(b, MAC{0x33, 0x33, 0xff, target[13], target[14], target[15]}, mac, etherIPv6)
	b = append(b, 0x60, 0, 0, 0, 0, nsLen, icmpv6, 255)
	b = append(b, make([]byte, 16)...)
	b = append(b, group[:]...)
	at := len(b)
	b = append(b, icmpNS, 0, 0, 0, 0, 0, 0, 0)
	b = append(b, target[:]...)
	binary.BigEndian.PutUint16(b[at+2:], checksum([16]byte{}, group, b[at:]))
	return b
}

const nsLen = 24 // without options

// claimant reads who, by a frame, has an address or is about to take it: the sender of any ARP, who
// probes by ARP (RFC 5227 2.1.1), who advertises, or solicits without a source (RFC 4862 5.4.3, 5.4.4).
func claimant(frame []byte) (ip netip.Addr, mac MAC, ok bool) {
	if len(frame) < etherLen {
		return ip, mac, false
	}
	mac = MAC(frame[6:12])
	body := frame[etherLen:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherARP:
		a, err := ParseARP(body)
		if err != nil {
			return ip, mac, false
		}
		if a.SenderIP.IsUnspecified() {
			return a.TargetIP, a.SenderMAC, a.Op == arpRequest
		}
		return a.SenderIP, a.SenderMAC, true
	case etherIPv6:
		ip, ok = neighborDiscovery(body)
	}
	return ip, mac, ok
}

// neighborDiscovery is the target of a valid advertisement (RFC 4861 7.1.2) or of a solicitation
// without a source (7.1.1).
func neighborDiscovery(b []byte) (target netip.Addr, ok bool) {
	const hopLimit = 255 // what has passed a router has less
	if len(b) < ipv6Len+nsLen || b[0]>>4 != 6 || b[6] != icmpv6 || b[7] != hopLimit {
		return target, false
	}
	size := int(binary.BigEndian.Uint16(b[4:]))
	if size < nsLen || len(b) < ipv6Len+size {
		return target, false
	}
	src, dst, body := [16]byte(b[8:24]), [16]byte(b[24:40]), b[ipv6Len:ipv6Len+size]
	if body[1] != 0 || size%2 != 0 || checksum(src, dst, body) != 0 {
		return target, false
	}
	target = netip.AddrFrom16([16]byte(body[8:24]))
	switch body[0] {
	case icmpNA:
		return target, !target.IsMulticast()
	case icmpNS:
		return target, src == [16]byte{} && !target.IsMulticast()
	}
	return target, false
}
