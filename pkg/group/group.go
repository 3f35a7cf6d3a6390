// SPDX-License-Identifier: Apache-2.0

package group

import (
	"slices"
	"time"
)

// MaxMembers of a group: the bits of a mask. Config's members beyond it are ignored.
const MaxMembers = 32

// Group is the state of one group. New makes it.
type Group struct {
	cfg     Config
	normal  int // members without STANDBY: N of spec 5.4
	members []member
	owner   []int // by address; -1: nobody
	load    []int // addresses by owner
	set     [Families]sets
	state   GroupState

	// failure is set from GroupFailed until a member is usable again.
	failure       bool
	failureCause  Cause
	failureDetail string
}

// sets are the members of one family in masks; bit = place in file order.
type sets struct {
	usable uint32
	ready  uint32 // usable, and proved so, or nothing to prove it with
	active uint32
}

// New places every address: one that Start says a member has stays there if the member can carry
// it, any other goes to its home if that has link, else to the first member that has. No probes are
// waited for. The actions are Publish, the Moves, and Records of what another configuration has ended or
// begun; what the members are is in View.
func New(cfg Config, now time.Duration, start Start) (*Group, []Action) {
	cfg.Members = slices.Clone(cfg.Members[:min(len(cfg.Members), MaxMembers)])
	cfg.Addresses = slices.Clone(cfg.Addresses)
	g := &Group{
		cfg:     cfg,
		members: make([]member, len(cfg.Members)),
		owner:   make([]int, len(cfg.Addresses)),
		load:    make([]int, len(cfg.Members)),
	}
	if was := start.Was; was != nil {
		g.failure, g.failureCause, g.failureDetail = was.failure, was.failureCause, was.failureDetail
	}
	for i, mc := range cfg.Members {
		m := &g.members[i]
		m.since = now
		if i < len(start.Members) {
			m.adopt(start.Members[i])
		}
		m.probing(mc.Probed)
		if !mc.Standby {
			g.normal++
		}
	}
	for a := range g.owner {
		g.owner[a] = -1
		if a < len(start.Owners) && g.valid(start.Owners[a]) {
			g.owner[a] = start.Owners[a]
			g.load[g.owner[a]]++
		}
	}
	g.judge()
	g.startActive(start)
	g.state = g.groupState()
	for i := range g.members {
		m := &g.members[i]
		for f := range m.state {
			m.seen[f] = m.seen[f] || g.set[f].usable&bit(i) != 0
			if i >= len(start.Members) || start.Members[i].known == nil { // else it is known what the history has
				m.recorded[f], m.lastWhy[f] = m.state[f].broken(), m.why[f]
			}
		}
	}
	moves := append(g.startPlaces(), g.place()...)
	actions := []Action{Publish{}}
	for _, m := range moves {
		actions = append(actions, m)
	}
	if start.Was != nil {
		actions = append(actions, g.catchUp()...)
	}
	return g, actions
}

// Carry is what is known of a member, for the Start of the group that takes this one's place under
// another configuration: verdicts, their reasons, and that a repaired member is inactive.
func (g *Group) Carry(i int) MemberStart {
	m := g.members[i]
	return MemberStart{Exists: m.exists, Link: m.link, Offline: m.offline, Suspended: m.suspended, Inactive: m.inactive, known: &m}
}

// Step applies one event that happened at now and says what is to be done about it.
func (g *Group) Step(now time.Duration, ev Event) []Action {
	if why, refused := g.refuse(ev); refused {
		return []Action{why}
	}
	before := g.snapshot()
	if !g.apply(ev) {
		return nil
	}
	moves := g.settle(ev)
	return g.report(now, ev, before, moves)
}

// settle lets states, active members and addresses follow from what is known.
func (g *Group) settle(ev Event) []Move {
	old := g.set
	g.judge()
	g.activate(old, isReturn(ev))
	moves := g.place()
	g.state = g.groupState()
	return moves
}

// Usable is the mask of usable members.
func (g *Group) Usable(f Family) uint32 {
	return g.mask(f, func(s sets) uint32 { return s.usable })
}

// Active is the mask of members that carry data.
func (g *Group) Active(f Family) uint32 {
	return g.mask(f, func(s sets) uint32 { return s.active })
}

// mask of one family; of Both: members that are in either.
func (g *Group) mask(f Family, of func(sets) uint32) uint32 {
	if f < Families {
		return of(g.set[f])
	}
	return of(g.set[IPv4]) | of(g.set[IPv6])
}

// Owner is the member that has the address, -1: none.
func (g *Group) Owner(address int) int {
	if address < 0 || address >= len(g.owner) {
		return -1
	}
	return g.owner[address]
}

func (g *Group) valid(member int) bool { return member >= 0 && member < len(g.members) }

// groupState counts the members that are usable, in their worse family for ok, in their better one
// for failed (spec 1.4).
func (g *Group) groupState() GroupState {
	all := g.set[IPv4].usable & g.set[IPv6].usable
	switch some := g.set[IPv4].usable | g.set[IPv6].usable; {
	case some == 0:
		return GroupDown
	case all == bit(len(g.members))-1:
		return GroupOK
	default:
		return GroupDegraded
	}
}

func bit(member int) uint32 { return 1 << member }
