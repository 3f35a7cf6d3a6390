// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"slices"
	"time"

	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/group"
)

// origin is where a change comes from, for its timeline: CLOCK_MONOTONIC ns.
type origin struct {
	from    int64 // last good reply, or arrival of the event
	verdict int64
	fired   *firing // what the fast path has done already
}

// stamps are when the steps of a change were done, CLOCK_MONOTONIC ns; 0: not done.
type stamps struct {
	egress, first, announced, routes, addresses int64
}

// refusal is a step that the group would not take.
type refusal struct{ reason string }

func (r *refusal) Error() string { return r.reason }

// step lets a group take an event and carries out what follows from it.
func (e *engine) step(u *unit, ev group.Event, from *origin) error {
	before := u.placed()
	u.steps++
	actions := u.state.Step(time.Duration(monotonic()), ev)
	return e.carryOut(u, actions, before, from)
}

// carryOut does what a group asks for, in its order: words and ARP owners in the kernel first, then
// announcements and addresses, then what is told.
func (e *engine) carryOut(u *unit, actions []group.Action, before []int, from *origin) error {
	var moved, publish bool
	for _, a := range actions {
		switch a := a.(type) {
		case group.Refused:
			return &refusal{a.Reason}
		case group.Publish:
			publish = true
		case group.Move:
			moved = true
		}
	}
	var done stamps
	var failures []addr.Failure
	if publish {
		e.publish(u)
		done.egress = monotonic()
		e.followCasts()
		e.casts.due = 0 // not all that was joined may be known
	}
	if u.monitors() {
		moved, publish = false, false // nothing of the host follows
	}
	if moved || publish {
		if moved || from != nil || !e.asApplied(u) {
			failures = e.move(u, before, from, &done)
		}
		// Once for all that an event brings; no other is handled before.
		e.unprepared = true
	}
	for _, a := range actions {
		e.report(u, a, from, &done, failures)
	}
	return nil
}

// asApplied: what is wanted of the host for the group is what was last made of it.
func (e *engine) asApplied(u *unit) bool {
	g := u.desired()
	return slices.ContainsFunc(e.applied.Groups, func(a addr.Group) bool { return a.Same(&g) })
}

// move brings addresses and routes where the group wants them, unless the fast path has, and
// announces them. A failover announces first: what arrives early is taken in by the host on any
// member; a planned move announces last.
func (e *engine) move(u *unit, before []int, from *origin, done *stamps) []addr.Failure {
	list := e.usableByWord(u, e.announcements(u, translated(e.watcher.Snapshot()), before, u.placed()))
	fired := from != nil && from.fired != nil && !from.fired.result.Stale
	if fired {
		r := &from.fired.result
		done.first, done.announced, done.routes, done.addresses = r.FirstAnnouncement, r.Announced, r.Routes, r.Addresses
		if from.verdict != 0 {
			done.egress = from.verdict
		}
		addr.NoteSent(list, from.fired.announced, r.Frames)
	}
	if from != nil && len(list) > 0 {
		e.announcer.Announce(list...)
		if !fired {
			done.first = monotonic()
			done.announced = done.first
		}
	}
	failures := e.apply()
	if !fired || !from.fired.written() {
		done.routes = monotonic()
		done.addresses = done.routes
	}
	if from == nil && len(list) > 0 {
		e.announcer.Announce(list...)
		done.first = monotonic()
		done.announced = done.first
	}
	return failures
}

// sync makes the next snapshot have everything that has happened so far; it returns whether it has.
func (e *engine) sync() bool {
	if e.synced == nil {
		return false
	}
	if err := e.watcher.Sync(e.synced); err != nil {
		e.log.Debug("the host was not looked at anew", "error", err)
		return false
	}
	return true
}

// apply makes the host what is wanted of it; what fails is tried again later. A batch that fired
// while the engine worked is news that the engine has not had yet: it waits for that.
func (e *engine) apply() []addr.Failure {
	if !e.sync() {
		e.drift.forget() // what is not there may be on its way
	}
	s := e.watcher.Snapshot()
	if s != e.adopted {
		e.adopt(s) // ours would take the place of a route that nobody had looked at
	}
	d := e.desired()
	o := e.observedIn(s, d)
	ops := addr.Plan(d, o)
	e.remember(d, o, ops)
	e.recordReplaced(ops, &o)
	do, drifts := e.drift.judge(monotonic(), d, o, ops)
	left := ops
	ops = append(slices.Clip(do), addr.Memberships(e.applied, d)...)
	for i := range ops {
		e.log.Debug("change", "step", ops[i].Kind.String(), "link", ops[i].LinkName,
			"prefix", prefixText(ops[i]), "why", ops[i].Why)
	}
	e.outlook = nil
	if len(ops) > 0 {
		e.watcher.Wrote()
	}
	failures := e.applier.Apply(e.fired, ops)
	if len(ops) > 0 {
		e.watcher.Wrote()
	}
	if len(failures) > 0 && errors.Is(failures[0].Err, addr.ErrOvertaken) {
		e.retryAt, e.unfinished = time.Now(), failures
		e.drift.forget()
		return nil
	}
	e.applied, e.unfinished, e.outlook = d, failures, &outlook{d, o, left}
	e.drift.leave(d, o, left, failures)
	e.settleDrift(o, drifts, failures)
	for _, u := range e.units {
		for _, m := range u.members {
			if !e.holds(m) {
				m.settled = m.ifindex
			}
			if !e.holdsLink(m.former.Index) {
				m.former = addr.Leaving{}
			}
		}
	}
	e.settleFailures(failures)
	return failures
}

// settleFailures reports what failed, once, and says when to try again.
func (e *engine) settleFailures(failures []addr.Failure) {
	if len(failures) == 0 {
		e.retry, e.retryAt = 0, time.Time{}
		if !e.quiet {
			e.quiet = true
			e.completeEntries()
		}
		return
	}
	if e.quiet || e.retry == 0 {
		for _, f := range failures {
			name := ""
			if u, _ := e.findName(f.Op.LinkName); u != nil {
				name = u.cfg.Name
			}
			e.event(control.Event{Event: control.EventStepFailed, Group: name, Interface: f.Op.LinkName,
				Address: prefixText(f.Op), Detail: f.Op.Kind.String() + ": " + f.Err.Error()})
		}
	}
	e.quiet = false
	e.retry = min(max(2*e.retry, firstRetry), lastRetry)
	e.retryAt = time.Now().Add(e.retry)
}

func prefixText(op addr.Op) string {
	if op.Prefix.IsValid() {
		return op.Prefix.String()
	}
	return ""
}
