// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Frame is one Ethernet frame that announces Address over Link.
type Frame struct {
	// Link is the interface index that it leaves by.
	Link    int
	Address netip.Addr
	Data    []byte
}

// Neighbor is somebody to tell personally.
type Neighbor struct {
	IP  netip.Addr
	MAC MAC
}

// Broadcast is the Ethernet broadcast address.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

const (
	etherLen    = 14
	etherMin    = 60 // without FCS; shorter frames are for the driver to pad, and some do not
	arpLen      = 28
	etherARP    = 0x0806
	etherIPv6   = 0x86dd
	arpRequest  = 1
	ipv6Len     = 40
	naLen       = 24 + 8 // with the target link-layer address option
	icmpv6      = 58
	icmpNA      = 136
	naOverride  = 0x20
	naRouter    = 0x80
	optTargetLL = 2
)

var allNodes = netip.MustParseAddr("ff02::1")

// ARP is the body of an Ethernet/IPv4 ARP packet (RFC 826).
type ARP struct {
	Op                   uint16
	SenderMAC, TargetMAC MAC
	SenderIP, TargetIP   netip.Addr
}

// AppendARP appends the 28 bytes of a.
func AppendARP(b []byte, a *ARP) []byte {
	b = append(b, 0, 1, 8, 0, 6, 4)
	b = binary.BigEndian.AppendUint16(b, a.Op)
	sender, target := a.SenderIP.As4(), a.TargetIP.As4()
	b = append(b, a.SenderMAC[:]...)
	b = append(b, sender[:]...)
	b = append(b, a.TargetMAC[:]...)
	return append(b, target[:]...)
}

var errNotARP = errors.New("not an Ethernet/IPv4 ARP packet")

// ParseARP reads what AppendARP writes; what follows the 28 bytes is padding.
func ParseARP(b []byte) (ARP, error) {
	if len(b) < arpLen || [6]byte(b[:6]) != [6]byte{0, 1, 8, 0, 6, 4} {
		return ARP{}, errNotARP
	}
	return ARP{
		Op:        binary.BigEndian.Uint16(b[6:]),
		SenderMAC: MAC(b[8:14]), SenderIP: netip.AddrFrom4([4]byte(b[14:18])),
		TargetMAC: MAC(b[18:24]), TargetIP: netip.AddrFrom4([4]byte(b[24:28])),
	}, nil
}

func appendEther(b []byte, dst, src MAC, typ uint16) []byte {
	b = append(b, dst[:]...)
	b = append(b, src[:]...)
	return binary.BigEndian.AppendUint16(b, typ)
}

// AppendGARP appends a gratuitous ARP to dst: a request with sender = target = ip, which overrides
// the receiver's ARP locktime where a reply would not (detection.md section 7). 60 bytes.
func AppendGARP(b []byte, ip netip.Addr, mac, dst MAC) []byte {
	start := len(b)
	b = appendEther(b, dst, mac, etherARP)
	b = AppendARP(b, &ARP{Op: arpRequest, SenderMAC: mac, SenderIP: ip, TargetIP: ip})
	return append(b, make([]byte, etherMin-(len(b)-start))...)
}

// AppendNA appends an unsolicited neighbour advertisement of ip at mac, Override set (RFC 4861
// 7.2.6), R flag as given (the member's forwarding), to neighbour n; the zero Neighbor is all nodes.
func AppendNA(b []byte, ip netip.Addr, mac MAC, router bool, n Neighbor) []byte {
	dstMAC, dst := n.MAC, n.IP
	if !dst.IsValid() {
		dstMAC, dst = MAC{0x33, 0x33, 0, 0, 0, 1}, allNodes
	}
	b = appendEther(b, dstMAC, mac, etherIPv6)
	src16, dst16 := ip.As16(), dst.As16()
	b = append(b, 0x60, 0, 0, 0, 0, naLen, icmpv6, 255)
	b = append(b, src16[:]...)
	b = append(b, dst16[:]...)
	at := len(b)
	flags := byte(naOverride)
	if router {
		flags |= naRouter
	}
	b = append(b, icmpNA, 0, 0, 0, flags, 0, 0, 0)
	b = append(b, src16[:]...)
	b = append(b, optTargetLL, 1)
	b = append(b, mac[:]...)
	binary.BigEndian.PutUint16(b[at+2:], checksum(src16, dst16, b[at:]))
	return b
}

// checksum of an ICMPv6 message with its pseudo-header (RFC 8200 8.1). len(body) is even.
func checksum(src, dst [16]byte, body []byte) uint16 {
	sum := uint32(len(body)) + icmpv6
	for _, part := range [...][]byte{src[:], dst[:], body} {
		for i := 0; i+1 < len(part); i += 2 {
			sum += uint32(part[i])<<8 | uint32(part[i+1])
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// AppendFrame appends the announcement of ip at mac for neighbour n; the zero Neighbor is everybody.
func AppendFrame(b []byte, ip netip.Addr, mac MAC, router bool, n Neighbor) []byte {
	if ip.Is6() {
		return AppendNA(b, ip, mac, router, n)
	}
	dst := n.MAC
	if !n.IP.IsValid() {
		dst = Broadcast
	}
	return AppendGARP(b, ip, mac, dst)
}

// Frames builds the announcements in the order in which they help most: every address once to
// everybody, then each to its neighbours (gateways first, as given; at most MaxUnicast).
func Frames(as []Announcement) []Frame {
	var out []Frame
	add := func(a *Announcement, n Neighbor) {
		out = append(out, Frame{Link: a.Link, Address: a.Address,
			Data: AppendFrame(nil, a.Address, a.MAC, a.Router, n)})
	}
	for i := range as {
		add(&as[i], Neighbor{})
	}
	for i := range as {
		for _, n := range sameFamily(as[i].Address, as[i].Neighbors) {
			add(&as[i], n)
		}
	}
	return out
}

// NoteSent notes in list what was sent already when the first of Frames(batch) were, so many of them.
func NoteSent(list, batch []Announcement, frames int) {
	type sent struct {
		link int
		told []Neighbor
	}
	by := map[netip.Addr]sent{}
	broadcasts := min(frames, len(batch))
	left := frames - broadcasts
	for i := range batch[:broadcasts] {
		a := &batch[i]
		told := sameFamily(a.Address, a.Neighbors)
		told = told[:min(left, len(told))]
		left -= len(told)
		by[a.Address] = sent{a.Link, told}
	}
	for i := range list {
		if s, ok := by[list[i].Address]; ok && s.link == list[i].Link {
			list[i].Sent, list[i].Told = true, s.told
		}
	}
}
