// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// The kernel reports a group that is joined within two to three timer ticks (8 to 12 ms at 250 Hz), and one that was
// joined long ago on a member that comes back when a querier asks, after minutes. These say it at once.

const (
	etherIPv4   = 0x0800
	protoIGMP   = 2
	igmpReport2 = 0x16
	igmpReport3 = 0x22
	mldReport2  = 143
	// Types of records, RFC 3376 4.2.12 and RFC 3810 5.2.12 alike.
	recordAny     = 4 // change to exclude mode, of no sources
	recordSources = 5 // allow new sources
	// reportRoom is what records may take of a frame, with any MTU that IPv6 allows.
	reportRoom = 1000
)

// CastReporter is a member that reports memberships.
type CastReporter struct {
	Link int
	MAC  MAC
	// Source of IGMP; the zero Addr: 0.0.0.0 (RFC 3376 4.2.13). Source6 of MLD, link-local; the zero Addr: ::.
	Source, Source6 netip.Addr
	// IGMP version that the interface speaks: 2 where it has heard an old querier, else 3.
	IGMP int
}

// CastReports tells a switch, by IGMP or MLD, that these groups are heard on a member: the records of many in one frame.
func CastReports(r *CastReporter, groups []Heard) []Frame {
	var out []Frame
	add := func(first *Heard, data []byte) {
		out = append(out, Frame{Link: r.Link, Address: first.Group, Data: data})
	}
	var families [2][]Heard
	for _, h := range groups {
		families[familyOf(h.Group)] = append(families[familyOf(h.Group)], h)
	}
	if r.IGMP == 2 {
		for i := range families[0] {
			h := &families[0][i]
			to := h.Group.As4()
			add(h, r.igmp(to, slices.Concat([]byte{igmpReport2, 0, 0, 0}, to[:])))
		}
		families[0] = nil
	}
	for family, list := range families {
		for len(list) > 0 {
			records, n := castRecords(list)
			head := binary.BigEndian.AppendUint16([]byte{igmpReport3, 0, 0, 0, 0, 0}, uint16(n))
			if family == 0 {
				add(&list[0], r.igmp([4]byte{224, 0, 0, 22}, append(head, records...)))
			} else {
				head[0] = mldReport2
				add(&list[0], r.mld(append(head, records...)))
			}
			list = list[n:]
		}
	}
	return out
}

// castRecords of as many groups as have room, at least one.
func castRecords(list []Heard) (b []byte, n int) {
	for i := range list {
		h := &list[i]
		record := []byte{recordAny, 0, 0, 0}
		if h.Sources != nil {
			record[0] = recordSources
			binary.BigEndian.PutUint16(record[2:], uint16(len(h.Sources)))
		}
		record = append(record, h.Group.AsSlice()...)
		for _, s := range h.Sources {
			record = append(record, s.AsSlice()...)
		}
		if n > 0 && len(b)+len(record) > reportRoom {
			break
		}
		b, n = append(b, record...), n+1
	}
	return b, n
}

// igmp packs a message into a frame, with the router alert option (RFC 2113) and a TTL of 1.
func (r *CastReporter) igmp(to [4]byte, message []byte) []byte {
	binary.BigEndian.PutUint16(message[2:], ^sum16(0, message))
	b := appendEther(nil, MAC{1, 0, 0x5e, to[1] & 0x7f, to[2], to[3]}, r.MAC, etherIPv4)
	at := len(b)
	b = append(b, 0x46, 0xc0)
	b = binary.BigEndian.AppendUint16(b, uint16(24+len(message)))
	b = append(b, 0, 0, 0x40, 0, 1, protoIGMP, 0, 0)
	from := [4]byte{}
	if r.Source.Is4() {
		from = r.Source.As4()
	}
	b = append(b, from[:]...)
	b = append(b, to[:]...)
	b = append(b, 0x94, 4, 0, 0)
	binary.BigEndian.PutUint16(b[at+10:], ^sum16(0, b[at:]))
	b = append(b, message...)
	return append(b, make([]byte, max(0, etherMin-len(b)))...)
}

var allMLDRouters = netip.MustParseAddr("ff02::16")

// mld packs a message into a frame, with the router alert in a hop-by-hop header and a hop limit of 1 (RFC 3810 5).
func (r *CastReporter) mld(message []byte) []byte {
	var from [16]byte
	if r.Source6.Is6() {
		from = r.Source6.As16()
	}
	to := allMLDRouters.As16()
	pseudo := slices.Concat(from[:], to[:])
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(message)))
	pseudo = append(pseudo, 0, 0, 0, icmpv6)
	binary.BigEndian.PutUint16(message[2:], ^sum16(uint32(sum16(0, pseudo)), message))
	b := appendEther(nil, MAC{0x33, 0x33, 0, 0, 0, 0x16}, r.MAC, etherIPv6)
	b = append(b, 0x60, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(message)))
	b = append(b, 0, 1)
	b = append(b, from[:]...)
	b = append(b, to[:]...)
	b = append(b, icmpv6, 0, 5, 2, 0, 0, 1, 0)
	return append(b, message...)
}

// sum16 is the sum of RFC 1071, not yet complemented, of an even number of bytes.
func sum16(sum uint32, b []byte) uint16 {
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
