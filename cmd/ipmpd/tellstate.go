// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"

	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/detect"
	"github.com/ipmpd/ipmpd/pkg/group"
)

// stateText is what events say of a member: the state first, then why.
func stateText(s group.State, c group.Cause) string {
	return strings.Join(nonEmpty(s.String(), c.String()), " ")
}

// memberText has, of a member that another one keeps out of service, which one that is.
func memberText(s group.State, c group.Cause, detail string) string {
	text := stateText(s, c)
	if c == group.CauseMAC && detail != "" {
		text += ": " + detail
	}
	return text
}

// states of all groups and members, as events.
func (e *engine) states() (list []control.Event) {
	for _, u := range e.units {
		v := u.state.View()
		if !u.monitors() {
			list = append(list, control.Event{Event: control.EventGroupState, Group: u.cfg.Name, Detail: v.State.String()})
		}
		for i, m := range v.Members {
			list = append(list, control.Event{Event: control.EventInterfaceState, Group: u.cfg.Name,
				Interface: u.memberName(i), Family: group.Both.String(), Detail: memberText(m.State, m.Cause, m.Detail)})
		}
	}
	return list
}

// tellStates that are others than before: at a start all of them, after a reload those of new groups and
// members too. No step of a group leads to them.
func (e *engine) tellStates(before []control.Event) {
	for _, ev := range e.states() {
		if !slices.Contains(before, ev) {
			e.event(ev)
		}
	}
}

// tellMember is news of a member that change no state: the state that it is in, and what is new.
func (e *engine) tellMember(u *unit, m *member, family, news string) {
	v := u.state.View().Members[m.index]
	e.event(control.Event{Event: control.EventInterfaceState, Group: u.cfg.Name, Interface: m.cfg.Name,
		Family: family, Detail: stateText(v.State, v.Cause) + ": " + news})
}

// tellKinds: a test address is gone or has come, and a member is probed in another way than it was.
func (e *engine) tellKinds(u *unit, m *member, old [group.Families]detect.Kind) {
	if u.state == nil || m.ifindex == 0 {
		return
	}
	for f, kind := range m.kind {
		if text := kindNews(old[f], kind); text != "" {
			e.tellMember(u, m, group.Family(f).String(), text)
		}
	}
}

// kindNews is what is said of a change between probes from a test address and those without.
func kindNews(old, is detect.Kind) string {
	switch {
	case old == detect.KindICMP && is == detect.KindARP:
		return "its test address is gone, probed by arp"
	case old == detect.KindARP && is == detect.KindICMP:
		return "it has a test address, probed by icmp"
	case old == detect.KindICMP && is == detect.KindNone:
		return "its test address is gone, not probed"
	}
	return ""
}
