// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/config"
)

const (
	// farewell is how long an interface that leaves keeps its programs and sysctls once its addresses
	// are elsewhere: the first three announcements are out by then, so nobody sends to it any more.
	farewell = 150 * time.Millisecond
	// patienceLeaving is how long the answer to a reload waits for interfaces that do not come off.
	patienceLeaving = 3 * time.Second
)

// departure is an interface that the configuration names no more, and the place that it had.
type departure struct {
	m     *member
	place seat
	due   time.Time
	until time.Time // the answer to the reload does not wait any longer
}

// depart: the member's addresses have been given to others, and the host follows with the next
// apply. What it would still send leaves by those who stay.
func (e *engine) depart(u *unit, m *member, stays *unit) {
	e.disarm(m)
	for f := range bpf.Families {
		number := bpf.InstanceNumber(m.number, f)
		atomic.StoreUint32(&e.instances[number].Kind, bpf.KindNone)
		if stays != nil {
			e.warnIf(e.objects.SetSurvivors(number, stays.usableBits(f)))
		}
	}
	e.clearBit(stays, u.slot, m.bit)
	now := time.Now()
	e.leaving = append(e.leaving, &departure{m: m, place: seat{m.number, u.slot, m.bit},
		due: now.Add(farewell), until: now.Add(patienceLeaving)})
}

// dismiss those whose time has come and whose addresses are gone.
func (e *engine) dismiss(now time.Time) {
	waiting := false
	e.leaving = slices.DeleteFunc(e.leaving, func(d *departure) bool {
		if now.Before(d.due) || e.holds(d.m) {
			waiting = waiting || now.Before(d.until)
			return false
		}
		e.retire(d.place)
		e.letGo(d.m)
		return true
	})
	if waiting {
		return
	}
	if len(e.leaving) == 0 {
		e.dropFormer()
	}
	for _, f := range e.afterwards {
		f()
	}
	e.afterwards = nil
}

// dismissAll at once, as another reload comes.
func (e *engine) dismissAll() {
	for _, d := range e.leaving {
		e.retire(d.place)
		e.letGo(d.m)
	}
	e.leaving = nil
	e.dropFormer()
}

// overtaken: the last apply was given up for a failover.
func (e *engine) overtaken() bool {
	return slices.ContainsFunc(e.unfinished, func(f addr.Failure) bool { return errors.Is(f.Err, addr.ErrOvertaken) })
}

// holds: the last apply was not done with the interface.
func (e *engine) holds(m *member) bool { return e.holdsLink(m.ifindex) }

func (e *engine) holdsLink(ifindex int) bool {
	return ifindex != 0 && (e.overtaken() || slices.ContainsFunc(e.unfinished, func(f addr.Failure) bool {
		return f.Op.Link == ifindex
	}))
}

// letGo is the last that happens to an interface that has left its group: its addresses, and those of
// its own that we added, are gone.
func (e *engine) letGo(m *member) {
	if m.attachment != nil {
		if err := m.attachment.Detach(); err != nil {
			e.log.Debug("detach from an interface that has left", "interface", m.cfg.Name, "error", err)
		}
		m.attachment = nil
	}
	e.log.Info("let go", "interface", m.cfg.Name)
}

// retire a place in the BPF maps, so that it is free for others.
func (e *engine) retire(at seat) {
	e.warnIf(e.objects.SetMember(at.number, bpf.Member{}))
	var slot *unit
	for _, u := range e.units {
		if u.slot == at.group {
			slot = u
		}
	}
	for f := range bpf.Families {
		number := bpf.InstanceNumber(at.number, f)
		bpf.Forget(&e.instances[number])
		e.warnIf(e.objects.SetSurvivors(number, nil))
	}
	e.clearBit(slot, at.group, at.bit)
	if slot == nil {
		for f := range bpf.Families {
			bpf.ChangeWord(&e.tracks[bpf.TrackNumber(at.group, f)], 0, 1<<at.bit)
		}
	}
}

// clearBit of one who is not in a group any more, unless another has it already. Where nobody of the
// group is left, the bit stays for now: what is sent has no other way out.
func (e *engine) clearBit(u *unit, slot, bit int) {
	if u == nil || u.hasBit(bit) {
		return
	}
	for f := range bpf.Families {
		bpf.ChangeWord(&e.tracks[bpf.TrackNumber(slot, f)], 0, 1<<bit)
	}
}

func (u *unit) hasBit(bit int) bool {
	return slices.ContainsFunc(u.members, func(m *member) bool { return m.bit == bit })
}

// releaseGone releases the groups that the file no longer has, but those of which an interface or an
// address goes on in another group: what these have moves without a gap, and what is left over of
// them goes back when it has (dismiss).
func (e *engine) releaseGone(gone []string, groups []config.Group) {
	names, ips := map[string]bool{}, map[netip.Addr]bool{}
	for i := range groups {
		if groups[i].Monitors() {
			continue // what it had of a group has to be put back
		}
		for _, m := range groups[i].Interfaces {
			names[m.Name] = true
			for _, p := range m.Test {
				ips[p.Addr()] = true
			}
		}
		for _, a := range groups[i].Addresses {
			ips[a.Prefix.Addr()] = true
		}
	}
	for _, name := range gone {
		at := slices.IndexFunc(e.units, func(u *unit) bool { return u.cfg.Key() == name })
		goesOn := at < 0 || slices.ContainsFunc(e.units[at].named(), func(ip netip.Addr) bool { return ips[ip] }) ||
			slices.ContainsFunc(e.units[at].members, func(m *member) bool { return names[m.cfg.Name] })
		if goesOn {
			continue
		}
		if err := e.releaseGroup(name); err != nil {
			e.log.Warn("a group that left was not released whole", "group", name, "error", err)
		}
	}
}
