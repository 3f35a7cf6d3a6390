// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

func parseLink(b []byte) (l Link, err error) {
	if len(b) < unix.SizeofIfInfomsg {
		return l, errTruncated
	}
	l.Hardware = binary.NativeEndian.Uint16(b[2:])
	l.Index = int(int32(binary.NativeEndian.Uint32(b[4:])))
	l.Flags = binary.NativeEndian.Uint32(b[8:])
	l.Up = l.Flags&unix.IFF_UP != 0
	l.LowerUp = l.Flags&unix.IFF_LOWER_UP != 0
	l.Loopback = l.Flags&unix.IFF_LOOPBACK != 0
	l.PeerNetNS = -1
	a := attrs{rest: b[unix.SizeofIfInfomsg:]}
	for a.next() {
		switch a.typ {
		case unix.IFLA_IFNAME:
			l.Name = a.str()
		case unix.IFLA_ADDRESS:
			l.MAC = a.mac()
		case unix.IFLA_MTU:
			l.MTU = int(a.u32())
		case unix.IFLA_MASTER:
			l.Master = int(a.u32())
		case unix.IFLA_LINK:
			l.Parent = int(a.u32())
		case unix.IFLA_LINK_NETNSID:
			l.PeerNetNS = int(int32(a.u32()))
		case unix.IFLA_OPERSTATE:
			l.Operstate = a.u8()
		case unix.IFLA_CARRIER:
			l.Carrier = a.u8() != 0
		case unix.IFLA_LINKINFO:
			if err := l.parseInfo(a.data); err != nil {
				return l, err
			}
		}
	}
	return l, a.err
}

func (l *Link) parseInfo(b []byte) error {
	var data []byte
	a := attrs{rest: b}
	for a.next() {
		switch a.typ {
		case infoKind:
			l.Kind = a.str()
		case infoSlaveKind:
			l.MasterKind = a.str()
		case infoData:
			data = a.data
		}
	}
	if a.err != nil || l.Kind != "vrf" {
		return a.err
	}
	a = attrs{rest: data}
	for a.next() {
		if a.typ == vrfTable {
			l.VRFTable = a.u32()
		}
	}
	return a.err
}

func parseAddress(b []byte) (x Address, err error) {
	if len(b) < unix.SizeofIfAddrmsg {
		return x, errTruncated
	}
	bits := int(b[1])
	x.Flags, x.Scope = uint32(b[2]), b[3]
	x.Link = int(binary.NativeEndian.Uint32(b[4:]))
	x.Preferred, x.Valid = Forever, Forever
	var local, address netip.Addr
	a := attrs{rest: b[unix.SizeofIfAddrmsg:]}
	for a.next() {
		switch a.typ {
		case unix.IFA_LOCAL:
			local = a.ip()
		case unix.IFA_ADDRESS:
			address = a.ip()
		case unix.IFA_BROADCAST:
			x.Broadcast = a.ip()
		case unix.IFA_LABEL:
			x.Label = a.str()
		case unix.IFA_RT_PRIORITY:
			x.Metric = a.u32()
		case unix.IFA_FLAGS:
			x.Flags = a.u32()
		case ifaProto:
			x.Protocol = a.u8()
		case unix.IFA_CACHEINFO:
			if a.sized(8) {
				x.Preferred = lifetime(binary.NativeEndian.Uint32(a.data))
				x.Valid = lifetime(binary.NativeEndian.Uint32(a.data[4:]))
			}
		}
	}
	if !local.IsValid() {
		local = address
	}
	if address.IsValid() && address != local {
		x.Peer = address
	}
	x.Prefix = netip.PrefixFrom(local, bits)
	if a.err == nil && !x.Prefix.IsValid() {
		return x, errTruncated
	}
	return x, a.err
}

func lifetime(seconds uint32) time.Duration {
	if seconds == math.MaxUint32 {
		return Forever
	}
	return time.Duration(seconds) * time.Second
}

// parseRoute returns ok = false for what is no unicast route of a table.
func parseRoute(b []byte) (r Route, ok bool, err error) {
	if len(b) < unix.SizeofRtMsg {
		return r, false, errTruncated
	}
	family, bits, typ := b[0], int(b[1]), b[7]
	flags := binary.NativeEndian.Uint32(b[8:])
	if typ != unix.RTN_UNICAST || flags&unix.RTM_F_CLONED != 0 ||
		family != unix.AF_INET && family != unix.AF_INET6 {
		return r, false, nil
	}
	r.TOS, r.Table, r.Protocol, r.Scope = b[3], uint32(b[4]), b[5], b[6]
	r.Flags = flags & 0xff
	r.Expires = Forever
	dst := netip.IPv4Unspecified()
	if family == unix.AF_INET6 {
		dst = netip.IPv6Unspecified()
	}
	hop := Hop{Weight: 1, Flags: r.Flags}
	a := attrs{rest: b[unix.SizeofRtMsg:]}
	for a.next() {
		switch a.typ {
		case unix.RTA_DST:
			dst = a.ip()
		case unix.RTA_TABLE:
			r.Table = a.u32()
		case unix.RTA_PRIORITY:
			r.Metric = a.u32()
		case unix.RTA_PREFSRC:
			r.Src = a.ip()
		case rtaNHID:
			r.NexthopID = a.u32()
		case unix.RTA_OIF:
			hop.Link = int(a.u32())
		case unix.RTA_GATEWAY:
			hop.Gateway = a.ip()
		case unix.RTA_VIA:
			hop.Gateway = via(&a)
		case unix.RTA_MULTIPATH:
			var special bool
			if r.Hops, special, err = parseHops(a.data); err != nil {
				return r, false, err
			}
			r.Special = r.Special || special
		case unix.RTA_ENCAP, unix.RTA_FLOW, unix.RTA_TTL_PROPAGATE:
			r.Special = true
		case unix.RTA_PREF:
			r.Special = r.Special || a.u8() != 0 // 0: medium, RFC 4191
		case unix.RTA_METRICS:
			r.Metrics = string(a.data)
			m := attrs{rest: a.data}
			for m.next() {
				if m.typ == unix.RTAX_MTU {
					r.MTU = m.u32()
				}
			}
			if m.err != nil {
				return r, false, m.err
			}
		case unix.RTA_CACHEINFO:
			if a.sized(12) {
				if e := int32(binary.NativeEndian.Uint32(a.data[8:])); e > 0 {
					r.Expires = time.Duration(e) * (time.Second / 100) // USER_HZ
				}
			}
		}
	}
	if r.Hops == nil && (hop.Link != 0 || hop.Gateway.IsValid()) {
		r.Hops = []Hop{hop}
	}
	r.Dst = netip.PrefixFrom(dst, bits)
	return r, a.err == nil, a.err
}

// via is a gateway of another family than the route's.
func via(a *attrs) netip.Addr {
	if !a.sized(2) {
		return netip.Addr{}
	}
	ip, _ := netip.AddrFromSlice(a.data[2:])
	return ip
}

// parseHops tells too whether one has something that no field of Hop tells.
func parseHops(b []byte) (hops []Hop, special bool, err error) {
	for len(b) >= unix.SizeofRtNexthop {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtNexthop || size > len(b) {
			return nil, false, errTruncated
		}
		h := Hop{Flags: uint32(b[2]), Weight: int(b[3]) + 1, Link: int(binary.NativeEndian.Uint32(b[4:]))}
		a := attrs{rest: b[unix.SizeofRtNexthop:size]}
		for a.next() {
			switch a.typ {
			case unix.RTA_GATEWAY:
				h.Gateway = a.ip()
			case unix.RTA_VIA:
				h.Gateway = via(&a)
			case unix.RTA_ENCAP, unix.RTA_FLOW:
				special = true
			}
		}
		if a.err != nil {
			return nil, false, a.err
		}
		hops = append(hops, h)
		b = b[min(len(b), (size+3)&^3):]
	}
	return hops, special, nil
}

func parseNexthop(b []byte) (n Nexthop, err error) {
	if len(b) < unix.SizeofNhmsg {
		return n, errTruncated
	}
	n.Family, n.Protocol, n.Flags = b[0], b[2], binary.NativeEndian.Uint32(b[4:])
	a := attrs{rest: b[unix.SizeofNhmsg:]}
	for a.next() {
		switch a.typ {
		case unix.NHA_ID:
			n.ID = a.u32()
		case unix.NHA_OIF:
			n.Link = int(a.u32())
		case unix.NHA_GATEWAY:
			n.Gateway = a.ip()
		case unix.NHA_BLACKHOLE:
			n.Blackhole = true
		case unix.NHA_GROUP_TYPE:
			n.Resilient = a.u16() == 1
		case unix.NHA_GROUP:
			for g := a.data; len(g) >= unix.SizeofNexthopGrp; g = g[unix.SizeofNexthopGrp:] {
				n.Group = append(n.Group, binary.NativeEndian.Uint32(g))
				n.Weights = append(n.Weights, int(g[4])+1)
			}
		}
	}
	return n, a.err
}

// parseNeighbor returns ok = false for what is neither ARP nor neighbour discovery.
func parseNeighbor(b []byte) (n Neighbor, ok bool, err error) {
	if len(b) < unix.SizeofNdMsg {
		return n, false, errTruncated
	}
	if b[0] != unix.AF_INET && b[0] != unix.AF_INET6 {
		return n, false, nil
	}
	n.Link = int(binary.NativeEndian.Uint32(b[4:]))
	n.State, n.Flags = binary.NativeEndian.Uint16(b[8:]), b[10]
	n.Router = n.Flags&ntfRouter != 0
	a := attrs{rest: b[unix.SizeofNdMsg:]}
	for a.next() {
		switch a.typ {
		case unix.NDA_DST:
			n.IP = a.ip()
		case unix.NDA_LLADDR:
			n.MAC = a.mac()
		case ndaProtocol:
			n.Protocol = a.u8()
		}
	}
	return n, a.err == nil && n.IP.IsValid() && n.Flags&unix.NTF_PROXY == 0, a.err
}
