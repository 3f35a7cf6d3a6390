// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"runtime"
	"slices"

	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// counts of failures for each cell.
type counts struct {
	headline, other, long, blind int // long: of scenarios whose samples take seconds
	cost                         int
	minutes, fullMinutes         int // of quiet and of load; the second for those that are entrant.Watched
}

// plan says what is measured and how often.
type plan struct {
	counts
	// turn is how many failures a contender has before the next one's turn.
	turn int
	// only are patterns of cells, CONTENDER.SCENARIO; nil: all.
	only *regexp.Regexp
}

// full is the whole benchmark, quick what takes ten minutes. More quiet and loaded minutes are asked for with MINUTES.
var (
	full  = plan{counts: counts{headline: 100, other: 30, long: 30, blind: 3, cost: 5, minutes: 1, fullMinutes: 4}, turn: 15}
	quick = plan{counts: counts{headline: 10, other: 3, long: 1, blind: 1, cost: 2}, turn: 10}
)

// cellPlan is one cell that is wanted.
type cellPlan struct {
	entrant entrant
	scene   scene
	want    int
}

func (c cellPlan) name() string { return c.entrant.Name + "." + c.scene.Name }

// cells of a plan, those of one contender together.
func (p plan) cells(entrants []entrant, scenes []scene) (list []cellPlan, err error) {
	for _, e := range entrants {
		for _, s := range scenes {
			if !plays(e, s) {
				continue
			}
			c := cellPlan{entrant: e, scene: s, want: p.want(e, s)}
			if c.want > 0 && (p.only == nil || p.only.MatchString(c.name())) {
				list = append(list, c)
			}
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("ONLY=%s names no cell; `failbench -list` names all", p.only)
	}
	return list, nil
}

// plays tells whether a contender takes part in a scenario.
func plays(e entrant, s scene) bool {
	switch {
	case e.Alone && runtime.NumCPU() > 1:
		return false
	case s.Kills && e.Daemonless:
		return false
	case s.Minutes:
		return e.Watched || e.Family != "ipmpd"
	case s.Basic:
		return true
	}
	return e.Full
}

// unseen tells whether a contender does not find the failure of a scenario.
func unseen(e entrant, s scene) bool {
	return e.Blind && s.Silent || e.Credulous && s.Name == "silent-tx"
}

// want is the number of samples of a cell.
func (p plan) want(e entrant, s scene) int {
	switch {
	case s.Minutes && e.Watched:
		return p.fullMinutes
	case s.Minutes:
		return p.minutes
	case s.Long:
		return p.long
	case s.Cost:
		return p.cost
	case unseen(e, s):
		return p.blind
	case e.Headline && s.Basic:
		return p.headline
	}
	return p.other
}

// rounds that the plan takes: in each, every contender has a turn.
func (p plan) rounds(cells []cellPlan) int {
	most := 0
	for _, c := range cells {
		most = max(most, c.want)
	}
	return (most + p.turn - 1) / p.turn
}

// until is how many samples a cell has when a round (0, 1, …) is over.
func (p plan) until(want, round int) int { return min(want, (round+1)*p.turn) }

// inOrder of the report: by scenario, then by contender. What is not known any more comes last.
func inOrder(cells []*result.Cell, entrants []entrant, scenes []scene) []*result.Cell {
	place := func(c *result.Cell) [2]int {
		i := slices.IndexFunc(scenes, func(s scene) bool { return s.Name == c.Scenario })
		j := slices.IndexFunc(entrants, func(e entrant) bool { return e.Name == c.Contender })
		for _, p := range []*int{&i, &j} {
			if *p < 0 {
				*p = len(scenes) + len(entrants)
			}
		}
		return [2]int{i, j}
	}
	return slices.SortedStableFunc(slices.Values(cells), func(a, b *result.Cell) int {
		x, y := place(a), place(b)
		return slices.Compare(x[:], y[:])
	})
}
