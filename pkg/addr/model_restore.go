// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// restoreAddress is what the kernel makes of an address that somebody else adds, or changes.
func (m *model) restoreAddress(op *Op) error {
	if _, ok := m.links[op.Link]; !ok {
		return fmt.Errorf("restore %s: no interface %d", op.Prefix, op.Link)
	}
	a := HostAddress{Link: op.Link, Prefix: op.Prefix, Flags: op.Flags, Proto: uint8(op.Protocol), Form: op.Form}
	if i := m.find(op.Link, op.Prefix); i < 0 {
		m.addAddress(a)
	} else if op.Prefix.Addr().Is4() {
		return fmt.Errorf("restore %s: it is there", op.Prefix)
	} else {
		m.addrs[i] = a
	}
	m.addPrefixRoute(m.addrs[m.find(op.Link, op.Prefix)])
	return nil
}

// addPrefixRoute adds the kernel's connected route of an address, where it makes one.
func (m *model) addPrefixRoute(a HostAddress) {
	if r, ok := m.prefixRoute(a); ok && m.links[a.Link].Up && !slices.Contains(m.routes[keyOf(r)], r) {
		m.insertRoute(r)
	}
}

// table that the kernel's routes of a link are in.
func (m *model) table(link int) uint32 { return cmp.Or(m.links[link].Table, unix.RT_TABLE_MAIN) }

// prefixRoute is the connected route that the kernel makes for an address; not ok: none.
func (m *model) prefixRoute(a HostAddress) (HostRoute, bool) {
	// IFA_F_SECONDARY is IFA_F_TEMPORARY in IPv6.
	secondary := a.Prefix.Addr().Is4() && a.Flags&unix.IFA_F_SECONDARY != 0
	if secondary || a.Flags&unix.IFA_F_NOPREFIXROUTE != 0 || a.Prefix.IsSingleIP() || a.Form.Peer.IsValid() {
		return HostRoute{}, false
	}
	r := HostRoute{Table: m.table(a.Link), Protocol: unix.RTPROT_KERNEL, To: a.Prefix.Masked(), Link: a.Link, Metric: a.Form.Metric}
	if a.Prefix.Addr().Is4() {
		r.Scope, r.Src = unix.RT_SCOPE_LINK, a.Prefix.Addr()
	} else if r.Metric == 0 {
		r.Metric = kernelMetric6
	}
	return r, true
}

func (m *model) restoreConnected(op *Op) error {
	if !m.links[op.Link].Up {
		return fmt.Errorf("restore route %s: interface %d is not up", op.Prefix, op.Link)
	}
	r := HostRoute{Table: op.Table, Protocol: unix.RTPROT_KERNEL, Metric: op.Metric, To: op.Prefix, Src: op.Src, Link: op.Link}
	if op.Prefix.Addr().Is4() {
		r.Scope = unix.RT_SCOPE_LINK
	}
	if r.Src.IsValid() && !m.source(r.Src) {
		return fmt.Errorf("restore route %s: source %s is not there", op.Prefix, op.Src)
	}
	if !slices.Contains(m.routes[keyOf(r)], r) {
		m.insertRoute(r)
	}
	return nil
}
