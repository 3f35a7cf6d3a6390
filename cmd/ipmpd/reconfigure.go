// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/group"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// successor is a unit that takes the place of one that changed (in.was), or is new (in is nil).
type successor struct {
	*unit
	in      *inheritance
	actions []group.Action
}

// reconfigure makes of the groups that run those of another configuration. Groups that are the same
// in both are not touched.
//
// The order is: programs on new interfaces, which do not know them yet; what was prepared is not fired
// any more; the state of the new groups; their words, members and owners in the BPF maps; the host's
// addresses and routes; announcements; probes, and limits by the new rules. Those who left keep their
// programs for a moment (dismiss).
func (e *engine) reconfigure(groups []config.Group) difference {
	diff := compare(e.configured(), groups)
	if diff.nothing() {
		return diff
	}
	e.dismissAll()
	e.releaseGone(diff.gone, groups)
	if err := e.watcher.Sync(e.synced); err != nil {
		e.log.Debug("the host was not looked at anew", "error", err)
	}
	s := e.watcher.Snapshot()
	was := e.units
	units, successors := e.succession(groups, &diff)
	moved := e.welcome(was, successors, s)
	// What was prepared for a group that changes is not fired any more: another generation.
	for _, u := range was {
		if slices.Contains(units, u) {
			continue
		}
		e.fast.forget(u.slot)
		for f := range bpf.Families {
			bpf.ChangeWord(&e.tracks[bpf.TrackNumber(u.slot, f)], 0, 0)
		}
	}
	e.units = units
	for _, n := range successors {
		e.establish(n, s)
		if n.in == nil && !n.monitors() {
			e.recallRoutes(s, n.unit)
			n.succeedRoutes(was, units)
		}
	}
	e.adopt(s)
	e.partWith(slices.DeleteFunc(slices.Clone(e.undo.Groups), func(g addr.UndoGroup) bool { return g.Released }))
	e.noteGroups()
	for _, n := range successors {
		e.introduce(n)
	}
	e.part(was, successors, moved)
	e.disown(was)
	e.seatAll()
	e.setPace()
	e.resettle(was, successors)
	for _, at := range moved {
		e.retire(at)
	}
	if e.tick != nil {
		if err := e.tick.Reset(e.tickInterval()); err != nil {
			e.log.Error("the engine keeps its old tick", "error", err)
		}
	}
	return diff
}

// configured are the groups and the monitored interfaces that run.
func (e *engine) configured() []config.Group {
	groups := make([]config.Group, 0, len(e.units))
	for _, u := range e.units {
		groups = append(groups, *u.cfg)
	}
	return groups
}

// seating of the groups that run.
func (e *engine) seating() seating {
	s := seating{slots: map[string]int{}, seats: map[string]seat{}}
	for _, u := range e.units {
		s.slots[u.cfg.Key()] = u.slot
		for _, m := range u.members {
			s.seats[m.cfg.Name] = seat{m.number, u.slot, m.bit}
		}
	}
	return s
}

// succession is the units of a configuration, in file order, and those of them that are not the ones
// that run.
func (e *engine) succession(groups []config.Group, diff *difference) (units []*unit, successors []*successor) {
	places := e.seating().allot(groups)
	for i := range groups {
		name := groups[i].Key()
		at := slices.IndexFunc(e.units, func(u *unit) bool { return u.cfg.Key() == name })
		changed := slices.Contains(diff.changed, name)
		if at >= 0 && !changed {
			units = append(units, e.units[at])
			continue
		}
		n := &successor{unit: newUnit(&groups[i], places)}
		if changed {
			n.in = n.inherit(e.units[at])
		}
		units, successors = append(units, n.unit), append(successors, n)
	}
	return units, successors
}

// welcome who is new: what an interface brings along from another group, whose place there is
// returned, and the operator's marks.
func (e *engine) welcome(was []*unit, successors []*successor, s *netstate.Snapshot) (moved []seat) {
	for _, n := range successors {
		for _, m := range n.members {
			if n.stays(m) {
				continue
			}
			bpf.Forget(&e.instances[bpf.InstanceNumber(m.number, 0)])
			bpf.Forget(&e.instances[bpf.InstanceNumber(m.number, 1)])
			if u, from := memberOf(was, m.cfg.Name); from != nil {
				e.arrive(u, from)
				moved = append(moved, seat{from.number, u.slot, from.bit})
				m.succeed(u, from)
			}
			m.look(s)
			m.offline = !m.monitored && e.journal.Offline(m.cfg.Name)
			// It takes long, and means nothing yet: the programs do not know the interface.
			if m.ifindex != 0 && m.attachment == nil {
				e.attach(n.unit, m)
			}
		}
	}
	for _, p := range e.onlines {
		for _, n := range successors {
			if slices.Contains(n.members, p.m) {
				p.u = n.unit
			}
		}
	}
	return moved
}

// arrive ends what an interface was about in the group that it comes from. One that was on its way
// back into service is back: it carries nothing here before it has answered.
func (e *engine) arrive(u *unit, from *member) {
	e.disarm(from)
	if i := e.pendingOf(from); i >= 0 {
		e.journal.SetOffline(from.cfg.Name, false)
		for _, done := range e.onlines[i].done {
			done <- nil
		}
		e.onlines = slices.Delete(e.onlines, i, i+1)
	}
}

// stays: the member was in the group before.
func (n *successor) stays(m *member) bool {
	if n.in == nil {
		return false
	}
	_, stays := n.in.probes[m]
	return stays
}

func memberOf(units []*unit, name string) (*unit, *member) {
	for _, u := range units {
		for _, m := range u.members {
			if m.cfg.Name == name {
				return u, m
			}
		}
	}
	return nil, nil
}

// establish a group's state, from what is known and what the host says.
func (e *engine) establish(n *successor, s *netstate.Snapshot) {
	back := e.findTwins(n.unit)
	e.retarget(n.unit, s)
	e.hold(n.unit, s)
	st := n.start(s)
	if n.in != nil {
		n.in.hold(n.unit)
		st = n.in.start(st)
		for i, m := range n.members {
			if m.twin != "" || slices.Contains(back, i) {
				st.Members[i].Suspended = m.twin
			}
			if n.stays(m) && n.judgedAnew(m) {
				e.disarm(m)
			}
		}
	}
	n.state, n.actions = group.New(n.groupConfig(), time.Duration(monotonic()), st)
}

// judgedAnew: rounds under way would be missed by what changes, and must not be taken for a failure.
func (n *successor) judgedAnew(m *member) bool {
	was := n.in.was.cfg
	return n.in.probes[m] != m.probedAs() || m.attachedAs != n.cfg.Attach ||
		was.Probe != n.cfg.Probe || !slices.Equal(was.Targets, n.cfg.Targets)
}

// disarm a member: the kernel does not judge it before it has answered anew.
func (e *engine) disarm(m *member) {
	m.epoch++
	for f := range bpf.Families {
		atomic.StoreUint32(&e.instances[bpf.InstanceNumber(m.number, f)].Limit, 0)
		m.armed[f] = 0
	}
}

// introduce a group to the BPF programs: the words are right before any program looks at them.
func (e *engine) introduce(n *successor) {
	for _, m := range n.members {
		e.show(n.unit, m)
	}
	e.publishSurvivors(n.unit)
	e.publishWords(n.unit)
	for _, m := range n.members {
		e.warnIf(e.objects.SetMember(m.number, m.describe(n.slot)))
		e.publishTests(m)
		if !n.stays(m) {
			e.carriers[m.number].Store(upness(m.link == group.LinkUp))
		}
		for f := range n.side {
			if !n.side[f].used {
				number := bpf.InstanceNumber(m.number, f)
				atomic.StoreUint32(&e.instances[number].Limit, 0)
				atomic.StoreUint32(&e.instances[number].Kind, bpf.KindNone)
			}
		}
	}
	e.publishOwners(n.unit)
	// News of carriers on the way here may have been of nobody.
	e.linkNewsOf(n.unit)
}

// part with the members that are in no group any more.
func (e *engine) part(was []*unit, successors []*successor, moved []seat) {
	for _, u := range was {
		if slices.Contains(e.units, u) {
			continue
		}
		var next *unit
		for _, n := range successors {
			if n.in != nil && n.in.was == u {
				next = n.unit
			}
		}
		for _, m := range u.members {
			switch {
			case next != nil && slices.Contains(next.members, m):
			case slices.Contains(moved, seat{m.number, u.slot, m.bit}):
				e.clearBit(next, u.slot, m.bit)
			default:
				e.depart(u, m, next)
			}
		}
	}
	e.onlines = slices.DeleteFunc(e.onlines, func(p *pendingOnline) bool {
		if _, m := e.findName(p.m.cfg.Name); m == p.m {
			return false
		}
		for _, done := range p.done {
			done <- control.Refused(p.m.cfg.Name+" has left its group", "")
		}
		return true
	})
}

// disown the addresses that no group names any more.
func (e *engine) disown(was []*unit) {
	named := map[netip.Addr]bool{}
	for _, u := range e.units {
		for _, ip := range u.named() {
			named[ip] = true
		}
	}
	for _, u := range was {
		for _, ip := range u.named() {
			if named[ip] {
				continue
			}
			named[ip] = true
			e.announcer.Forget(ip)
			if ip.Is4() {
				e.warnIf(e.shown.DeleteOwner(ip))
			}
		}
	}
}

// resettle brings the host to where the new groups want it: addresses first, then what is left over
// goes; then the neighbours are told, as of any planned move. Probes come last: what is sent from an
// address that is not there yet is missed.
func (e *engine) resettle(was []*unit, successors []*successor) {
	o := translated(e.watcher.Snapshot())
	e.applyCaughtUp()
	for _, n := range successors {
		e.resolveAll(n.unit)
		for _, m := range n.members {
			if m.attachment != nil && m.attachedAs != n.cfg.Attach {
				e.attachAgain(n.unit, m)
			} else {
				e.followOn(n.unit, m)
			}
		}
		before := make([]int, len(n.cfg.Addresses))
		for i := range before {
			before[i] = -1
		}
		if n.in != nil {
			before = n.in.used
		}
		if list := e.announcements(n.unit, o, before, n.placed()); len(list) > 0 {
			e.announcer.Announce(list...)
		}
		e.tellMoves(was, n)
	}
	e.readCasts(monotonic()) // on new members
	e.followCasts()
	e.updateProbing()
	for _, n := range successors {
		// Limits follow other rules at once.
		e.findings(n.unit, n.tracker.Observe(monotonic(), e.samples(n.unit)))
	}
	e.prepareAll()
	e.watchSysctls()
	e.askFirst(false)
	for _, n := range successors {
		e.compareMACs(n.unit) // who had its MAC may have left
	}
}

// applyCaughtUp with the news of a failover that the fast path has begun meanwhile: what follows needs
// the addresses to be where they belong.
func (e *engine) applyCaughtUp() {
	const tries, wait = 100, 5 * time.Millisecond
	e.apply()
	for range tries {
		if !e.overtaken() {
			return
		}
		select {
		case ev := <-e.events:
			e.handle(ev)
		case <-time.After(wait):
		}
		if e.overtaken() {
			e.apply()
		}
	}
}

// tellMoves of addresses, with the interface that each comes from, of whichever group, and enter into the
// history what the other configuration has ended.
func (e *engine) tellMoves(was []*unit, n *successor) {
	for _, a := range n.actions {
		if r, ok := a.(group.Record); ok {
			e.record(n.unit, r, nil, &stamps{}, nil)
		}
		move, ok := a.(group.Move)
		if !ok || n.isHeld(move.Address) {
			continue
		}
		prefix := n.cfg.Addresses[move.Address].Prefix
		from := n.memberName(move.From)
		for _, u := range was {
			if at := u.address(prefix.Addr()); from == "" && at >= 0 {
				from = u.memberName(u.state.Owner(at))
			}
		}
		e.event(control.Event{Event: control.EventAddressMoved, Group: n.cfg.Name, Interface: n.memberName(move.To),
			Address: prefix.String(), Detail: "from " + nameOr(from, "nowhere")})
	}
}
