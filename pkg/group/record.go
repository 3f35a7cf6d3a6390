// SPDX-License-Identifier: Apache-2.0

package group

import (
	"math/bits"
	"time"
)

// snapshot is what report compares with.
type snapshot struct {
	set     [Families]sets
	members [][Families]State
	state   GroupState
}

func (g *Group) snapshot() snapshot {
	s := snapshot{set: g.set, state: g.state, members: make([][Families]State, len(g.members))}
	for i := range g.members {
		s.members[i] = g.members[i].state
	}
	return s
}

// report writes down the difference to what was before: first what the engine must do, then what
// people want to know.
func (g *Group) report(now time.Duration, ev Event, old snapshot, moves []Move) []Action {
	var actions []Action
	if len(moves) > 0 || g.setsDiffer(old.set) {
		actions = append(actions, Publish{})
	}
	for _, m := range moves {
		actions = append(actions, m)
	}
	for i := range g.members {
		actions = append(actions, g.memberChanges(now, i, old.members[i])...)
	}
	if g.state != old.state {
		actions = append(actions, GroupChanged{old.state, g.state})
	}
	for _, r := range g.records(ev, old, moves) {
		actions = append(actions, r)
	}
	return actions
}

func (g *Group) setsDiffer(old [Families]sets) bool {
	for f, s := range g.set {
		if s.usable != old[f].usable || s.active != old[f].active {
			return true
		}
	}
	return false
}

func (g *Group) memberChanges(now time.Duration, i int, old [Families]State) []Action {
	m := &g.members[i]
	if m.state == old {
		return nil
	}
	if m.state[worseFamily(m.state)] != old[worseFamily(old)] {
		m.since = now
	}
	if old[IPv4] == old[IPv6] && m.state[IPv4] == m.state[IPv6] {
		return []Action{m.change(i, Both, old)}
	}
	var actions []Action
	for f := range m.state {
		if m.state[f] != old[f] {
			actions = append(actions, m.change(i, Family(f), old))
		}
	}
	return actions
}

func (m *member) change(i int, f Family, old [Families]State) MemberChanged {
	n := f % Families // Both: either, they are the same
	return MemberChanged{i, f, old[n], m.state[n], m.why[n].cause, m.why[n].detail}
}

// catchUp is what another configuration has brought about: a failed group has one more member, which is
// usable; a family has no probes any more and follows the other. Each failure has one repair.
func (g *Group) catchUp() (list []Action) {
	if usable := g.Usable(Both); g.failure && usable != 0 {
		list = append(list, g.groupRepair(bits.TrailingZeros32(usable)))
	}
	for i := range g.members {
		for _, r := range g.memberRecords(i, g.set) {
			list = append(list, r)
		}
	}
	return list
}

// records are the history entries of one step (contract section 4). Each move is in one of them.
func (g *Group) records(ev Event, old snapshot, moves []Move) []Record {
	subject := subjectOf(ev)
	var entries []Record
	switch ev.(type) {
	case Offline:
		entries = append(entries, Record{Kind: KindOffline, Member: subject, Family: Both, Cause: CauseAdmin})
	case Online:
		entries = append(entries, Record{Kind: KindOnline, Member: subject, Family: Both, Cause: CauseAdmin})
	case Suspended:
		entries = append(entries, g.suspension(subject, old.members[subject])...)
	case GroupFailed:
		entries = append(entries, Record{Kind: KindGroupFailure, Member: -1, Family: Both,
			Cause: g.failureCause, Detail: g.failureDetail})
	}
	if g.failure && g.Usable(Both) != 0 {
		entries = append(entries, g.groupRepair(subject))
	}
	for i := range g.members {
		entries = append(entries, g.memberRecords(i, old.set)...)
	}
	return g.attribute(ev, entries, moves)
}

// suspension begins or ends; not of a member that is missing, or offline by the operator's word too.
func (g *Group) suspension(i int, old [Families]State) []Record {
	m := &g.members[i]
	switch was, is := old[IPv4] == StateOffline, m.state[IPv4] == StateOffline; {
	case is && !was:
		return []Record{{Kind: KindOffline, Member: i, Family: Both, Cause: CauseMAC, Detail: m.suspended}}
	case was && !is:
		return []Record{{Kind: KindOnline, Member: i, Family: Both, Cause: CauseMAC}}
	}
	return nil
}

// groupRepair ends the group failure; the event is about the first member that is usable. Members
// that are offline are not to remember it.
func (g *Group) groupRepair(subject int) Record {
	g.failure = false
	g.forgetOffline()
	return Record{Kind: KindGroupRepair, Member: subject, Family: Both, Cause: g.failureCause, Detail: g.failureDetail}
}

// memberRecords: one failover for the families that failed, one repair for those usable again.
// What failed with its group has no entry of its own, but its repair has.
func (g *Group) memberRecords(i int, old [Families]sets) []Record {
	m := &g.members[i]
	var failed, repaired []int
	for f, state := range m.state {
		switch {
		case !m.recorded[f] && !m.out() && (state.broken() || old[f].usable&bit(i)&^g.set[f].usable != 0):
			m.recorded[f], m.lastWhy[f] = true, m.why[f]
			if !state.broken() {
				m.lastWhy[f].cause = CauseLink // no verdict, and now not known to have link
			}
			if state == StateMissing || !m.verdict[m.source(f)].group {
				failed = append(failed, f)
			}
		case m.recorded[f] && g.set[f].usable&bit(i) != 0:
			m.recorded[f] = false
			repaired = append(repaired, f)
		}
	}
	var entries []Record
	if len(failed) > 0 {
		why := m.lastWhy[failed[0]]
		entries = append(entries, Record{KindFailover, i, familiesOf(failed), why.cause, why.detail, nil})
	}
	if len(repaired) > 0 {
		why := m.lastWhy[repaired[0]]
		entries = append(entries, Record{KindRepair, i, familiesOf(repaired), why.cause, why.detail, nil})
	}
	return entries
}

// attribute puts each move into the entry that explains it. Addresses that leave a member which is
// not usable belong to the event; those that go home, or off a standby, are the failback.
func (g *Group) attribute(ev Event, entries []Record, moves []Move) []Record {
	subject := subjectOf(ev)
	var away, back []Move
	for _, m := range moves {
		if m.Why == WhyUnusable {
			away = append(away, m)
		} else {
			back = append(back, m)
		}
	}
	why := reason{cause: CauseProbe}
	if _, ok := ev.(LinkChanged); ok {
		why.cause = CauseLink
	}
	if len(entries) > 0 {
		why = reason{entries[0].Cause, entries[0].Detail}
	}
	switch {
	case len(away) == 0:
	case len(entries) == 0:
		// A member usable for the first time takes what nobody could carry.
		entries = append(entries, Record{KindRepair, away[0].To, g.familyOf(away), why.cause, why.detail, away})
	default:
		entries[0].Moved = away
	}
	if len(back) > 0 {
		entries = append(entries, Record{KindFailback, subject, g.familyOf(back), why.cause, why.detail, back})
	}
	return entries
}

func (g *Group) familyOf(moves []Move) Family {
	var has [Families]bool
	for _, m := range moves {
		has[FamilyOf(g.cfg.Addresses[m.Address].Prefix)] = true
	}
	switch {
	case has[IPv4] && has[IPv6]:
		return Both
	case has[IPv6]:
		return IPv6
	default:
		return IPv4
	}
}

func familiesOf(list []int) Family {
	if len(list) == Families {
		return Both
	}
	return Family(list[0])
}

// subjectOf is the member that an event is about, -1: the group.
func subjectOf(ev Event) int {
	switch e := ev.(type) {
	case HealthChanged:
		return e.Member
	case LinkChanged:
		return e.Member
	case PresenceChanged:
		return e.Member
	case Offline:
		return e.Member
	case Online:
		return e.Member
	case Suspended:
		return e.Member
	case ProbingChanged:
		return e.Member
	default:
		return -1
	}
}
