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
	"github.com/ipmpd/ipmpd/pkg/group"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// begin sets up all groups, before any task runs: what is known of the host decides where addresses
// go; probes are not waited for (contract section 2, "start").
func (e *engine) begin(cfg *config.Config) {
	s, groups := e.watcher.Snapshot(), cfg.Watched()
	seats := e.found(groups, s)
	places := seats.allot(groups)
	for i := range groups {
		u := newUnit(&groups[i], places)
		for _, m := range u.members {
			m.look(s)
			m.offline = !m.monitored && e.journal.Offline(m.cfg.Name)
		}
		e.units = append(e.units, u)
	}
	for _, u := range e.units {
		e.recall(u)
	}
	e.forget(places)
	e.seatAll()
	e.setPace()
	for _, u := range e.units {
		for _, m := range u.members {
			e.show(u, m)
			e.warnIf(e.objects.SetMember(m.number, m.describe(u.slot)))
			e.publishTests(m)
			e.carriers[m.number].Store(upness(m.link == group.LinkUp))
		}
		e.findTwins(u)
		e.retarget(u, s)
		e.hold(u, s)
		u.state, _ = group.New(u.groupConfig(), time.Duration(monotonic()), u.start(s))
	}
	e.recallRoutes(s, e.groups()...)
	e.adopt(s)
	for _, u := range e.units {
		e.publish(u)
	}
	e.readCasts(monotonic())
	e.followCasts() // what a former run has left may be of no use
	e.updateProbing()
	e.undo.Groups = slices.DeleteFunc(slices.Clone(e.undo.Groups), func(g addr.UndoGroup) bool { return g.Released })
	e.partWith(e.undo.Groups)
	e.noteGroups()
	e.dropFormer()
	if e.objects.Adopted {
		// The former run's programs are at work: a failover that its end interrupted is finished first,
		// and told, before ours are loaded.
		e.apply()
		e.announceAll()
		e.announcer.SendDue()
	}
	// The words are right before any program looks at them.
	if e.attachAll() {
		e.updateProbing()
	}
	e.apply()
	e.strip(seats, places, s)
	for _, u := range e.units {
		e.resolveAll(u)
	}
	e.announceAll()
	e.prepareAll()
	e.watchSysctls()
	e.tellStates(nil)
	for _, u := range e.units {
		e.linkNewsOf(u) // what happened just before the start is not known
	}
	if !e.askFirst(true) {
		close(e.firstUse.over)
	}
}

// announceAll addresses from where they are.
func (e *engine) announceAll() {
	o := translated(e.watcher.Snapshot())
	for _, u := range e.units {
		e.announcer.Announce(e.announcements(u, o, u.nowhere(), u.placed())...)
	}
}

// start is what group.New wants to know: where the addresses are found, and what has link.
func (u *unit) start(s *netstate.Snapshot) group.Start {
	var st group.Start
	on := map[int]int{}
	for _, m := range u.members {
		ms := group.MemberStart{Exists: m.ifindex != 0, Link: m.link, Offline: m.offline, Suspended: m.twin}
		for f, probed := range u.probed(m) {
			if probed && m.leftFailed[f] {
				ms.Health[f] = group.Failed
			}
		}
		st.Members = append(st.Members, ms)
		if m.ifindex != 0 {
			on[m.ifindex] = m.index
		}
	}
	at := map[netip.Addr]int{}
	for _, a := range s.Addresses {
		if i, ours := on[a.Link]; ours {
			at[a.Prefix.Addr()] = i
		}
	}
	for _, a := range u.cfg.Addresses {
		owner := -1
		if i, found := at[a.Prefix.Addr()]; found {
			owner = i
		}
		st.Owners = append(st.Owners, owner)
	}
	return st
}

// found is who has which place in the maps of a former run.
func (e *engine) found(groups []config.Group, s *netstate.Snapshot) seating {
	if !e.objects.Adopted {
		return seating{}
	}
	members := make([]bpf.Member, bpf.Members)
	for number := range members {
		m, err := e.objects.Member(number)
		e.warnIf(err)
		members[number] = m
	}
	names := map[int]string{}
	for i := range s.Links {
		names[s.Links[i].Index] = s.Links[i].Name
	}
	return recalled(groups, members, names)
}

// strip the programs of a former run off interfaces that the file does not name any more.
func (e *engine) strip(former, places seating, s *netstate.Snapshot) {
	for name := range former.seats {
		_, stays := places.seats[name]
		if l := s.LinkByName(name); l != nil && !stays {
			if err := e.objects.Strip(l.Index); err != nil {
				e.log.Warn("programs of a former run stay", "interface", name, "error", err)
			}
		}
	}
}

// recall what a former run's words say of the same interfaces, or, where its maps are gone, the state
// file. A failover that its end has interrupted is then finished at once, where a new verdict would have
// to wait until the members are armed.
func (e *engine) recall(u *unit) {
	for f := range bpf.Families {
		word := bpf.ReadWord(&e.tracks[bpf.TrackNumber(u.slot, f)])
		for _, m := range u.members {
			was, err := e.objects.Member(m.number)
			same := err == nil && m.ifindex != 0 && int(was.Ifindex) == m.ifindex &&
				int(was.Group) == u.slot && int(was.Bit) == m.bit
			failed := e.journal.Failed(m.cfg.Name, m.ifindex)[f]
			if same && word.Usable != 0 {
				failed = word.Usable&(1<<m.bit) == 0
			}
			// A member that the operator took out is not in the word either, and has not failed.
			m.leftFailed[f] = failed && !m.offline
		}
	}
}

// forget clears what a former run left in adopted maps for numbers that are used otherwise now:
// limits (nobody is armed at a start), words, members that are not ours, owners.
func (e *engine) forget(places seating) {
	for i := range e.instances {
		atomic.StoreUint32(&e.instances[i].Limit, 0)
	}
	ours := map[int]bool{}
	for _, at := range places.seats {
		ours[at.number] = true
	}
	for number := range bpf.Members {
		if m, err := e.objects.Member(number); err == nil && m.Ifindex != 0 && !ours[number] {
			e.warnIf(e.objects.SetMember(number, bpf.Member{}))
		}
	}
	owners, err := e.objects.Owners()
	e.warnIf(err)
	for _, u := range e.units {
		for _, a := range u.cfg.Addresses {
			delete(owners, a.Prefix.Addr())
		}
		for _, ip := range u.named() {
			delete(owners, ip)
		}
	}
	for ip := range owners {
		e.warnIf(e.objects.DeleteOwner(ip))
	}
	for i := range e.tracks {
		word := bpf.ReadWord(&e.tracks[i])
		bpf.ChangeWord(&e.tracks[i], 0, word.Usable)
	}
}

// onVerdict runs on the reader's thread: first the announcements, then, on the finisher's thread, routes
// and addresses, and the engine.
func (e *engine) onVerdict(ev *bpf.Event, woke int64) {
	n := &verdictNews{event: *ev, woke: woke, fired: e.fast.verdict(ev)}
	e.finisher.hand(n.fired, n)
}

// seatAll publishes who sits where; called whenever interfaces came or went.
func (e *engine) seatAll() {
	seats := map[int]seat{}
	for _, u := range e.units {
		for _, m := range u.members {
			if m.ifindex != 0 {
				seats[m.ifindex] = seat{m.number, u.slot, m.bit}
			}
		}
	}
	e.seats.Store(&seats)
	e.watchCarriers()
}
