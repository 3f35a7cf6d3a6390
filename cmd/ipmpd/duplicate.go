// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/detect"
	"github.com/ipmpd/ipmpd/pkg/group"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// retryDuplicate is when an address that somebody else has is asked for again; tests do not wait as long.
var retryDuplicate = 30 * time.Second

// portTime is what the port of a switch may take to forward after its link is up.
const portTime = 2 * time.Second

// held is a data address that is on no interface, because nobody knows yet whether it is free
// (contract section 3, duplicate-check).
type held struct {
	asking bool
	again  time.Time // not asked for before
	by     addr.MAC  // who has it, as last told
}

// firstUse is what the engine and the task that asks have in common.
type firstUse struct {
	checks chan *duplicateCheck
	over   chan struct{} // closed once the addresses of the start have been asked for
}

// duplicateCheck is one question for many addresses.
type duplicateCheck struct {
	claims []addr.Claim
	of     []heldAddress // as claims
	own    []addr.MAC
	first  bool // the one of the start
}

// heldAddress is a data address, or, with index -1, a test address. Those are in use all the same, as
// detection does not wait; that somebody else has one is told.
type heldAddress struct {
	u      *unit
	index  int // into the group's addresses
	prefix netip.Prefix
}

// testAddress is one that nobody has been asked for yet.
type testAddress struct {
	m      *member
	prefix netip.Prefix
}

func newFirstUse() firstUse {
	return firstUse{checks: make(chan *duplicateCheck, 16), over: make(chan struct{})}
}

// hold back the addresses that are on no interface of the host: those that are were in use before, unless
// the kernel has refused them.
func (e *engine) hold(u *unit, s *netstate.Snapshot) {
	u.held = make([]*held, len(u.cfg.Addresses))
	if !u.cfg.DuplicateCheck {
		return
	}
	here := map[netip.Addr]bool{}
	for i := range s.Addresses {
		if a := &s.Addresses[i]; a.Flags&unix.IFA_F_DADFAILED == 0 {
			here[a.Prefix.Addr()] = true
		}
	}
	for _, m := range u.members {
		for _, p := range m.cfg.Test {
			if !here[p.Addr()] {
				u.unasked = append(u.unasked, testAddress{m, p})
			}
		}
	}
	for i, a := range u.cfg.Addresses {
		if ip := a.Prefix.Addr(); !here[ip] {
			u.held[i] = &held{}
			if ip.Is4() {
				e.warnIf(e.objects.DeleteOwner(ip)) // a former run's
			}
		}
	}
}

// refuse holds addresses back that the kernel has refused where they are in use: somebody has added them
// anew by hand, and another host has them.
func (e *engine) refuse(s *netstate.Snapshot) {
	for i := range s.Addresses {
		a := &s.Addresses[i]
		if a.Flags&unix.IFA_F_DADFAILED == 0 {
			continue
		}
		u, m := e.findLink(a.Link)
		if m == nil || !u.cfg.DuplicateCheck {
			continue
		}
		at := slices.IndexFunc(u.cfg.Addresses, func(x config.Address) bool { return x.Prefix.Addr() == a.Prefix.Addr() })
		if at < 0 || u.placed()[at] != m.index {
			continue
		}
		u.held[at] = &held{}
		e.log.Warn("the kernel has refused an address as a duplicate; it is asked for", "group", u.cfg.Name,
			"interface", m.cfg.Name, "address", a.Prefix)
		e.publishOwners(u)
	}
}

func (u *unit) isHeld(address int) bool { return address < len(u.held) && u.held[address] != nil }

// inUse is a placement without the addresses that are held.
func (u *unit) inUse(owners []int) []int {
	owners = slices.Clone(owners)
	for i, h := range u.held {
		if h != nil {
			owners[i] = -1
		}
	}
	return owners
}

// placed says where the addresses that are in use are.
func (u *unit) placed() []int { return u.inUse(u.state.Placement().Owners) }

// heard: a question on a member reaches others. A link that came up a moment ago may end at a port
// that does not forward yet, unless probes are answered.
func (e *engine) heard(u *unit, m *member, ip netip.Addr) bool {
	if m.link != group.LinkUp {
		return false
	}
	state, _, _ := u.tracker.State(m.number, detect.Family(group.FamilyOf(netip.PrefixFrom(ip, ip.BitLen()))))
	return m.linkAt == 0 || state == detect.OK || monotonic()-m.linkAt >= portTime.Nanoseconds()
}

// askFirst asks for the held addresses whose turn it is: those of an owner whose questions are heard.
// It returns whether there are any.
func (e *engine) askFirst(first bool) bool {
	c := &duplicateCheck{first: first}
	now := time.Now()
	ask := func(m *member, a heldAddress) {
		c.claims = append(c.claims, addr.Claim{Link: m.ifindex, MAC: m.mac, Address: a.prefix.Addr()})
		c.of = append(c.of, a)
	}
	for _, u := range e.units {
		for _, test := range u.unasked {
			if e.heard(u, test.m, test.prefix.Addr()) {
				ask(test.m, heldAddress{u, -1, test.prefix})
			}
		}
		for i, h := range u.held {
			if h == nil || h.asking || now.Before(h.again) {
				continue
			}
			prefix := u.cfg.Addresses[i].Prefix
			if owner := u.state.Owner(i); owner >= 0 && e.heard(u, u.members[owner], prefix.Addr()) {
				ask(u.members[owner], heldAddress{u, i, prefix})
			}
		}
	}
	if len(c.claims) == 0 {
		return false
	}
	for _, l := range e.watcher.Snapshot().Links {
		c.own = append(c.own, l.MAC)
	}
	select {
	case e.firstUse.checks <- c:
	default:
		return false // many are under way; housekeeping comes here again
	}
	for _, a := range c.of {
		if a.index >= 0 {
			a.u.held[a.index].asking = true
		}
	}
	for _, u := range e.units {
		u.unasked = slices.DeleteFunc(u.unasked, func(t testAddress) bool {
			return slices.ContainsFunc(c.of, func(a heldAddress) bool { return a.index < 0 && a.prefix == t.prefix })
		})
	}
	return true
}

// runDuplicates asks, any number of questions at a time, and gives the engine the answers.
func (e *engine) runDuplicates(ctx context.Context) error {
	var asking sync.WaitGroup
	defer asking.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-e.firstUse.checks:
			asking.Go(func() {
				found, err := addr.CheckDuplicates(ctx, c.claims, c.own)
				select {
				case e.events <- func() { e.checked(c, found, err) }:
				case <-ctx.Done():
				}
			})
		}
	}
}

// checked puts the addresses in use that are free, and tells of the others.
func (e *engine) checked(c *duplicateCheck, found map[netip.Addr]addr.MAC, err error) {
	if err != nil {
		// Without an address nobody is served; that there is another owner is only a possibility.
		e.log.Warn("addresses are used without a check for duplicates", "error", err)
	}
	before := map[*unit][]int{}
	for i, a := range c.of {
		claim := c.claims[i]
		if !slices.Contains(e.units, a.u) {
			continue // another configuration is in force, and asks again
		}
		if mac, taken := found[claim.Address]; taken {
			e.taken(a, claim, mac)
			continue
		}
		if a.index < 0 {
			continue
		}
		h, owner := a.u.held[a.index], a.u.state.Owner(a.index)
		h.asking = false
		if err == nil && (owner < 0 || a.u.members[owner].ifindex != claim.Link || a.u.members[owner].link != group.LinkUp) {
			continue // the link that was asked may have gone meanwhile: the next one is asked
		}
		if before[a.u] == nil {
			before[a.u] = a.u.placed()
		}
		a.u.held[a.index] = nil
		if h.by != (addr.MAC{}) {
			e.event(control.Event{Event: control.EventAddressMoved, Group: a.u.cfg.Name, Interface: a.u.memberName(owner),
				Address: a.prefix.String(), Detail: "from nowhere: nobody else has it any more"})
		}
	}
	if len(before) > 0 {
		e.use(before)
	}
	if c.first {
		close(e.firstUse.over)
	}
}

// use the addresses that groups have beyond a placement of before: on the host, of all groups at once,
// then announced.
func (e *engine) use(before map[*unit][]int) {
	o := translated(e.watcher.Snapshot())
	var list []addr.Announcement
	for _, u := range e.units {
		if was := before[u]; was != nil {
			e.publishOwners(u)
			list = append(list, e.announcements(u, o, was, u.placed())...)
		}
	}
	e.apply()
	e.announcer.Announce(list...)
	e.prepareAll()
}

// taken is an address that somebody else has; that is told once.
func (e *engine) taken(a heldAddress, claim addr.Claim, mac addr.MAC) {
	if a.index >= 0 {
		h := a.u.held[a.index]
		h.asking, h.again = false, time.Now().Add(retryDuplicate)
		if h.by == mac {
			return
		}
		h.by = mac
	}
	name := ""
	if _, m := e.findLink(claim.Link); m != nil {
		name = m.cfg.Name
	}
	e.event(control.Event{Event: control.EventAddressDuplicate, Group: a.u.cfg.Name, Interface: name,
		Address: a.prefix.String(), Detail: net.HardwareAddr(mac[:]).String()})
}
