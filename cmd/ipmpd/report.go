// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/group"
)

// report tells what a group did: to those who watch, to the log and to the history.
func (e *engine) report(u *unit, a group.Action, from *origin, done *stamps, failures []addr.Failure) {
	if _, is := a.(group.MemberChanged); u.monitors() && !is {
		return // it is no group, and nothing of it goes anywhere
	}
	switch a := a.(type) {
	case group.Move:
		if u.isHeld(a.Address) {
			return // it would be there; it is not
		}
		e.event(control.Event{Event: control.EventAddressMoved, Group: u.cfg.Name,
			Interface: u.memberName(a.To), Address: u.cfg.Addresses[a.Address].Prefix.String(),
			Detail: "from " + nameOr(u.memberName(a.From), "nowhere")})
	case group.MemberChanged:
		detail := memberText(a.New, a.Cause, a.Detail)
		e.event(control.Event{Event: control.EventInterfaceState, Group: u.cfg.Name,
			Interface: u.memberName(a.Member), Family: a.Family.String(), Detail: detail})
	case group.GroupChanged:
		e.event(control.Event{Event: control.EventGroupState, Group: u.cfg.Name, Detail: a.New.String()})
	case group.Record:
		e.record(u, a, from, done, failures)
	}
}

func (u *unit) memberName(i int) string {
	if i < 0 || i >= len(u.members) {
		return ""
	}
	return u.members[i].cfg.Name
}

func nameOr(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return name
}

// record enters a failover or a repair into the history.
func (e *engine) record(u *unit, r group.Record, from *origin, done *stamps, failures []addr.Failure) {
	entry := control.HistoryEntry{
		Time: wall(monotonic()), Group: u.cfg.Name, Kind: r.Kind.String(), Interface: u.memberName(r.Member),
		Family: r.Family.String(), Cause: r.Cause.String(), Detail: r.Detail, Complete: len(failures) == 0,
	}
	for _, m := range r.Moved {
		if u.isHeld(m.Address) {
			continue
		}
		entry.Moved = append(entry.Moved, control.Moved{
			Address: u.cfg.Addresses[m.Address].Prefix.String(),
			From:    u.memberName(m.From), To: u.memberName(m.To)})
	}
	for _, f := range failures {
		entry.Failed = append(entry.Failed, control.Failed{
			Address: prefixText(f.Op), Step: f.Op.Kind.String(), Error: f.Err.Error()})
	}
	if from != nil {
		entry.Time = wall(from.verdict)
		entry.Timeline = timeline(r, from, done)
	}
	id := e.journal.Add(entry)
	if !entry.Complete {
		u.pending = id
	}
}

// timeline of a change; steps that did not happen are absent.
func timeline(r group.Record, from *origin, done *stamps) control.Timeline {
	since := func(at int64) *int64 {
		if at == 0 {
			return nil
		}
		return new(at - from.from)
	}
	t := control.Timeline{Verdict: since(from.verdict), EgressSwitched: since(done.egress)}
	if r.Cause == group.CauseProbe {
		t.LastReply = new(int64(0))
	}
	if len(r.Moved) > 0 {
		t.FirstAnnouncement, t.Announced, t.Addresses = since(done.first), since(done.announced), since(done.addresses)
	}
	t.Routes = since(done.routes)
	return t
}

// completeEntries marks the entries whose steps were still tried as done.
func (e *engine) completeEntries() {
	for _, u := range e.units {
		if u.pending != 0 {
			e.journal.Update(u.pending, func(h *control.HistoryEntry) { h.Complete, h.Failed = true, nil })
			u.pending = 0
		}
	}
}
