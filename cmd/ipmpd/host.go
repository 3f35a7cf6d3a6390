// SPDX-License-Identifier: Apache-2.0

package main

import (
	"sync/atomic"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/group"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// hostChanged looks at the host again: members that came or went, targets, and whatever is not as
// it should be.
func (e *engine) hostChanged() {
	s := e.watcher.Snapshot()
	replan := false
	for _, u := range e.units {
		replan = e.lookAt(u, s) || replan
		replan = e.retarget(u, s) || replan
	}
	if replan {
		e.updateProbing()
	}
	// A route that was heard of and not listed yet would be adopted too late: ours took its place.
	e.sync()
	s = e.watcher.Snapshot()
	e.refuse(s)
	e.adopt(s)
	e.apply()
	e.prepareAll()
	e.lookForCopies(s)
	for _, u := range e.units {
		e.compareMTUs(u)
	}
}

// lookAt the members of a group; it returns whether the prober's plan is another.
func (e *engine) lookAt(u *unit, s *netstate.Snapshot) (changed bool) {
	var others []*member // with another MAC
	for _, m := range u.members {
		was, mac := m.ifindex, m.mac
		if !m.look(s) {
			continue
		}
		changed = true
		if was == m.ifindex {
			e.warnIf(e.objects.SetMember(m.number, m.describe(u.slot)))
			if mac != m.mac {
				others = append(others, m)
			}
			continue
		}
		if l := s.Link(was); l != nil && !m.monitored {
			m.former = addr.Leaving{Name: l.Name, Index: was}
			e.log.Warn("renamed; it is the member that the file names no more", "interface", m.cfg.Name, "is", l.Name)
		}
		e.replaceMember(u, m, was)
	}
	if changed {
		e.compareMACs(u)
	}
	for _, m := range others {
		if m.twin == "" && !m.monitored {
			e.announceAnew(u, m)
		}
	}
	return changed
}

// replaceMember is for an interface that appeared, is gone, or was deleted and made again.
func (e *engine) replaceMember(u *unit, m *member, was int) {
	if was != 0 {
		if m.attachment != nil {
			// The links of a deleted interface are dead; their pins would be in the way.
			if err := m.attachment.Detach(); err != nil {
				e.log.Debug("detach from a missing interface", "interface", m.cfg.Name, "error", err)
			}
			m.attachment = nil
		}
		e.step(u, group.PresenceChanged{Member: m.index, Exists: false}, &origin{from: monotonic(), verdict: monotonic()})
	}
	// Rounds that the former interface missed are no evidence against this one.
	m.epoch++
	for f := range bpf.Families {
		atomic.StoreUint32(&e.instances[bpf.InstanceNumber(m.number, f)].Limit, 0)
	}
	e.warnIf(e.objects.SetMember(m.number, m.describe(u.slot)))
	e.carriers[m.number].Store(upness(m.link == group.LinkUp))
	e.seatAll()
	e.casts.due = 0
	defer e.watchSysctls()
	if m.ifindex == 0 {
		return
	}
	m.linkAt = monotonic()
	m.appeared = m.linkAt
	e.noteGroups()
	e.attach(u, m)
	e.step(u, group.PresenceChanged{Member: m.index, Exists: true}, nil)
	e.compareMACs(u)
	e.step(u, group.LinkChanged{Member: m.index, Link: m.link}, nil)
	e.linkNewsOf(u)
}

// attach puts the programs on a member. Without them it is watched by its link only, which is said.
func (e *engine) attach(u *unit, m *member) {
	m.waits = false
	if m.monitored && m.mac == (addr.MAC{}) {
		return // no Ethernet: its link is all that is watched
	}
	a, err := e.attachAs(m.ifindex, u.cfg.Attach)
	if err != nil {
		if text := err.Error(); text != m.attachErr {
			m.attachErr = text
			e.event(control.Event{Event: control.EventStepFailed, Group: u.cfg.Name, Interface: m.cfg.Name,
				Detail: "attach: " + text + "; only the link is watched"})
		}
		return
	}
	m.attachErr, m.attachment, m.attachedAs = "", a, u.cfg.Attach
	e.followOn(u, m)
	e.log.Info("attached", "interface", m.cfg.Name, "mode", string(a.Mode))
}

// attachAgain in the way that the file says now. Where that is not to be had, the old way is better
// than none. The member must not be armed: the kernel may not let the two overlap.
func (e *engine) attachAgain(u *unit, m *member) {
	old := m.attachment
	m.attachedAs = u.cfg.Attach
	a, err := e.attachAs(m.ifindex, u.cfg.Attach)
	if err == nil {
		err = e.objects.Supersede(old, a)
	} else {
		// One kind of XDP keeps the other off.
		_ = old.Detach()
		if a, err = e.attachAs(m.ifindex, u.cfg.Attach); err != nil {
			e.log.Error("the programs stay as they were", "interface", m.cfg.Name, "error", err)
			a, err = e.objects.Attach(m.ifindex, old.Mode)
		}
	}
	m.attachment = a
	if err != nil {
		e.log.Error("attaching in another way", "interface", m.cfg.Name, "error", err)
	}
	if a != nil {
		e.followOn(u, m)
		e.log.Info("attached", "interface", m.cfg.Name, "mode", string(a.Mode))
	}
}

func (e *engine) attachAs(ifindex int, as config.Attach) (*bpf.Attachment, error) {
	switch as {
	case config.AttachXDP:
		return e.objects.Attach(ifindex, bpf.ModeXDP)
	case config.AttachXDPGeneric:
		return e.objects.Attach(ifindex, bpf.ModeXDPGeneric)
	case config.AttachTCX:
		return e.objects.Attach(ifindex, bpf.ModeTCX)
	}
	return e.objects.AttachAuto(ifindex)
}
