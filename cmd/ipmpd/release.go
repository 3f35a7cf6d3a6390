// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/control"
)

// errReleased ends the daemon, in good order, after everything was released.
var errReleased = errors.New("everything is released")

// release takes what we did for a group off the host, for all of them with ""; they are forgotten
// until the next start. Where a step fails, the rest is done all the same and the error says so. With
// the last group go the pins.
func (e *engine) release(name string) error {
	err := e.releaseGroup(name)
	if !e.undo.Left() {
		err = firstOf([]error{err, e.objects.Unpin()})
	}
	return err
}

func (e *engine) releaseGroup(name string) error {
	r, err := chosen(&e.undo, name)
	if err != nil {
		return err
	}
	var leaving, staying []*unit
	for _, u := range e.units {
		if name == "" || u.cfg.Key() == name {
			leaving = append(leaving, u)
			e.quiesce(u)
		} else {
			staying = append(staying, u)
		}
	}
	r.Routes = e.journal.Replaced()
	b := wayBack(e.applier, r)
	e.drift.forget()
	errs := []error{errorOf(b.failures)}
	// Not before: whatever is planned without them takes theirs away, and puts nothing back.
	e.units = staying
	e.seatAll()
	e.updateProbing()
	e.leaveGroups()
	e.followCasts()
	for _, g := range r.Groups {
		errs = append(errs, detachFilters(g.Members))
	}
	for _, u := range leaving {
		errs = append(errs, e.detachUnit(u))
	}
	for _, g := range r.Groups {
		errs = append(errs, detachPinned(e.objects.PinPath(), g.Members))
		for _, m := range g.Members {
			e.journal.SetOffline(m.Name, false)
		}
	}
	if r.All {
		e.released = true
	}
	e.log.Debug("released", "group", name, "steps", b.did)
	e.event(releasedEvent(name, leaving))
	if len(b.failures) == 0 {
		e.undo.Forget(r)
		e.journal.forgetRoutes(r)
	}
	if err := e.journal.SetUndo(e.undo); err != nil {
		errs = append(errs, err)
	}
	if r.All {
		b.announce(e.applier.Sender(), e.log)
	} else {
		e.announceArrived(b)
		e.prepareAll()
		e.watchSysctls()
	}
	return firstOf(errs)
}

// releasedEvent tells of a release: of a group, of a monitored interface, or of all with "".
func releasedEvent(name string, leaving []*unit) control.Event {
	ev := control.Event{Event: control.EventConfigReloaded, Group: name, Detail: "released"}
	if name != "" && len(leaving) == 1 && leaving[0].monitors() {
		ev.Group, ev.Interface = "", leaving[0].loner()
	}
	return ev
}

// quiesce a group that leaves: nothing of it is decided any more, in the kernel or here.
func (e *engine) quiesce(u *unit) {
	e.fast.forget(u.slot)
	for _, m := range u.members {
		for f := range bpf.Families {
			in := &e.instances[bpf.InstanceNumber(m.number, f)]
			atomic.StoreUint32(&in.Limit, 0)
			atomic.StoreUint32(&in.Kind, bpf.KindNone)
		}
	}
	for f := range bpf.Families {
		// What the reader holds already is of an older generation.
		bpf.ChangeWord(&e.tracks[bpf.TrackNumber(u.slot, f)], 0, 0)
	}
	e.onlines = slices.DeleteFunc(e.onlines, func(p *pendingOnline) bool {
		if p.u != u {
			return false
		}
		for _, done := range p.done {
			done <- control.Refused("its group "+u.cfg.Name+" was released", "")
		}
		return true
	})
	var all []netip.Addr
	for _, a := range u.cfg.Addresses {
		all = append(all, a.Prefix.Addr())
	}
	e.announcer.Forget(all...)
	for _, m := range u.members {
		for _, p := range m.cfg.Test {
			all = append(all, p.Addr())
		}
	}
	// From here on every member answers for every address that is on the host.
	for _, ip := range all {
		if ip.Is4() {
			e.warnIf(e.objects.DeleteOwner(ip))
		}
	}
}

// leaveGroups leaves the multicast groups that nobody needs any more.
func (e *engine) leaveGroups() {
	d := e.desired()
	ops := addr.Memberships(e.applied, d)
	for _, f := range e.applier.Apply(e.applier.Epoch(), ops) {
		e.log.Debug("a multicast group was not left", "interface", f.Op.LinkName, "error", f.Err)
	}
	e.applied = d
}

// detachUnit takes the programs off a group's members and clears their places in the maps.
func (e *engine) detachUnit(u *unit) error {
	var errs []error
	for _, m := range u.members {
		if m.attachment != nil {
			if err := m.attachment.Detach(); err != nil && m.ifindex != 0 {
				errs = append(errs, fmt.Errorf("take the programs off %s: %w", m.cfg.Name, err))
			}
			m.attachment = nil
		}
		e.clearSeat(m.number)
	}
	for f := range bpf.Families {
		track := &e.tracks[bpf.TrackNumber(u.slot, f)]
		atomic.StoreUint32(&track.Members, 0)
		atomic.StoreUint32(&track.Targets, 0)
		bpf.ChangeWord(track, 0, bpf.ReadWord(track).Usable)
	}
	return errors.Join(errs...)
}

func (e *engine) clearSeat(number int) {
	e.warnIf(e.objects.SetMember(number, bpf.Member{}))
	for f := range bpf.Families {
		e.warnIf(e.objects.SetSurvivors(bpf.InstanceNumber(number, f), nil))
	}
	e.carriers[number].Store(0)
}

// announceArrived announces what a release has put elsewhere, while the daemon goes on.
func (e *engine) announceArrived(b back) {
	if list := b.announcements(); len(list) > 0 {
		e.announcer.Announce(list...)
	}
}

// firstOf the errors, as clients are told one thing on one line.
func firstOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return advised(err)
		}
	}
	return nil
}
