// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/control"
)

// sayDrifts is how many repairs of one group are told one by one.
const sayDrifts = 8

// drift is what others do to what is ours on the host (docs/decisions/0011-drift.md).
type drift struct {
	// left is the host as the last apply left it; nil: not known, and then nothing is anybody's doing.
	left     *addr.Standing
	contests map[thing]*contest
	again    int64 // CLOCK_MONOTONIC ns when something that waits is due; 0: nothing waits
}

// thing is what a contest is about.
type thing struct {
	kind   addr.Kind
	link   int
	prefix netip.Prefix
	metric uint32
	table  uint32
	id     uint32
	key    string
}

func thingOf(op *addr.Op) thing {
	t := thing{op.Kind, op.Link, op.Prefix, op.Metric, op.Table, op.ID, op.Key}
	if op.Kind == addr.SetRoute {
		t.id = 0 // the same route, whichever way it goes
	}
	return t
}

// judge tells which of ops put right what others have done. What is contested, and may not be repaired
// yet, is taken out of them.
func (x *drift) judge(now int64, d addr.Desired, o addr.Observed, ops []addr.Op) (do []addr.Op, found []addr.Drift) {
	x.again = 0
	drifted, waiting := map[thing]bool{}, map[thing]bool{}
	for _, f := range x.left.Drifted(d, o, ops) {
		t := thingOf(f.Op)
		drifted[t] = true
		if f.Follows {
			found = append(found, f)
			continue
		}
		if c := x.contest(t); !c.due(now) {
			waiting[t] = true
			if x.again == 0 || c.until < x.again {
				x.again = c.until
			}
			continue
		}
		found = append(found, f)
	}
	if x.left != nil {
		for t, c := range x.contests {
			if !drifted[t] {
				c.right()
			}
		}
	}
	if len(waiting) == 0 {
		return ops, found
	}
	do = addr.Postpone(ops, func(op *addr.Op) bool { return waiting[thingOf(op)] })
	return do, found
}

func (x *drift) contest(t thing) *contest {
	c := x.contests[t]
	if c == nil {
		if x.contests == nil {
			x.contests = map[thing]*contest{}
		}
		c = &contest{}
		x.contests[t] = c
	}
	return c
}

// leave notes how the host was left: with all of ops, but for those that failed.
func (x *drift) leave(d addr.Desired, o addr.Observed, ops []addr.Op, failures []addr.Failure) {
	if len(failures) > 0 {
		failed := map[thing]bool{}
		for i := range failures {
			failed[thingOf(&failures[i].Op)] = true
		}
		ops = slices.DeleteFunc(slices.Clone(ops), func(op addr.Op) bool { return failed[thingOf(&op)] })
	}
	x.left = addr.Left(d, o, ops)
}

// forget how the host was left: it was changed by other ways than apply.
func (x *drift) forget() { x.left = nil }

// repaired counts the repairs that were done and returns what is to be said of each.
func (x *drift) repaired(now int64, found []addr.Drift, failures []addr.Failure) (said []saying) {
	for t, c := range x.contests {
		if c.over(now) {
			delete(x.contests, t)
		}
	}
	failed := map[thing]bool{}
	for i := range failures {
		failed[thingOf(&failures[i].Op)] = true
	}
	for _, f := range found {
		if t := thingOf(f.Op); !f.Follows && !failed[t] {
			said = append(said, saying{f, x.contest(t).repaired(now)})
		}
	}
	return said
}

// saying is a repair with what there is to say of it.
type saying struct {
	addr.Drift
	word word
}

// event that tells of it; others are how many more of the kind it stands for.
func (s *saying) event(group string, others int) control.Event {
	ev := control.Event{Event: control.EventDriftRepaired, Group: group, Interface: s.Op.LinkName}
	if s.Op.Kind == addr.AddAddress || s.Op.Kind == addr.DeleteAddress {
		ev.Address = s.Op.Prefix.String()
	}
	did := "somebody " + s.Did
	if others > 0 {
		did += fmt.Sprintf(" and %d more", others)
	}
	if s.word == wordContested {
		ev.Event = control.EventStepFailed
		ev.Detail = did + " again and again; it is put back at growing pauses, up to a minute; find out who: " + whoDoes(s.Op.Kind)
		return ev
	}
	ev.Detail = did + "; it is as it was"
	return ev
}

func whoDoes(k addr.Kind) string {
	switch k {
	case addr.SetSysctl:
		return "look into /etc/sysctl.d and at what manages the interface"
	case addr.SetRoute:
		return "`ip -t monitor route`"
	case addr.SetNexthop, addr.SetNexthopGroup:
		return "`ip -t monitor nexthop`"
	}
	return "`ip -t monitor address`"
}

// driftEvents of one apply: routes and nexthops of a group together, of the rest the first few one by one.
func driftEvents(said []saying, nameOf func(slot int) string) (events []control.Event) {
	type class struct {
		slot int
		kind addr.Kind
		word word
	}
	count := map[class]int{}
	of := func(s *saying) class { return class{s.Op.Group, s.Op.Kind, s.word} }
	limit := func(k addr.Kind) int {
		switch k {
		case addr.SetRoute, addr.SetNexthop, addr.SetNexthopGroup:
			return 1
		}
		return sayDrifts
	}
	for i := range said {
		count[of(&said[i])]++
	}
	told := map[class]int{}
	for i := range said {
		s := &said[i]
		c := of(s)
		if told[c]++; s.word == wordNothing || told[c] > limit(c.kind) {
			continue
		}
		others := 0
		if told[c] == limit(c.kind) {
			others = count[c] - told[c]
		}
		events = append(events, s.event(nameOf(c.slot), others))
	}
	return events
}

// settleDrift tells of what was repaired, and announces addresses: whoever asked for one meanwhile
// had no answer, or one from elsewhere.
func (e *engine) settleDrift(o addr.Observed, found []addr.Drift, failures []addr.Failure) {
	said := e.drift.repaired(monotonic(), found, failures)
	var again []addr.Announcement
	tellers := map[*unit]*teller{}
	for i := range said {
		op := said[i].Op
		if op.Kind != addr.AddAddress && op.Kind != addr.DeleteAddress {
			continue
		}
		for _, u := range e.units {
			at := u.address(op.Prefix.Addr())
			if at < 0 || u.placed()[at] < 0 {
				continue
			}
			if tellers[u] == nil {
				tellers[u] = e.teller(u, o)
			}
			again = tellers[u].one(again, at, u.placed()[at])
		}
	}
	if len(again) > 0 {
		e.announcer.Announce(again...)
	}
	for _, ev := range driftEvents(said, e.groupAt) {
		e.event(ev)
	}
}

func (e *engine) groupAt(slot int) string {
	for _, u := range e.units {
		if u.slot == slot {
			return u.cfg.Name
		}
	}
	return ""
}

// watchSysctls of the members that there are.
func (e *engine) watchSysctls() {
	if e.sysctls != nil {
		e.sysctls.Watch(addr.SysctlKeys(e.desired()))
	}
}

// sysctlNews is nil, from which nothing ever comes, where sysctls are not watched.
func (e *engine) sysctlNews() <-chan struct{} {
	if e.sysctls == nil {
		return nil
	}
	return e.sysctls.Changes()
}
