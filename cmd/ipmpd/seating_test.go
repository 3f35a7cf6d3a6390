// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/config"
)

// groupsOf "a: x y; b: z".
func groupsOf(text string) []config.Group {
	var groups []config.Group
	for part := range strings.SplitSeq(text, ";") {
		name, members, _ := strings.Cut(strings.TrimSpace(part), ":")
		if name == "" {
			continue
		}
		g := config.Group{Name: name}
		for _, m := range strings.Fields(members) {
			g.Interfaces = append(g.Interfaces, config.Interface{Name: m})
		}
		groups = append(groups, g)
	}
	return groups
}

// text of a seating in file order: "a=0: x=0/0 y=1/1" is slot, then number/bit.
func (s seating) text(groups []config.Group) string {
	var parts []string
	for _, g := range groups {
		part := fmt.Sprintf("%s=%d:", g.Name, s.slots[g.Name])
		for _, m := range g.Interfaces {
			at := s.seats[m.Name]
			part += fmt.Sprintf(" %s=%d/%d", m.Name, at.number, at.bit)
			if at.group != s.slots[g.Name] {
				part += fmt.Sprintf(" in slot %d", at.group)
			}
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

func TestSeating(t *testing.T) {
	for _, row := range []struct{ what, files, want string }{
		{"by position at first", "a: x y; b: z", "a=0: x=0/0 y=1/1; b=1: z=2/0"},
		{"a member joins in front", "a: x y; b: z | a: n x y; b: z", "a=0: n=3/2 x=0/0 y=1/1; b=1: z=2/0"},
		{"the first leaves", "a: x y; b: z | a: y; b: z", "a=0: y=1/1; b=1: z=2/0"},
		{"and one takes its place: another number", "a: x y | a: n y", "a=0: n=2/2 y=1/1"},
		{"what is free for longer is given again", "a: x y | a: y | a: n y", "a=0: n=0/0 y=1/1"},
		{"from group to group: another place", "a: x y; b: z | a: x; b: z y", "a=0: x=0/0; b=1: z=2/0 y=3/1"},
		{"a group goes, another comes", "a: x; b: y | b: y; c: z", "b=1: y=1/0; c=2: z=2/0"},
		{"another name, the same members", "a: x y | b: x y", "b=1: x=2/0 y=3/1"},
		{"the file in another order", "a: x y; b: z | b: z; a: y x", "b=1: z=2/0; a=0: y=1/1 x=0/0"},
	} {
		t.Run(row.what, func(t *testing.T) {
			var is seating
			var groups []config.Group
			for file := range strings.SplitSeq(row.files, "|") {
				groups = groupsOf(file)
				is = is.allot(groups)
			}
			require.Equal(t, row.want, is.text(groups))
		})
	}
}

// The maps are as large as a configuration may be: a full one may be replaced by another.
func TestSeatingWhereAllIsTaken(t *testing.T) {
	full := func(prefix string) []config.Group {
		var groups []config.Group
		for i := range bpf.Members / bpf.GroupMembers {
			g := config.Group{Name: "g" + fmt.Sprint(i)}
			for j := range bpf.GroupMembers {
				g.Interfaces = append(g.Interfaces, config.Interface{Name: fmt.Sprintf("%s%d-%d", prefix, i, j)})
			}
			groups = append(groups, g)
		}
		return groups
	}
	is := seating{}.allot(full("x")).allot(full("y"))
	require.Len(t, is.seats, bpf.Members)
	unique(t, is)
}

// unique: no place is two's.
func unique(t *testing.T, s seating) {
	t.Helper()
	numbers, bits, slots := map[int]string{}, map[[2]int]string{}, map[int]string{}
	for name, slot := range s.slots {
		require.Empty(t, slots[slot])
		slots[slot] = name
	}
	for name, at := range s.seats {
		require.Empty(t, numbers[at.number])
		require.Empty(t, bits[[2]int{at.group, at.bit}])
		require.NotEmpty(t, slots[at.group])
		numbers[at.number], bits[[2]int{at.group, at.bit}] = name, name
	}
}

func TestSeatingAtRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var was seating
	for range 1000 {
		members := r.Perm(60)[:1+r.IntN(40)]
		var groups []config.Group
		for _, n := range r.Perm(8)[:1+r.IntN(8)] {
			g := config.Group{Name: fmt.Sprint("g", n)}
			for len(members) > 0 && len(g.Interfaces) < 6 {
				g.Interfaces = append(g.Interfaces, config.Interface{Name: fmt.Sprint("if", members[0])})
				members = members[1:]
			}
			groups = append(groups, g)
		}
		is := was.allot(groups)
		unique(t, is)
		for _, g := range groups {
			slot, had := was.slots[g.Name]
			if !had {
				continue
			}
			require.Equal(t, slot, is.slots[g.Name])
			for _, m := range g.Interfaces {
				if s, had := was.seats[m.Name]; had && s.group == slot {
					require.Equal(t, s, is.seats[m.Name])
				}
			}
		}
		was = is
	}
}

func TestRecalled(t *testing.T) {
	members := make([]bpf.Member, 8)
	members[0] = bpf.Member{Ifindex: 10, Group: 0, Bit: 0} // deleted since
	members[2] = bpf.Member{Ifindex: 12, Group: 3, Bit: 1}
	members[5] = bpf.Member{Ifindex: 15, Group: 3, Bit: 0}
	members[7] = bpf.Member{Ifindex: 17, Group: 1, Bit: 4}
	names := map[int]string{12: "x", 15: "y", 17: "z", 18: "new"}
	groups := groupsOf("a: new y x; b: z; c: x2")
	is := recalled(groups, members, names).allot(groups)
	require.Equal(t, "a=3: new=0/2 y=5/0 x=2/1; b=1: z=7/4; c=0: x2=1/0", is.text(groups))

	// Split since: one group keeps the slot.
	groups = groupsOf("a: y; b: x")
	is = recalled(groups, members, names).allot(groups)
	require.Equal(t, 3, is.slots["a"])
	require.NotEqual(t, 3, is.slots["b"])
	unique(t, is)
	require.True(t, slices.Contains([]int{0, 1, 3}, is.seats["x"].number), is.text(groups))
}
