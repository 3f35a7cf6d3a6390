// SPDX-License-Identifier: Apache-2.0

package fakehost

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/addr"
)

// Attributes that golang.org/x/sys/unix does not name.
const (
	ifaProto = 11
	rtaNHID  = 30
	kind     = 0x3fff // of an attribute, without its flags
)

// split netlink messages.
func split(b []byte) (list [][]byte) {
	for len(b) >= unix.SizeofNlMsghdr {
		n := int(binary.NativeEndian.Uint32(b))
		list, b = append(list, b[:n]), b[n:]
	}
	return list
}

// attributes that follow the fixed part of a message.
func attributes(b []byte) map[uint16][]byte {
	found := map[uint16][]byte{}
	for len(b) >= unix.SizeofNlAttr {
		n := int(binary.NativeEndian.Uint16(b))
		found[binary.NativeEndian.Uint16(b[2:])&kind] = b[unix.SizeofNlAttr:n]
		b = b[min(len(b), (n+3)&^3):]
	}
	return found
}

func u32(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}

func ip(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}

// understand a message as the operation that it asks for.
func understand(b []byte) (op addr.Op, err error) {
	typ, body := binary.NativeEndian.Uint16(b[4:]), b[unix.SizeofNlMsghdr:]
	switch typ {
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return address(typ, body), nil
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		return route(typ, body), nil
	case unix.RTM_NEWNEXTHOP, unix.RTM_DELNEXTHOP:
		return nexthop(typ, body), nil
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		at := attributes(body[unix.SizeofNdMsg:])
		op = addr.Op{Kind: addr.DeleteNeighbor, Link: int(u32(body[4:])), IP: ip(at[unix.NDA_DST])}
		if typ == unix.RTM_NEWNEIGH {
			op.Kind = addr.AddNeighbor
			copy(op.MAC[:], at[unix.NDA_LLADDR])
		}
		return op, nil
	}
	return op, fmt.Errorf("message of type %d", typ)
}

func address(typ uint16, body []byte) addr.Op {
	at := attributes(body[unix.SizeofIfAddrmsg:])
	op := addr.Op{Kind: addr.DeleteAddress, Link: int(u32(body[4:])), Prefix: netip.PrefixFrom(ip(at[unix.IFA_LOCAL]), int(body[1]))}
	if typ == unix.RTM_DELADDR {
		return op
	}
	op.Kind = addr.AddAddress
	op.Form.Scope = body[3]
	lifetimes := at[unix.IFA_CACHEINFO]
	op.Test = len(lifetimes) > 0 && u32(lifetimes) == 0 // deprecated at once
	if len(at[ifaProto]) == 0 {
		op.Kind, op.Flags = addr.RestoreAddress, u32(at[unix.IFA_FLAGS])
	}
	return op
}

func route(typ uint16, body []byte) addr.Op {
	at := attributes(body[unix.SizeofRtMsg:])
	to := ip(at[unix.RTA_DST])
	op := addr.Op{Kind: addr.DeleteRoute, Prefix: netip.PrefixFrom(to, int(body[1])), Table: u32(at[unix.RTA_TABLE]),
		Metric: u32(at[unix.RTA_PRIORITY]), Protocol: int(body[5]), ID: u32(at[rtaNHID]), Link: int(u32(at[unix.RTA_OIF])),
		Src: ip(at[unix.RTA_PREFSRC])}
	switch {
	case typ == unix.RTM_DELROUTE:
	case op.ID != 0:
		op.Kind, op.OnLink, op.Metrics = addr.SetRoute, body[6] == unix.RT_SCOPE_LINK, string(at[unix.RTA_METRICS])
	default: // with a next hop of its own
		op.Kind = addr.RestoreRoute
		op.Was = &addr.HostRoute{Table: op.Table, Protocol: body[5], Metric: op.Metric, To: op.Prefix, Src: op.Src, Link: op.Link,
			Via: ip(at[unix.RTA_GATEWAY])}
		if to.Is4() {
			op.Was.Scope = body[6]
		}
	}
	return op
}

func nexthop(typ uint16, body []byte) addr.Op {
	at := attributes(body[unix.SizeofNhmsg:])
	op := addr.Op{Kind: addr.DeleteNexthop, ID: u32(at[unix.NHA_ID])}
	if typ == unix.RTM_DELNEXTHOP {
		return op
	}
	op.Kind, op.Link, op.Gateway = addr.SetNexthop, int(u32(at[unix.NHA_OIF])), ip(at[unix.NHA_GATEWAY])
	uneven := false
	for list := at[unix.NHA_GROUP]; len(list) >= unix.SizeofNexthopGrp; list = list[unix.SizeofNexthopGrp:] {
		op.Kind = addr.SetNexthopGroup
		op.Hops, op.Weights = append(op.Hops, u32(list)), append(op.Weights, int(list[4])+1)
		uneven = uneven || list[4] != 0
	}
	if !uneven {
		op.Weights = nil
	}
	return op
}
