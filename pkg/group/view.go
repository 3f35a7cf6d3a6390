// SPDX-License-Identifier: Apache-2.0

package group

import "time"

// View is everything that status shows of a group.
type View struct {
	Name      string
	State     GroupState
	Members   []MemberView
	Addresses []AddressView
}

// MemberView is one member; the fields beside Families are those of the worse family, Active and
// Usable are true where either is (contract section 4).
type MemberView struct {
	Name     string
	Standby  bool
	State    State
	Active   bool
	Usable   bool
	Link     Link
	Cause    Cause
	Detail   string
	Since    time.Duration // of State; the now of the Step that set it
	Families [Families]FamilyView
}

// FamilyView is one family of a member. Health is what the probes say, whatever the link says.
type FamilyView struct {
	State  State
	Active bool
	Usable bool
	Health Health
	Probed bool
}

// AddressView is a data address. Owner is -1 where no member has it. Up: contract section 1.
type AddressView struct {
	Owner int
	Up    bool
}

// View shows the group as the last Step left it.
func (g *Group) View() View {
	v := View{
		Name:      g.cfg.Name,
		State:     g.state,
		Members:   make([]MemberView, len(g.members)),
		Addresses: make([]AddressView, len(g.owner)),
	}
	for i := range g.members {
		v.Members[i] = g.memberView(i)
	}
	for a, at := range g.owner {
		v.Addresses[a] = AddressView{Owner: at, Up: g.up(a)}
	}
	return v
}

func (g *Group) memberView(i int) MemberView {
	m := &g.members[i]
	f := worseFamily(m.state)
	v := MemberView{
		Name:    g.cfg.Members[i].Name,
		Standby: g.cfg.Members[i].Standby,
		State:   m.state[f],
		Active:  g.Active(Both)&bit(i) != 0,
		Usable:  g.Usable(Both)&bit(i) != 0,
		Link:    m.link,
		Cause:   m.why[f].cause,
		Detail:  m.why[f].detail,
		Since:   m.since,
	}
	for f := range v.Families {
		v.Families[f] = FamilyView{
			State:  m.state[f],
			Active: g.set[f].active&bit(i) != 0,
			Usable: g.set[f].usable&bit(i) != 0,
			Health: m.verdict[m.source(f)].probes(),
			Probed: m.probed[f],
		}
	}
	return v
}

// probes is what the probes alone say.
func (v *verdict) probes() Health {
	if v.health == Failed && v.cause != CauseProbe {
		return Unknown
	}
	return v.health
}

// up: on a usable member, or on any with link while the group has not failed (contract section 1).
func (g *Group) up(address int) bool {
	at := g.owner[address]
	if at < 0 {
		return false
	}
	linked := g.members[at].exists && g.members[at].link == LinkUp
	return g.set[g.family(address)].usable&bit(at) != 0 || linked && g.state != GroupDown
}

// worseFamily of a member; IPv4 where both are alike.
func worseFamily(states [Families]State) int {
	rank := [...]int{StateOK: 0, StateUnknown: 1, StateFailed: 2, StateOffline: 3, StateMissing: 4}
	if rank[states[IPv6]] > rank[states[IPv4]] {
		return int(IPv6)
	}
	return int(IPv4)
}
