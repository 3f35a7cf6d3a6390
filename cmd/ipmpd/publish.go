// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/group"
)

// shown is what a group shows the BPF programs, beside its words (bpf.Objects): whose addresses are whose,
// and who takes over from a member.
type shown interface {
	SetOwner(ip netip.Addr, number int) error
	DeleteOwner(ip netip.Addr) error
	SetSurvivors(instance int, bits []uint8) error
}

// publish writes a group's survivors, owners and words for the BPF programs. Bits that the engine
// did not change are left alone: the kernel may have cleared one of them a moment ago.
func (e *engine) publish(u *unit) {
	e.publishSurvivors(u)
	e.publishOwners(u)
	e.publishWords(u)
	e.passOn(u) // after the words: who is not in them yet would be taken for out
}

func (e *engine) publishWords(u *unit) {
	for f := range bpf.Families {
		var set, clear uint32
		var back []*member
		want := u.state.Usable(group.Family(f))
		if u.monitors() {
			want = 1 // what it sends has no other way, and is not looked at
		}
		for _, m := range u.members {
			bit := uint32(1) << m.bit
			wanted := want&(1<<m.index) != 0
			switch {
			case wanted && !m.published[f]:
				set |= bit
				m.backAt[f] = monotonic()
				back = append(back, m)
			case !wanted && m.published[f]:
				clear |= bit
			}
			m.published[f] = wanted
		}
		bpf.ChangeWord(&e.tracks[bpf.TrackNumber(u.slot, f)], set, clear)
		for _, m := range back {
			e.reportBack(u, m, f, true)
		}
	}
	e.noteFailed()
}

// show a member's number to those who know its bit only, in either family: what is redirected goes to
// that number, probed or not.
func (e *engine) show(u *unit, m *member) {
	for f := range bpf.Families {
		e.tracks[bpf.TrackNumber(u.slot, f)].Member[m.bit] = uint16(m.number)
	}
}

func (e *engine) publishSurvivors(u *unit) {
	for _, m := range u.members {
		for f := range bpf.Families {
			bits := make([]uint8, 0, len(u.members))
			for _, s := range u.state.Survivors(m.index, group.Family(f)) {
				bits = append(bits, uint8(u.members[s].bit))
			}
			e.warnIf(e.shown.SetSurvivors(bpf.InstanceNumber(m.number, f), bits))
		}
	}
}

// publishTests fixes who answers ARP for test addresses: their own member, usable or not.
func (e *engine) publishTests(m *member) {
	if m.monitored {
		return
	}
	for _, p := range m.cfg.Test {
		if p.Addr().Is4() {
			e.warnIf(e.objects.FixOwner(p.Addr(), m.number))
		}
	}
}

func (e *engine) publishOwners(u *unit) {
	owners := u.placed()
	for i, a := range u.cfg.Addresses {
		ip := a.Prefix.Addr()
		if !ip.Is4() {
			continue
		}
		owner := owners[i]
		was, had := u.owners[ip]
		switch {
		case owner < 0 && had:
			e.warnIf(e.shown.DeleteOwner(ip))
			delete(u.owners, ip)
		case owner >= 0 && (!had || was != u.members[owner].number):
			e.warnIf(e.shown.SetOwner(ip, u.members[owner].number))
			u.owners[ip] = u.members[owner].number
		}
	}
}

// desired is what is wanted of the host, of all groups. Of monitored interfaces nothing is.
func (e *engine) desired() addr.Desired {
	var d addr.Desired
	for _, u := range e.groups() {
		d.Groups = append(d.Groups, u.desired())
	}
	d.Found = e.undo.Addresses
	for _, l := range e.leaving {
		if l.m.ifindex != 0 && !l.m.monitored {
			d.Leaving = append(d.Leaving, addr.Leaving{Name: l.m.cfg.Name, Index: l.m.ifindex})
		}
	}
	d.Leaving = append(d.Leaving, e.renamed()...)
	return d
}
