// SPDX-License-Identifier: Apache-2.0

package group

import "slices"

// place moves what has to move, and nothing else: addresses that an active member does not have,
// while there is one, and addresses whose home is good again.
func (g *Group) place() []Move {
	var moves []Move
	// Those that go home first: they count where the others look for the fewest.
	for a, at := range g.owner {
		f, home := g.family(a), g.cfg.Addresses[a].Home
		if at != home && g.mayGoHome(f, home) {
			moves = append(moves, g.move(a, home, g.why(f, at, WhyHome)))
		}
	}
	for a, at := range g.owner {
		f := g.family(a)
		active := g.set[f].active
		if active != 0 && (at < 0 || active&bit(at) == 0) {
			moves = append(moves, g.move(a, g.leastLoaded(f), g.why(f, at, WhyNotNeeded)))
		}
	}
	slices.SortFunc(moves, func(a, b Move) int { return a.Address - b.Address })
	return moves
}

func (g *Group) family(address int) int { return int(FamilyOf(g.cfg.Addresses[address].Prefix)) }

// why an address leaves: the reason given, unless where it is cannot carry it.
func (g *Group) why(f, from int, usable Why) Why {
	if from >= 0 && g.set[f].usable&bit(from) != 0 {
		return usable
	}
	return WhyUnusable
}

// mayGoHome: home carries data and is proved good, so that nothing goes back to a member that has
// link but a dead path.
func (g *Group) mayGoHome(f, home int) bool {
	if !g.valid(home) || !g.cfg.Failback && !g.members[home].returning {
		return false
	}
	return g.set[f].active&g.set[f].ready&bit(home) != 0
}

// leastLoaded of the active members: fewest addresses, then file order, standbys last (contract
// section 1). Members without a verdict come after those that are proved good.
func (g *Group) leastLoaded(f int) int {
	candidates := g.set[f].active
	if good := candidates & g.set[f].ready; good != 0 {
		candidates = good
	}
	best := -1
	for i := range each(candidates) {
		if best < 0 || g.before(i, best) {
			best = i
		}
	}
	return best
}

// before: member a takes an address before member b of a later place in the file.
func (g *Group) before(a, b int) bool {
	if g.load[a] != g.load[b] {
		return g.load[a] < g.load[b]
	}
	return !g.cfg.Members[a].Standby && g.cfg.Members[b].Standby
}

func (g *Group) move(address, to int, why Why) Move {
	from := g.owner[address]
	if from >= 0 {
		g.load[from]--
	}
	g.owner[address] = to
	g.load[to]++
	return Move{Address: address, From: from, To: to, Why: why}
}

// startPlaces gives every address that nobody has to a member at once (contract section 2, Life).
// Where no member can carry it, it is put where it can at least be configured.
func (g *Group) startPlaces() []Move {
	var moves []Move
	for a := range g.owner {
		if g.owner[a] >= 0 {
			continue
		}
		f, home := g.family(a), g.cfg.Addresses[a].Home
		to := -1
		for _, can := range []func(i int) bool{
			func(i int) bool { return g.set[f].active&bit(i) != 0 },
			func(i int) bool { return g.serves(i) && g.members[i].link == LinkUp },
			g.serves,
			func(i int) bool { return g.members[i].exists },
		} {
			if to = g.firstThat(home, can); to >= 0 {
				moves = append(moves, g.move(a, to, WhyStart))
				break
			}
		}
	}
	return moves
}

func (g *Group) serves(i int) bool { return g.members[i].exists && !g.members[i].out() }

// firstThat can: the home, else the first in file order; -1: none.
func (g *Group) firstThat(home int, can func(int) bool) int {
	if g.valid(home) && can(home) {
		return home
	}
	for i := range g.members {
		if can(i) {
			return i
		}
	}
	return -1
}
