// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/config"
)

// seat is where a member is in the BPF maps: its number, the slot of its group, and its bit in the
// words of that slot.
type seat struct{ number, group, bit int }

// seating is who has which place in the BPF maps. It outlives places in the file: while something
// is known by a number to the kernel, the number means the same.
type seating struct {
	slots map[string]int  // by group
	seats map[string]seat // by interface
}

// allot gives every group and member of a configuration its place. Who stays in a group keeps it.
// What is new gets one that nobody had before, as long as there is one: what is still on its way, an
// event or the answer to a question, is then never taken for another's.
func (was seating) allot(groups []config.Group) seating {
	is := seating{slots: map[string]int{}, seats: map[string]seat{}}
	slots, numbers := newPlaces(bpf.Groups), newPlaces(bpf.Members)
	bits := map[int]*places{}
	for _, slot := range was.slots {
		slots.use(slot, false)
	}
	for _, s := range was.seats {
		numbers.use(s.number, false)
		bitsOf(bits, s.group).use(s.bit, false)
	}
	for i := range groups {
		g := &groups[i]
		slot, stays := was.slots[g.Key()]
		if !stays {
			continue
		}
		slots.use(slot, true)
		is.slots[g.Key()] = slot
		for _, m := range g.Interfaces {
			if s, had := was.seats[m.Name]; had && s.group == slot {
				numbers.use(s.number, true)
				bitsOf(bits, slot).use(s.bit, true)
				is.seats[m.Name] = s
			}
		}
	}
	for i := range groups {
		g := &groups[i]
		if _, stays := is.slots[g.Key()]; !stays {
			is.slots[g.Key()] = slots.free()
		}
		slot := is.slots[g.Key()]
		for _, m := range g.Interfaces {
			if _, stays := is.seats[m.Name]; !stays {
				is.seats[m.Name] = seat{number: numbers.free(), group: slot, bit: bitsOf(bits, slot).free()}
			}
		}
	}
	return is
}

// recalled is what the maps of a former run say, by the interfaces that are here now. Groups have no
// names there: one has the slot of the first of its members that no other group has taken.
func recalled(groups []config.Group, members []bpf.Member, names map[int]string) seating {
	was := seating{slots: map[string]int{}, seats: map[string]seat{}}
	for number, m := range members {
		if name := names[int(m.Ifindex)]; m.Ifindex != 0 && name != "" {
			was.seats[name] = seat{number: number, group: int(m.Group), bit: int(m.Bit)}
		}
	}
	taken := map[int]bool{}
	for i := range groups {
		for _, m := range groups[i].Interfaces {
			if s, had := was.seats[m.Name]; had && !taken[s.group] {
				taken[s.group] = true
				was.slots[groups[i].Key()] = s.group
				break
			}
		}
	}
	return was
}

// places are numbers from 0 on that are handed out.
type places struct {
	taken, before []bool
}

func newPlaces(n int) *places { return &places{make([]bool, n), make([]bool, n)} }

func bitsOf(all map[int]*places, slot int) *places {
	if all[slot] == nil {
		all[slot] = newPlaces(bpf.GroupMembers)
	}
	return all[slot]
}

// use a place: it is somebody's now, or was before.
func (p *places) use(n int, now bool) {
	p.before[n] = true
	p.taken[n] = p.taken[n] || now
}

// free takes the first place that nobody has, and if possible nobody had. The limits of the
// configuration are those of the maps, so there is one.
func (p *places) free() int {
	for _, strict := range []bool{true, false} {
		for n := range p.taken {
			if !p.taken[n] && !(strict && p.before[n]) {
				p.use(n, true)
				return n
			}
		}
	}
	panic("more members than the configuration allows")
}
