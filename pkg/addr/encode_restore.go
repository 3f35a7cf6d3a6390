// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// givenFlags are the flags of an address that an administrator may give; the kernel makes the others.
const givenFlags = unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_NODAD | unix.IFA_F_HOMEADDRESS | unix.IFA_F_MANAGETEMPADDR |
	unix.IFA_F_MCAUTOJOIN

// restoreAddress puts an address back as it was found. One of IPv6 is added without duplicate
// detection, which would make it useless for a second, and then given its own flags, which does not
// start it either.
func (m *message) restoreAddress(op *Op) error {
	if !op.Prefix.IsValid() || op.Link == 0 {
		return fmt.Errorf("address %s on interface %d: incomplete", op.Prefix, op.Link)
	}
	flags := op.Flags & givenFlags
	if op.Prefix.Addr().Is6() && flags&unix.IFA_F_NODAD == 0 {
		m.givenAddress(op, flags|unix.IFA_F_NODAD)
	}
	m.givenAddress(op, flags)
	return nil
}

func (m *message) givenAddress(op *Op, flags uint32) {
	p, form := op.Prefix, &op.Form
	m.begin(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	m.u8(family(p.Addr()), uint8(p.Bits()), uint8(flags), form.Scope)
	m.u32(uint32(op.Link))
	m.attrIP(unix.IFA_LOCAL, p.Addr())
	if form.Peer.IsValid() {
		m.attrIP(unix.IFA_ADDRESS, form.Peer)
	} else {
		m.attrIP(unix.IFA_ADDRESS, p.Addr())
	}
	if form.Broadcast.IsValid() {
		m.attrIP(unix.IFA_BROADCAST, form.Broadcast)
	}
	if form.Label != "" {
		m.attr(unix.IFA_LABEL, append([]byte(form.Label), 0))
	}
	m.attr32(unix.IFA_FLAGS, flags)
	if form.Metric != 0 {
		m.attr32(unix.IFA_RT_PRIORITY, form.Metric)
	}
	preferred := seconds(form.Preferred)
	if op.Flags&unix.IFA_F_DEPRECATED != 0 {
		preferred = 0
	}
	at := m.nest(unix.IFA_CACHEINFO)
	m.u32(preferred)
	m.u32(seconds(form.Valid))
	m.u32(0)
	m.u32(0)
	m.length(at)
	m.attr8(ifaProto, uint8(op.Protocol))
	m.end()
}

// seconds of a lifetime, at least one; 0 is for ever.
func seconds(d time.Duration) uint32 {
	if d == 0 {
		return math.MaxUint32
	}
	return uint32(max(1, d.Round(time.Second)/time.Second))
}

// restoreConnected enters a route as the kernel does with an address: of IPv4 behind others.
func (m *message) restoreConnected(op *Op) error {
	if !op.Prefix.IsValid() || op.Link == 0 {
		return fmt.Errorf("route %s over interface %d: incomplete", op.Prefix, op.Link)
	}
	dst := op.Prefix.Masked()
	flags, scope := unix.NLM_F_CREATE, unix.RT_SCOPE_UNIVERSE
	if dst.Addr().Is4() {
		flags, scope = flags|unix.NLM_F_APPEND, unix.RT_SCOPE_LINK
	}
	m.begin(unix.RTM_NEWROUTE, uint16(flags))
	m.u8(family(dst.Addr()), uint8(dst.Bits()), 0, 0)
	m.u8(unix.RT_TABLE_UNSPEC, unix.RTPROT_KERNEL, uint8(scope), unix.RTN_UNICAST)
	m.u32(0)
	m.attrIP(unix.RTA_DST, dst.Addr())
	m.attr32(unix.RTA_TABLE, op.Table)
	m.attr32(unix.RTA_OIF, uint32(op.Link))
	if op.Metric != 0 {
		m.attr32(unix.RTA_PRIORITY, op.Metric)
	}
	if op.Src.IsValid() {
		m.attrIP(unix.RTA_PREFSRC, op.Src)
	}
	m.end()
	return nil
}

func (m *message) deleteNeighbor(op *Op) error {
	if !op.IP.IsValid() || op.Link == 0 {
		return fmt.Errorf("neighbour %s on interface %d: incomplete", op.IP, op.Link)
	}
	m.begin(unix.RTM_DELNEIGH, 0)
	m.u8(family(op.IP), 0)
	m.u16(0)
	m.u32(uint32(op.Link))
	m.u16(0)
	m.u8(0, unix.RTN_UNICAST)
	m.attrIP(unix.NDA_DST, op.IP)
	m.end()
	return nil
}
