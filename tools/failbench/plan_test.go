// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

func TestPlan(t *testing.T) {
	cells, err := full.cells(entrants("bin/ipmpd"), scenes())
	require.NoError(t, err)
	seen := map[string]int{}
	for _, c := range cells {
		require.Zero(t, seen[c.name()], "%s comes twice", c.name())
		require.Equal(t, c.name(), strings.Map(func(r rune) rune {
			if r == '/' || r > '~' || r <= ' ' {
				return -1
			}
			return r
		}, c.name()), "a file's name")
		seen[c.name()] = c.want
	}
	for name, want := range map[string]int{
		"ipmpd-tcx-icmp-100us.silent": 100, "ipmpd-xdp-arp-25ms.carrier": 30, "ipmpd-link.carrier": 30,
		"ipmpd-link.silent": 3, "ipmpd-tcx-icmp-1ms.silent-rx": 30, "ipmpd-xdp-icmp-1ms.silent-rx": 0,
		"ipmpd-tcx-icmp-100us.idle": 4, "ipmpd-tcx-icmp-1ms.idle": 0, "ipmpd-tcx-icmp-1ms.second": 30,
		"ipmpd-tcx-icmp-1ms.killed": 30, "bonding-miimon-1.killed": 0, "bonding-miimon-1.planned": 30, "bonding-arp-1.planned": 0,
		"ipmpd-tcx-icmp-1ms.stall-5ms": 30, "ipmpd-tcx-icmp-1ms.loss-one-50": 30,
	} {
		require.Equal(t, want, seen[name], name)
	}
	_, err = plan{only: regexp.MustCompile("^nothing$")}.cells(entrants("x"), scenes())
	require.ErrorContains(t, err, "names no cell")
}

// A contender that does not find a failure is asked a few times only, and for a second.
func TestUnseen(t *testing.T) {
	want := map[string]int{}
	for _, e := range append(bondings(), teams()...) {
		for _, s := range scenes() {
			want[e.Name+"."+s.Name] = full.want(e, s)
		}
	}
	for name, n := range map[string]int{
		"bonding-miimon-1.silent": 3, "bonding-miimon-1.carrier": 100, "bonding-arp-1.silent": 100,
		"bonding-arp-1.silent-tx": 3, "bonding-arp-1-validate.silent-tx": 100, "team-ethtool.silent-tx": 3, "team-arp-1.silent-tx": 100,
	} {
		require.Equal(t, n, want[name], name)
	}
}

// TestOwnArena: what comes after loss by chance does not inherit what the contender has learnt from it.
func TestOwnArena(t *testing.T) {
	cells, err := full.cells(ipmpds("bin/ipmpd"), scenes())
	require.NoError(t, err)
	for _, group := range turns(cells) {
		if strings.HasPrefix(group[0].scene.Name, "loss-") {
			require.Len(t, group, 1, group[0].name())
		}
	}
}

func TestTurns(t *testing.T) {
	p := plan{counts: counts{headline: 100, other: 30, blind: 3}, turn: 15}
	require.Equal(t, 7, p.rounds([]cellPlan{{want: 100}, {want: 30}}))
	require.Equal(t, []int{15, 30, 30}, []int{p.until(30, 0), p.until(30, 1), p.until(30, 6)})
	require.Equal(t, 3, p.until(3, 0))

	a, b := entrant{Name: "a"}, entrant{Name: "b"}
	wide := scene{Name: "wide", Stage: stage{members: 3}}
	groups := turns([]cellPlan{{entrant: a, scene: scene{Name: "x"}}, {entrant: a, scene: scene{Name: "y"}}, {entrant: a, scene: wide}, {entrant: b, scene: scene{Name: "x"}}})
	require.Len(t, groups, 3, "one arena for each contender and stage")
	require.Len(t, groups[0], 2)
}

func TestOptions(t *testing.T) {
	env := map[string]string{"QUICK": "1", "ONLY": "silent", "STRICT": "0"}
	o, err := parse([]string{"-n", "7"}, func(name string) string { return env[name] })
	require.NoError(t, err)
	require.True(t, o.quick)
	require.False(t, o.strict)
	p, err := planOf(o)
	require.NoError(t, err)
	require.Equal(t, counts{headline: 7, other: 7, long: 7, blind: 1, cost: 2}, p.counts)
	require.True(t, p.only.MatchString("x.silent"))
	_, err = planOf(options{only: "("})
	require.ErrorContains(t, err, "ONLY=(")
	env = map[string]string{"MINUTES": "10"}
	o, err = parse(nil, func(name string) string { return env[name] })
	require.NoError(t, err)
	p, err = planOf(o)
	require.NoError(t, err)
	require.Equal(t, []int{10, 2}, []int{p.fullMinutes, p.minutes})
	env["MINUTES"] = "some"
	_, err = parse(nil, func(name string) string { return env[name] })
	require.ErrorContains(t, err, "MINUTES=some")
	_, err = parse([]string{"more"}, func(string) string { return "" })
	require.Error(t, err)
}

func TestInOrder(t *testing.T) {
	cell := func(contender, scenario string) *result.Cell {
		return &result.Cell{Contender: contender, Scenario: scenario}
	}
	var got []string
	for _, c := range inOrder([]*result.Cell{cell("a", "old"), cell("a", "y"), cell("gone", "x"), cell("b", "x"), cell("a", "x")},
		[]entrant{{Name: "a"}, {Name: "b"}}, []scene{{Name: "x"}, {Name: "y"}}) {
		got = append(got, c.Name())
	}
	require.Equal(t, []string{"a.x", "b.x", "gone.x", "a.y", "a.old"}, got)
}
