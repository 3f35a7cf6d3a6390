// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"net/netip"

	"github.com/ipmpd/ipmpd/bpf"
)

// Sizes and offsets of the frames; none has options or extension headers.
const (
	etherSize   = 14
	ipv4Size    = 20
	ipv6Size    = 40
	icmpSize    = 8
	payloadSize = 16
	arpSize     = 28
	minFrame    = 60 // without the check sequence; shorter ones are left to the driver's padding

	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherIPv6 = 0x86dd

	protocolICMP   = 1
	protocolICMPv6 = 58

	typeEcho         = 8
	typeEcho6        = 128
	typeSolicitation = 135

	// trafficClass CS6, network control: what BFD uses, so that our own load delays no probe.
	trafficClass = 0xc0
	hopLimit     = 64
	ndHopLimit   = 255 // RFC 4861 section 7.1.1
)

// frame is one probe, ready but for what changes from round to round.
type frame struct {
	bytes []byte
	echo  int    // offset of the ICMP header of an echo; 0: the frame never changes
	sum   uint32 // checksum of its parts that never change, not folded
}

// probeFrame builds the frame that member m sends to target.
func probeFrame(m *Member, target *Target, family int) frame {
	switch {
	case m.Kind == bpf.KindARP && family == 0:
		return arpRequest(m, target)
	case m.Kind == bpf.KindARP:
		return solicitation(m, target)
	case family == 0:
		return echo4(m, target)
	default:
		return echo6(m, target)
	}
}

// patch the round and its nonce into an echo. The nonce is stored as the kernel compares it, in
// the order that the payload has in memory.
//
//go:nosplit
//go:norace
func (f *frame) patch(round uint32, nonce uint64) {
	if f.echo == 0 {
		return
	}
	b := f.bytes[f.echo:][:icmpSize+payloadSize]
	binary.BigEndian.PutUint16(b[6:], uint16(round))
	binary.BigEndian.PutUint32(b[12:], round)
	binary.NativeEndian.PutUint64(b[16:], nonce)
	sum := f.sum + round&0xffff + round>>16 + round&0xffff
	for i := 16; i < 24; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	binary.BigEndian.PutUint16(b[2:], fold(sum))
}

func echo4(m *Member, target *Target) frame {
	b := ethernet(target.MAC, m.MAC, etherIPv4, ipv4Size+icmpSize+payloadSize)
	ip := b[etherSize:]
	ip[0] = 0x45
	ip[1] = trafficClass
	binary.BigEndian.PutUint16(ip[2:], ipv4Size+icmpSize+payloadSize)
	binary.BigEndian.PutUint16(ip[6:], 0x4000) // do not fragment: then the identification may be 0
	ip[8] = hopLimit
	ip[9] = protocolICMP
	copy(ip[12:], m.Source.AsSlice())
	copy(ip[16:], target.Addr.AsSlice())
	binary.BigEndian.PutUint16(ip[10:], fold(sum16(ip[:ipv4Size])))
	return echo(b, etherSize+ipv4Size, typeEcho, m.ICMPID, 0)
}

func echo6(m *Member, target *Target) frame {
	b := ethernet(target.MAC, m.MAC, etherIPv6, ipv6Size+icmpSize+payloadSize)
	ipv6Header(b[etherSize:], m.Source, target.Addr, icmpSize+payloadSize, hopLimit)
	pseudo := pseudoSum(m.Source, target.Addr, icmpSize+payloadSize)
	return echo(b, etherSize+ipv6Size, typeEcho6, m.ICMPID, pseudo)
}

func echo(b []byte, at int, kind byte, id uint16, sum uint32) frame {
	icmp := b[at:][:icmpSize+payloadSize]
	icmp[0] = kind
	binary.BigEndian.PutUint16(icmp[4:], id)
	binary.BigEndian.PutUint32(icmp[8:], bpf.ProbeMagic)
	return frame{bytes: b, echo: at, sum: sum + sum16(icmp)}
}

// arpRequest asks for the target: at its address where that is known (RFC 1122 2.3.2.1), else at
// everybody's. The sender's address is the test address or 0.0.0.0 (RFC 5227), never a data address:
// targets learn it.
func arpRequest(m *Member, target *Target) frame {
	dst := target.MAC
	if dst == ([6]byte{}) {
		dst = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	b := ethernet(dst, m.MAC, etherARP, arpSize)
	arp := b[etherSize:]
	binary.BigEndian.PutUint16(arp[0:], 1)
	binary.BigEndian.PutUint16(arp[2:], etherIPv4)
	arp[4], arp[5] = 6, 4
	binary.BigEndian.PutUint16(arp[6:], 1)
	copy(arp[8:], m.MAC[:])
	if m.Source.IsValid() {
		copy(arp[14:], m.Source.AsSlice())
	}
	copy(arp[24:], target.Addr.AsSlice())
	return frame{bytes: b}
}

// solicitation asks for the target, RFC 4861 section 4.3: at its address where that is known, else
// at its solicited-node group.
func solicitation(m *Member, target *Target) frame {
	const size = 24 + 8
	dst, mac := target.Addr, target.MAC
	if mac == ([6]byte{}) {
		dst = solicitedNode(target.Addr)
		a := dst.As16()
		mac = [6]byte{0x33, 0x33, a[12], a[13], a[14], a[15]}
	}
	b := ethernet(mac, m.MAC, etherIPv6, ipv6Size+size)
	ipv6Header(b[etherSize:], m.Source, dst, size, ndHopLimit)
	icmp := b[etherSize+ipv6Size:][:size]
	icmp[0] = typeSolicitation
	copy(icmp[8:], target.Addr.AsSlice())
	icmp[24], icmp[25] = 1, 1 // source link-layer address, in units of 8 octets
	copy(icmp[26:], m.MAC[:])
	binary.BigEndian.PutUint16(icmp[2:], fold(pseudoSum(m.Source, dst, size)+sum16(icmp)))
	return frame{bytes: b}
}

func ethernet(dst, src [6]byte, kind uint16, size int) []byte {
	b := make([]byte, max(etherSize+size, minFrame))
	copy(b[0:], dst[:])
	copy(b[6:], src[:])
	binary.BigEndian.PutUint16(b[12:], kind)
	return b
}

func ipv6Header(ip []byte, src, dst netip.Addr, size int, hops byte) {
	binary.BigEndian.PutUint32(ip, 6<<28|trafficClass<<20)
	binary.BigEndian.PutUint16(ip[4:], uint16(size))
	ip[6] = protocolICMPv6
	ip[7] = hops
	copy(ip[8:], src.AsSlice())
	copy(ip[24:], dst.AsSlice())
}

// solicitedNode is the multicast group of RFC 4291 section 2.7.1.
func solicitedNode(a netip.Addr) netip.Addr {
	group := [16]byte{0: 0xff, 1: 0x02, 11: 0x01, 12: 0xff}
	octets := a.As16()
	copy(group[13:], octets[13:])
	return netip.AddrFrom16(group)
}

// pseudoSum is the sum over the pseudo header of RFC 8200 section 8.1.
func pseudoSum(src, dst netip.Addr, size uint32) uint32 {
	return sum16(src.AsSlice()) + sum16(dst.AsSlice()) + size + protocolICMPv6
}

// sum16 adds 16-bit words; b has an even length, and is short enough for 32 bits.
func sum16(b []byte) (sum uint32) {
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	return sum
}

// fold is the one's complement of the one's complement sum, RFC 1071.
//
//go:nosplit
//go:norace
func fold(sum uint32) uint16 {
	sum = sum>>16 + sum&0xffff
	sum += sum >> 16
	return ^uint16(sum)
}
