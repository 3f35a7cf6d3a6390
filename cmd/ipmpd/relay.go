// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/group"
)

// relay announces the addresses of a group when a member fails for whose failure nothing is prepared:
// another one failed a moment before, and the engine is at work on that (docs/decisions/0025). It
// needs no plan, only who has what and who is usable by the words. Routes and addresses are left to
// the engine. The fast path's lock guards it.
type relay struct {
	succession *group.Succession
	members    []relayMember // in file order
	addresses  []config.Address
	held       []bool // by address; nil: none is
	unlimited  bool   // the rate of announcements
	moved      []relayMove
}

type relayMember struct {
	bit, link int
	mac       addr.MAC
	router    bool
}

type relayMove struct{ address, to int32 }

// newRelay of a group as it is now. routers are the members that forward IPv6, as far as it is known.
func newRelay(u *unit, routers func(i int) bool) *relay {
	r := &relay{succession: u.state.Succession(), addresses: u.cfg.Addresses, unlimited: u.cfg.Announce.Rate == 0,
		moved: make([]relayMove, 0, len(u.cfg.Addresses))}
	for i, m := range u.members {
		r.members = append(r.members, relayMember{m.bit, m.ifindex, m.mac, routers(i)})
	}
	for i := range u.held {
		if u.isHeld(i) {
			if r.held == nil {
				r.held = make([]bool, len(u.cfg.Addresses))
			}
			r.held[i] = true
		}
	}
	return r
}

// follow a contingency that was fired.
func (r *relay) follow(before, after outcome) {
	if r != nil {
		r.succession.Follow(group.Placement{Owners: before.owners, Active: before.active},
			group.Placement{Owners: after.owners, Active: after.active})
	}
}

// fail whoever is out by the words, and tell everybody of the new owners; nil where nothing moves.
func (r *relay) fail(words [bpf.Families]uint32, h *addr.Herald) *firing {
	var usable [bpf.Families]uint32
	for i := range r.members {
		for f := range usable {
			usable[f] |= words[f] >> r.members[i].bit & 1 << i
		}
	}
	r.moved = r.moved[:0]
	r.succession.Fail(usable, func(address, to int) {
		if r.members[to].link != 0 && (address >= len(r.held) || !r.held[address]) {
			r.moved = append(r.moved, relayMove{int32(address), int32(to)})
		}
	})
	if len(r.moved) == 0 {
		return nil
	}
	h.Begin(r.unlimited)
	for _, move := range r.moved {
		m := &r.members[move.to]
		h.Add(r.addresses[move.address].Prefix.Addr(), m.link, m.mac, m.router)
	}
	return r.fired(h.End())
}

// fired is what the engine hears, in the order in which it was announced.
func (r *relay) fired(result addr.Result) *firing {
	f := &firing{result: result}
	for _, move := range r.moved {
		f.announced = append(f.announced, addr.Announcement{
			Address: r.addresses[move.address].Prefix.Addr(), Link: r.members[move.to].link})
	}
	return f
}

// passOn makes the relay of a group anew, after its words were written. Who forwards is known since its
// contingencies were prepared.
func (e *engine) passOn(u *unit) {
	if u.monitors() {
		return
	}
	was := e.fast.relays[u.slot].Load()
	e.fast.relays[u.slot].Store(newRelay(u, func(i int) bool { return was != nil && i < len(was.members) && was.members[i].router }))
}

// usableByWord takes announcements out of a list whose member is out by the words: a verdict is on its way
// to the engine, and the relay has told of the next owner.
func (e *engine) usableByWord(u *unit, list []addr.Announcement) []addr.Announcement {
	kept := list[:0]
	for _, a := range list {
		family := familyOfIP(a.Address)
		word := bpf.ReadWord(&e.tracks[bpf.TrackNumber(u.slot, family)]).Usable
		out := false
		for _, m := range u.members {
			if m.ifindex == a.Link && word&(1<<m.bit) == 0 && u.state.Usable(group.Family(family))&(1<<m.index) != 0 {
				out = true
			}
		}
		if !out {
			kept = append(kept, a)
		}
	}
	return kept
}
