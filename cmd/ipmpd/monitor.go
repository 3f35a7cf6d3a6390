// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// A monitored interface is a unit of one member behind those of the groups. It is probed from an address
// that it has by itself, judged alone, and told of; nothing of it is in what is wanted of the host, so
// that its addresses, routes and sysctls stay as they are. What it sends and hears is let through.

// monitors: the unit is no group but one monitored interface.
func (u *unit) monitors() bool { return u.cfg.Monitors() }

// loner is the monitored interface that the unit is, for events that name the group elsewhere; "": it is
// a group.
func (u *unit) loner() string {
	if u.monitors() {
		return u.cfg.Interfaces[0].Name
	}
	return ""
}

// groups are the units that are groups; they come first.
func (e *engine) groups() []*unit { return e.units[:e.firstMonitor()] }

func (e *engine) monitors() []*unit { return e.units[e.firstMonitor():] }

func (e *engine) firstMonitor() int {
	if i := slices.IndexFunc(e.units, (*unit).monitors); i >= 0 {
		return i
	}
	return len(e.units)
}

// sources of a monitored interface's probes: of each family the first of the test addresses that the
// interface has; without any in the file, its own first address. Link-local ones of IPv6, which every
// interface has, have to be named.
func sources(tests []netip.Prefix, has []netstate.Address, ethernet bool) (list [bpf.Families]netip.Prefix) {
	const unusable = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED | unix.IFA_F_DEPRECATED
	if !ethernet {
		return list
	}
	for f := range list {
		for i := range has {
			a := &has[i]
			ip := a.Prefix.Addr()
			named := slices.ContainsFunc(tests, func(p netip.Prefix) bool { return p.Addr() == ip })
			own := len(tests) == 0 && !ip.IsLinkLocalUnicast() && a.Flags&unusable == 0 && a.Protocol != addr.Protocol
			if ip.Is4() == (f == 0) && !ip.IsLoopback() && (named || own) {
				list[f] = a.Prefix
				break
			}
		}
	}
	return list
}

// tests are the member's test addresses, those that it is probed from.
func (m *member) tests() []netip.Prefix {
	if !m.monitored {
		return m.cfg.Test
	}
	return slices.DeleteFunc(slices.Clone(m.source[:]), func(p netip.Prefix) bool { return !p.IsValid() })
}

// lacks says which of the test addresses of the file a monitored interface does not have.
func (m *member) lacks() string {
	if !m.monitored || m.ifindex == 0 {
		return ""
	}
	for _, p := range m.cfg.Test {
		f := 0
		if p.Addr().Is6() {
			f = 1
		}
		if !m.source[f].IsValid() {
			return "it does not have " + p.Addr().String() + " to be probed from"
		}
	}
	return ""
}

// updateFamilies of a monitored interface: those that it has an address to be probed from. It returns
// whether they are others than before.
func (e *engine) updateFamilies(u *unit) (changed bool) {
	if !u.monitors() {
		return false
	}
	m := u.members[0]
	for f := range u.side {
		side := &u.side[f]
		used := m.source[f].IsValid()
		if used == side.used {
			continue
		}
		side.used, changed = used, true
		if !used {
			side.targets, side.rotating, side.planned = nil, nil, nil
			in := &e.instances[bpf.InstanceNumber(m.number, f)]
			atomic.StoreUint32(&in.Limit, 0)
			atomic.StoreUint32(&in.Kind, bpf.KindNone)
		}
	}
	return changed
}

// atOnce is what of a configuration can be in force now. An interface that is in a group, and is to be
// watched only, leaves the group first: what it had of it is put back before it is taken on (later).
func (e *engine) atOnce(groups []config.Group) (now []config.Group, later bool) {
	for i := range groups {
		if groups[i].Monitors() {
			if u, m := e.findName(groups[i].Interfaces[0].Name); m != nil && !u.monitors() {
				later = true
				continue
			}
		}
		now = append(now, groups[i])
	}
	return now, later
}
