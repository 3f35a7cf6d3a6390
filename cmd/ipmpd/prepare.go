// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/group"
)

// outlook is what was wanted of the host when it was last changed, and what it is once that is done.
type outlook struct {
	desired addr.Desired
	host    addr.Observed
	ops     []addr.Op // on the way from host to there; nil: it is there
}

// settled is the host once everything that is wanted is done.
func (o *outlook) settled() addr.Observed {
	if o.ops != nil {
		o.host, o.ops = o.host.With(o.ops), nil
	}
	return o.host
}

// prepared is what the contingencies of a group were prepared from.
type prepared struct {
	part             addr.Part
	generation, word [bpf.Families]uint32
	// then is what becomes of the group, by member and contingency. steps is what the group had been
	// told when that was worked out.
	then  [][bothFamilies + 1]outcome
	steps int
	// casts is the version of who hears what.
	casts int
}

// outcome is where the addresses go, and who is active then.
type outcome struct {
	owners []int // nil: the member is not usable
	active [bpf.Families]uint32
}

func (o outcome) same(q outcome) bool {
	return o.active == q.active && slices.Equal(o.owners, q.owners)
}

func (p *prepared) same(q *prepared) bool {
	return p.casts == q.casts && p.generation == q.generation && p.word == q.word && p.part.Same(&q.part) &&
		slices.EqualFunc(p.then, q.then, func(a, b [bothFamilies + 1]outcome) bool {
			return slices.EqualFunc(a[:], b[:], outcome.same)
		})
}

// foresee what becomes of the group.
func (p *prepared) foresee(u *unit) {
	p.steps, p.then = u.steps, make([][bothFamilies + 1]outcome, len(u.members))
	for i, m := range u.members {
		for which := range p.then[i] {
			usable, family := p.word[0]|p.word[1], group.Both
			if which < bothFamilies {
				usable, family = p.word[which], group.Family(which)
			}
			if usable&(1<<m.bit) != 0 {
				to := u.state.Contingency(m.index, family)
				p.then[i][which] = outcome{append([]int{}, u.inUse(to.Owners)...), to.Active}
			}
		}
	}
}

// prepareAll prepares the contingencies of all groups for which anything is new that they follow
// from; of the others they are what they would be.
func (e *engine) prepareAll() {
	e.unprepared = false
	d := e.desired()
	if e.outlook == nil || !slices.EqualFunc(e.outlook.desired.Groups, d.Groups, func(g, h addr.Group) bool { return g.Same(&h) }) ||
		!slices.Equal(e.outlook.desired.Leaving, d.Leaving) {
		// It could not be done, or something else is wanted by now.
		o := e.observed(d)
		e.outlook = &outlook{d, o, addr.Plan(d, o)}
	}
	for _, part := range addr.Parts(d, e.outlook.settled()) {
		for i, position := range part.Groups {
			e.prepareIfNew(e.units[position], i, &part)
		}
	}
}

// prepareIfNew prepares the group at a position of a part.
func (e *engine) prepareIfNew(u *unit, position int, part *addr.Part) {
	now := &prepared{part: *part, casts: e.casts.version}
	for f := range bpf.Families {
		word := bpf.ReadWord(&e.tracks[bpf.TrackNumber(u.slot, f)])
		now.generation[f], now.word[f] = word.Generation, word.Usable
		if word.Usable != u.usable(f) {
			// A verdict that the group has not heard of: it would send addresses to who is out. Until then
			// nothing is fired, as the word is not the one that was prepared for.
			return
		}
	}
	was := u.prepared
	if was != nil && was.steps == u.steps && was.generation == now.generation && was.word == now.word {
		now.steps, now.then = was.steps, was.then // but for held addresses, which the part tells
	} else {
		now.foresee(u)
	}
	if was == nil || !was.same(now) {
		now.foresee(u)
		e.prepare(u, position, now)
	}
	u.prepared = now
}

// usable members of a family by the group's state, in the bits of its word.
func (u *unit) usable(family int) (bits uint32) {
	is := u.state.Usable(group.Family(family))
	for _, m := range u.members {
		if is&(1<<m.index) != 0 {
			bits |= 1 << m.bit
		}
	}
	return bits
}

// prepare computes and encodes what the failure of each usable member of a group will do, for one
// generation of its words.
func (e *engine) prepare(u *unit, position int, from *prepared) {
	e.preparations++
	next := &contingencies{generation: from.generation, usable: from.word}
	d, settled := from.part.Desired, from.part.Observed
	now, tell := u.placed(), e.teller(u, settled)
	for _, m := range u.members {
		for which, then := range from.then[m.index] {
			if then.owners == nil {
				continue
			}
			family := addr.Both
			if which < bothFamilies {
				family = which
			}
			after := addr.After(d, position, m.index, family, then.owners, then.active)
			c := &contingency{announced: tell.all(now, then.owners), hush: e.announcer.Hush}
			batch, err := e.applier.Prepare(addr.Plan(after, settled), addr.Frames(c.announced), u.cfg.Announce.Rate == 0)
			if err != nil {
				e.log.Error("a contingency could not be prepared; this failover will be slower",
					"interface", m.cfg.Name, "error", err)
				continue
			}
			batch.Report(e.castContingency(u, m, which))
			c.batch = batch
			c.current = e.fast.stillCurrent(u.slot, which, next)
			next.member[m.bit][which] = c
		}
	}
	e.fast.groups[u.slot].Store(next)
}
