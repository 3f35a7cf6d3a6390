// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"reflect"
	"slices"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
)

// remember what ops are about to touch for the first time. It is on the disk when this returns: a
// daemon that is killed afterwards has lost nothing. Nothing new, nothing written.
func (e *engine) remember(d addr.Desired, o addr.Observed, ops []addr.Op) {
	if e.undo.Record(d, o, ops, boottime()) {
		e.saveUndo()
	}
}

func (e *engine) saveUndo() {
	if err := e.journal.SetUndo(e.undo); err != nil {
		e.log.Error("what the host was before is not on the disk; without it `ipmpd release` cannot put all of it back", "error", err)
	}
}

// noteGroups keeps who is at work where, for a release without a daemon. Groups that were released
// since the start stay known by their names.
func (e *engine) noteGroups() {
	var groups []addr.UndoGroup
	for _, u := range e.units {
		groups = append(groups, u.undoGroup(e.clsact))
	}
	for _, g := range e.undo.Groups {
		if g.Released && !slices.ContainsFunc(groups, func(x addr.UndoGroup) bool { return x.Name == g.Name }) {
			groups = append(groups, g)
		}
	}
	if !reflect.DeepEqual(groups, e.undo.Groups) {
		e.undo.Groups = groups
		e.saveUndo()
	}
}

// clsact says whether an interface had a clsact qdisc before us: as it was noted of the same
// interface, else as it is now.
func (e *engine) clsact(ifindex int) bool {
	for _, g := range slices.Concat(e.undo.Groups, e.undo.Former) {
		for _, m := range g.Members {
			if m.Index == ifindex && !g.Released {
				return m.Clsact
			}
		}
	}
	has, err := bpf.HasClsact(ifindex)
	if err != nil {
		e.log.Debug("whether there is a clsact qdisc is not known; a release will leave it", "ifindex", ifindex, "error", err)
	}
	return has || err != nil
}

// undoGroup is the group as a release without a daemon has to know it.
func (u *unit) undoGroup(clsact func(int) bool) addr.UndoGroup {
	if u.monitors() {
		m := u.members[0]
		return addr.UndoGroup{Name: u.cfg.Key(), Slot: u.slot, Monitor: true, Members: []addr.UndoMember{{
			Name: m.cfg.Name, Index: m.ifindex, Number: m.number, Clsact: m.ifindex != 0 && clsact(m.ifindex)}}}
	}
	d := u.desired()
	g := addr.UndoGroup{Name: d.Name, Slot: d.Slot, Ports: d.SpreadL4}
	for i, m := range d.Members {
		g.Members = append(g.Members, addr.UndoMember{Name: m.Name, Index: m.Index, Number: u.members[i].number, Tests: m.Tests,
			Clsact: m.Index != 0 && clsact(m.Index)})
	}
	for _, a := range d.Addresses {
		g.Addresses = append(g.Addresses, a.Prefix)
	}
	return g
}

// partWith remembers what of former groups the file no longer has: it is on the disk with the next groups
// that are noted, so that a run that is killed before dropFormer leaves it to the next.
func (e *engine) partWith(former []addr.UndoGroup) {
	e.formerTried = false
	if gone, any := e.goneOf(former); any {
		e.undo.Former = append(slices.Clone(e.undo.Former), gone)
	}
}

// goneOf is what the groups that run do not have of former ones.
func (e *engine) goneOf(former []addr.UndoGroup) (_ addr.UndoGroup, any bool) {
	gone := leftOver(former, e.units)
	return gone, len(gone.Addresses) > 0 || len(gone.Members) > 0
}

// dropFormer puts back what a former run has found, or has changed, where the file no longer has the
// interface or the address.
func (e *engine) dropFormer() {
	if len(e.undo.Former) == 0 || e.formerTried {
		return
	}
	gone, any := e.goneOf(e.undo.Former) // some may be back
	if !any {
		e.undo.Former = nil
		e.saveUndo()
		return
	}
	e.log.Info("the file no longer names all that a former run has worked with", "interfaces", len(gone.Members), "addresses", len(gone.Addresses))
	r := addr.Released{Undo: &e.undo, Groups: []addr.UndoGroup{gone}, Now: boottime(), Routes: e.journal.Replaced()}
	back := wayBack(e.applier, r)
	e.drift.forget()
	if err := errorOf(back.failures); err != nil {
		e.log.Warn("not all of it was put back", "error", err)
		e.formerTried = true
		return
	}
	e.warnIf(errors.Join(detachFilters(gone.Members), detachPinned(e.objects.PinPath(), gone.Members)))
	e.undo.Former = nil
	e.undo.Forget(r)
	e.journal.forgetRoutes(r)
	e.saveUndo()
	e.announceArrived(back)
}
