// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"math"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Protocol marks the routes, nexthops, addresses and neighbours that ipmpd made (rtm_protocol,
// nh_protocol, IFA_PROTO, NDA_PROTOCOL). No registered daemon uses it; iproute2 prints it as a number.
const Protocol = 157

const (
	// buckets of a resilient nexthop group. It cannot be changed on a living group, so it is one
	// number for all of them: four for each of 32 members.
	resilientBuckets = 128
	// When a member is back, buckets go to it whose flows were silent for this long, in USER_HZ (1/100 s),
	// or that have none; where these are not enough, after resilientUnbalanced others too. No other moves.
	resilientIdle       = 1 * 100
	resilientUnbalanced = 3 * 100
)

// Encode appends the rtnetlink messages of op, one or a few, to buf. Sysctls and multicast memberships are not
// messages; for these it returns an error, as for an operation that lacks what its kind needs.
func Encode(buf []byte, op *Op) ([]byte, error) {
	m := message{buf: buf}
	var err error
	switch op.Kind {
	case AddNeighbor:
		err = m.neighbor(op)
	case SetNexthop:
		err = m.nexthop(op)
	case SetNexthopGroup:
		err = m.nexthopGroup(op)
	case DeleteNexthop:
		m.begin(unix.RTM_DELNEXTHOP, 0)
		m.u32(0) // struct nhmsg, which has to be empty
		m.u32(0)
		m.attr32(unix.NHA_ID, op.ID)
		m.end()
	case DeleteNeighbor:
		err = m.deleteNeighbor(op)
	case AddAddress, DeleteAddress:
		err = m.address(op)
	case RestoreAddress:
		err = m.restoreAddress(op)
	case RestoreConnected:
		err = m.restoreConnected(op)
	case SetRoute, DeleteRoute:
		err = m.route(op)
	case RestoreRoute:
		err = m.restoreRoute(op.Was)
	default:
		err = fmt.Errorf("operation %d has no message", op.Kind)
	}
	if err != nil {
		return buf, err
	}
	return m.buf, nil
}

func family(a netip.Addr) uint8 {
	if a.Unmap().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// opFamily is what nexthops without gateway have to be told by the rest of the operation.
func opFamily(op *Op) uint8 {
	if op.Family() == 0 {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func (m *message) address(op *Op) error {
	p := op.Prefix
	if !p.IsValid() || op.Link == 0 {
		return fmt.Errorf("address %s on interface %d: incomplete", p, op.Link)
	}
	flags := uint32(unix.IFA_F_NOPREFIXROUTE)
	if p.Addr().Is6() {
		flags |= unix.IFA_F_NODAD
	}
	if op.Kind == DeleteAddress {
		m.begin(unix.RTM_DELADDR, 0)
		flags = 0
	} else {
		m.begin(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	}
	m.u8(family(p.Addr()), uint8(p.Bits()), uint8(flags), op.Form.Scope)
	m.u32(uint32(op.Link))
	m.attrIP(unix.IFA_LOCAL, p.Addr())
	m.attrIP(unix.IFA_ADDRESS, p.Addr())
	if op.Kind == AddAddress {
		switch {
		case op.Form.Broadcast.IsValid():
			m.attrIP(unix.IFA_BROADCAST, op.Form.Broadcast)
		case p.Addr().Is4() && p.Bits() < 31:
			m.attrIP(unix.IFA_BROADCAST, broadcast(p))
		}
		if op.Form.Label != "" {
			m.attr(unix.IFA_LABEL, append([]byte(op.Form.Label), 0))
		}
		m.attr32(unix.IFA_FLAGS, flags)
		m.attr8(ifaProto, Protocol)
		// Last, where a batch finds it (lifetime.go). IPv4 ignores a preferred lifetime of 0 when it
		// chooses a source; there the missing prefix route does it (detection.md section 7).
		if p.Addr().Is6() || op.At != 0 {
			at := m.nest(unix.IFA_CACHEINFO)
			preferred, valid := lifetimes(*op, boottime())
			m.u32(preferred)
			m.u32(valid)
			m.u32(0)
			m.u32(0)
			m.length(at)
		}
	}
	m.end()
	return nil
}

// broadcast is the last address of an IPv4 prefix.
func broadcast(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

func (m *message) neighbor(op *Op) error {
	if !op.IP.IsValid() || op.Link == 0 {
		return fmt.Errorf("neighbour %s on interface %d: incomplete", op.IP, op.Link)
	}
	m.begin(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	m.u8(family(op.IP), 0)
	m.u16(0)
	m.u32(uint32(op.Link))
	m.u16(unix.NUD_REACHABLE) // ages like one that the kernel learnt
	m.u8(0, unix.RTN_UNICAST)
	m.attrIP(unix.NDA_DST, op.IP)
	m.attr(unix.NDA_LLADDR, op.MAC[:])
	m.attr8(ndaProtocol, Protocol)
	m.end()
	return nil
}

func (m *message) nhmsg(family uint8, flags uint32) {
	m.u8(family, unix.RT_SCOPE_UNIVERSE, Protocol, 0)
	m.u32(flags)
}

func (m *message) nexthop(op *Op) error {
	if op.ID == 0 || op.Link == 0 {
		return fmt.Errorf("nexthop %d over interface %d: incomplete", op.ID, op.Link)
	}
	gateway := op.Gateway
	if gateway.Is6() && !gateway.IsLinkLocalUnicast() {
		// IPv6 refuses even an on-link gateway that it has a route to over another interface,
		// as it has over the member that carries the subnet. Without on-link it asks for any
		// route over this one: give it one for as long as it asks, with a metric that loses
		// against every other.
		subnet := netip.PrefixFrom(gateway, 64)
		helper := Op{Kind: SetRoute, Prefix: subnet, Link: op.Link, Metric: math.MaxUint32, Table: op.Table}
		if err := m.route(&helper); err != nil {
			return err
		}
		m.deviceNexthop(op, unix.AF_INET6, 0)
		helper.Kind, helper.Protocol = DeleteRoute, Protocol
		return m.route(&helper)
	}
	if gateway.IsValid() {
		// The member may have no address of the gateway's subnet: on-link says not to ask.
		m.deviceNexthop(op, family(gateway), unix.RTNH_F_ONLINK)
	} else {
		m.deviceNexthop(op, opFamily(op), 0)
	}
	return nil
}

func (m *message) deviceNexthop(op *Op, family uint8, flags uint32) {
	m.begin(unix.RTM_NEWNEXTHOP, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	m.nhmsg(family, flags)
	m.attr32(unix.NHA_ID, op.ID)
	m.attr32(unix.NHA_OIF, uint32(op.Link))
	if op.Gateway.IsValid() {
		m.attrIP(unix.NHA_GATEWAY, op.Gateway)
	}
	m.end()
}

func (m *message) nexthopGroup(op *Op) error {
	if op.ID == 0 || len(op.Hops) == 0 {
		return fmt.Errorf("nexthop group %d of %d nexthops: incomplete", op.ID, len(op.Hops))
	}
	m.begin(unix.RTM_NEWNEXTHOP, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	m.nhmsg(unix.AF_UNSPEC, 0)
	m.attr32(unix.NHA_ID, op.ID)
	at := m.nest(unix.NHA_GROUP)
	for i, hop := range op.Hops {
		weight := 1
		if op.Weights != nil {
			weight = op.Weights[i]
		}
		m.u32(hop)
		m.u8(uint8(weight-1), 0, 0, 0)
	}
	m.length(at)
	m.attr16(unix.NHA_GROUP_TYPE, nhGroupRes)
	at = m.nest(nhaResGroup | nlaNested)
	m.attr16(nhaResBuckets, resilientBuckets)
	m.attr32(nhaResIdleTimer, resilientIdle)
	m.attr32(nhaResUnbalanced, resilientUnbalanced)
	m.unnest(at)
	m.end()
	return nil
}

// restoreRoute is a route of others, as it was.
func (m *message) restoreRoute(r *HostRoute) error {
	if !r.To.IsValid() || r.Link == 0 || r.Special || r.Hops != "" && len(r.Hops.List()) == 0 {
		return fmt.Errorf("route %s over interface %d: incomplete", r.To, r.Link)
	}
	m.begin(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	m.u8(family(r.To.Addr()), uint8(r.To.Bits()), 0, 0)
	m.u8(unix.RT_TABLE_UNSPEC, r.Protocol, r.Scope, unix.RTN_UNICAST)
	m.u32(r.Flags & unix.RTNH_F_ONLINK)
	m.attrIP(unix.RTA_DST, r.To.Addr())
	m.attr32(unix.RTA_TABLE, r.Table)
	if r.Metric != 0 {
		m.attr32(unix.RTA_PRIORITY, r.Metric)
	}
	if r.Src.IsValid() {
		m.attrIP(unix.RTA_PREFSRC, r.Src)
	}
	if r.Metrics != "" {
		m.attr(unix.RTA_METRICS|nlaNested, []byte(r.Metrics))
	}
	if r.Hops != "" {
		m.multipath(r.Hops.List())
	} else {
		if r.Via.IsValid() {
			m.attrIP(unix.RTA_GATEWAY, r.Via)
		}
		m.attr32(unix.RTA_OIF, uint32(r.Link))
	}
	m.end()
	return nil
}

// multipath is RTA_MULTIPATH: a struct rtnexthop for each hop, with its gateway.
func (m *message) multipath(list []Hop) {
	at := m.nest(unix.RTA_MULTIPATH)
	for _, h := range list {
		start := len(m.buf)
		m.u16(0) // its length
		m.u8(uint8(h.Flags), uint8(h.Weight-1))
		m.u32(uint32(h.Link))
		if h.Via.IsValid() {
			m.attrIP(unix.RTA_GATEWAY, h.Via)
		}
		m.length(start)
	}
	m.length(at)
}

func (m *message) route(op *Op) error {
	if !op.Prefix.IsValid() {
		return fmt.Errorf("route %s: incomplete", op.Prefix)
	}
	protocol, scope := op.Protocol, unix.RT_SCOPE_UNIVERSE
	if op.Kind == SetRoute {
		if op.ID == 0 && op.Link == 0 {
			return fmt.Errorf("route %s: neither nexthop nor interface", op.Prefix)
		}
		m.begin(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
		if protocol == 0 {
			protocol = Protocol
		}
		if op.OnLink {
			scope = unix.RT_SCOPE_LINK
		}
	} else {
		m.begin(unix.RTM_DELROUTE, 0)
		scope = unix.RT_SCOPE_NOWHERE // any
	}
	dst := op.Prefix.Masked()
	table := op.Table
	if table == 0 {
		table = unix.RT_TABLE_MAIN
	}
	var flags uint32
	if op.ID == 0 && op.Gateway.IsValid() && op.Kind == SetRoute {
		flags = unix.RTNH_F_ONLINK
	}
	m.u8(family(dst.Addr()), uint8(dst.Bits()), 0, 0)
	m.u8(unix.RT_TABLE_UNSPEC, uint8(protocol), uint8(scope), unix.RTN_UNICAST)
	m.u32(flags)
	m.attrIP(unix.RTA_DST, dst.Addr())
	m.attr32(unix.RTA_TABLE, table)
	if op.Metric != 0 {
		m.attr32(unix.RTA_PRIORITY, op.Metric)
	}
	if op.Src.IsValid() {
		m.attrIP(unix.RTA_PREFSRC, op.Src)
	}
	if op.Metrics != "" && op.Kind == SetRoute {
		m.attr(unix.RTA_METRICS|nlaNested, []byte(op.Metrics))
	}
	if op.ID != 0 {
		m.attr32(rtaNHID, op.ID) // a route with a nexthop object takes neither via nor dev
	} else {
		if op.Link != 0 {
			m.attr32(unix.RTA_OIF, uint32(op.Link))
		}
		if op.Gateway.IsValid() {
			m.attrIP(unix.RTA_GATEWAY, op.Gateway)
		}
	}
	m.end()
	return nil
}
