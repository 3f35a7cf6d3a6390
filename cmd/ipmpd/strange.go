// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// Here is what others do to the host that is theirs to do, and that the operator should hear of.

// renamed are interfaces that had the name of a member until a moment ago, and are none now.
func (e *engine) renamed() (list []addr.Leaving) {
	for _, u := range e.units {
		for _, m := range u.members {
			if m.former.Index == 0 {
				continue
			}
			// The seats still have it.
			if _, member := e.findLink(m.former.Index); member == nil {
				list = append(list, m.former)
			}
		}
	}
	return list
}

// announceAnew all addresses of a member that has got another MAC: the kernel tells nobody, and
// those who know the old one, the targets of its probes too, would send to it until they ask again.
func (e *engine) announceAnew(u *unit, m *member) {
	tell := e.teller(u, translated(e.watcher.Snapshot()))
	var list []addr.Announcement
	for i, owner := range u.placed() {
		if owner == m.index {
			list = tell.one(list, i, owner)
		}
	}
	for f := range u.side {
		if ip := m.test(f); ip.IsValid() {
			list = append(list, addr.Announcement{Address: ip, Link: m.ifindex, MAC: m.mac,
				Neighbors: tell.neighbors(f == 0), Policy: tell.wish.Announce})
		}
	}
	e.log.Info("another MAC; its addresses are announced", "interface", m.cfg.Name, "mac", fmt.Sprintf("%x", m.mac))
	e.announcer.Announce(list...)
}

// copies are data addresses that somebody has put on interfaces that are in no group.
type copies map[copyOf]bool

type copyOf struct {
	address netip.Prefix
	link    int
}

// lookForCopies tells of data addresses on interfaces that are none of ours. They stay: what is on
// such an interface is foreign. Both are this host, which answers for its addresses on every
// interface; but who reaches it by that interface does not follow the group.
func (e *engine) lookForCopies(s *netstate.Snapshot) {
	elsewhere := elsewhere(s, e.isMember)
	is := copies{}
	for _, u := range e.units {
		for _, c := range u.copies(elsewhere) {
			if is[c] = true; e.copies[c] {
				continue
			}
			name := s.Link(c.link).Name
			e.event(control.Event{Event: control.EventAddressDuplicate, Group: u.cfg.Name, Interface: name,
				Address: c.address.String(), Detail: "somebody put it on this interface too, which is in no group; it stays there; " +
					fmt.Sprintf("take it off: `ip address del %s dev %s`", c.address, name)})
		}
	}
	e.copies = is
}

// elsewhere are addresses of others on interfaces that are no members.
func elsewhere(s *netstate.Snapshot, member func(link int) bool) map[netip.Addr]copyOf {
	found := map[netip.Addr]copyOf{}
	for i := range s.Addresses {
		a := &s.Addresses[i]
		ip := a.Prefix.Addr()
		if ip.IsLoopback() || ip.IsLinkLocalUnicast() || a.Protocol == addr.Protocol || member(a.Link) || s.Link(a.Link) == nil {
			continue
		}
		found[ip] = copyOf{a.Prefix, a.Link}
	}
	return found
}

// copies of the group's data addresses.
func (u *unit) copies(elsewhere map[netip.Addr]copyOf) (list []copyOf) {
	if len(elsewhere) == 0 {
		return nil
	}
	for _, a := range u.cfg.Addresses {
		if c, there := elsewhere[a.Prefix.Addr()]; there {
			list = append(list, c)
		}
	}
	return list
}

func (e *engine) isMember(ifindex int) bool {
	at, is := (*e.seats.Load())[ifindex]
	return is && !slices.ContainsFunc(e.monitors(), func(u *unit) bool { return u.slot == at.group })
}

// foreignCopies for the status.
func (e *engine) foreignCopies(u *unit, s *netstate.Snapshot) (out []control.ForeignAddress) {
	for _, c := range u.copies(elsewhere(s, e.isMember)) {
		out = append(out, control.ForeignAddress{Address: c.address.String(), Interface: s.Link(c.link).Name})
	}
	return out
}

// compareMTUs of a group's members. They were the same at the start (`ipmpd check`).
func (e *engine) compareMTUs(u *unit) {
	said, mtus := "", map[int]bool{}
	for _, m := range u.members {
		if m.ifindex != 0 {
			mtus[m.mtu] = true
		}
	}
	if len(mtus) > 1 {
		var text []string
		for _, m := range u.members {
			if m.ifindex != 0 {
				text = append(text, fmt.Sprintf("%s %d", m.cfg.Name, m.mtu))
			}
		}
		said = strings.Join(text, ", ")
	}
	if said == u.mtus {
		return
	}
	u.mtus = said
	if said == "" {
		e.log.Info("members have the same MTU again", "group", u.cfg.Name)
		return
	}
	e.event(control.Event{Event: control.EventStepFailed, Group: u.cfg.Name, Interface: u.odd(),
		Detail: "members have different MTUs (" + said + "): after a failover large packets are lost; make them the same: `ip link set DEV mtu N`"})
}

// odd is the first member whose MTU most of the others do not have.
func (u *unit) odd() string {
	count := map[int]int{}
	for _, m := range u.members {
		if m.ifindex != 0 {
			count[m.mtu]++
		}
	}
	at := slices.IndexFunc(u.members, func(m *member) bool { return m.ifindex != 0 && 2*count[m.mtu] <= len(u.members) })
	return u.memberName(at)
}
