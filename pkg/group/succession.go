// SPDX-License-Identifier: Apache-2.0

package group

import (
	"math/bits"
	"slices"
)

// Succession is who has which address, to be worked out further without the group, when members fail
// one after another faster than the group hears of it. It knows failures only, and goes by the rules
// of activate and place. Its methods do not allocate. Not safe for concurrent use.
type Succession struct {
	owner   []int16 // by address; -1: nobody
	family  []uint8
	load    []int
	standby uint32
	normal  int
	set     [Families]sets
}

// Succession of the group as it is now.
func (g *Group) Succession() *Succession {
	s := &Succession{
		owner: make([]int16, len(g.owner)), family: make([]uint8, len(g.owner)),
		load: slices.Clone(g.load), normal: g.normal, set: g.set,
	}
	for a, at := range g.owner {
		s.owner[a], s.family[a] = int16(at), uint8(g.family(a))
	}
	for i := range g.cfg.Members {
		if g.cfg.Members[i].Standby {
			s.standby |= bit(i)
		}
	}
	return s
}

// Owner of an address, -1: nobody.
func (s *Succession) Owner(address int) int { return int(s.owner[address]) }

// Follow a contingency that was carried out: the differences between the placements before and after
// it. Addresses that have no owner there (held ones) stay where they are.
func (s *Succession) Follow(before, after Placement) {
	for a, to := range after.Owners {
		if to >= 0 && to != before.Owners[a] {
			s.move(a, to)
		}
	}
	for f := range s.set {
		was, is := before.Active[f], after.Active[f]
		s.set[f].active = s.set[f].active&^(was&^is) | is&^was
	}
}

// Fail members: those of a family that are not in its mask. An address of theirs goes to another
// member, and moved is told of it; where no member of the family is left, it stays.
func (s *Succession) Fail(usable [Families]uint32, moved func(address, to int)) {
	for f := range s.set {
		s.activate(f, usable[f])
	}
	for a, at := range s.owner {
		f := s.family[a]
		if active := s.set[f].active; active != 0 && (at < 0 || active&bit(int(at)) == 0) {
			to := s.leastLoaded(int(f))
			s.move(a, to)
			moved(a, to)
		}
	}
}

// activate one for each active member lost, as Group.activate does. Who was not usable before does
// not count: the group has yet to say what it does.
func (s *Succession) activate(f int, usable uint32) {
	set := &s.set[f]
	lost := set.active &^ usable
	set.usable &= usable
	set.ready &= usable
	set.active &= usable
	for range each(lost) {
		if bits.OnesCount32(set.active) < s.normal {
			set.active |= s.next(f)
		}
	}
	if set.active == 0 {
		set.active = s.next(f)
	}
}

// next to be active: standbys first, in file order; 0: nobody is left.
func (s *Succession) next(f int) uint32 {
	rest := s.set[f].usable &^ s.set[f].active
	if standbys := rest & s.standby; standbys != 0 {
		rest = standbys
	}
	return rest & -rest
}

func (s *Succession) leastLoaded(f int) int {
	candidates := s.set[f].active
	if good := candidates & s.set[f].ready; good != 0 {
		candidates = good
	}
	best := -1
	for i := range each(candidates) {
		if best < 0 || s.load[i] < s.load[best] || s.load[i] == s.load[best] && s.standby&bit(i) == 0 && s.standby&bit(best) != 0 {
			best = i
		}
	}
	return best
}

func (s *Succession) move(address, to int) {
	if from := s.owner[address]; from >= 0 {
		s.load[from]--
	}
	s.owner[address] = int16(to)
	s.load[to]++
}
