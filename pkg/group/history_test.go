// SPDX-License-Identifier: Apache-2.0

package group

import (
	"slices"

	"pgregory.net/rapid"
)

// step is one event, or one reload, of a random history, with what was before and after it in the
// terms of the configuration after it.
type step struct {
	event   Event // nil: a reload
	actions []Action
	cfg     Config
	// wasConfig is the one before a reload; was says which of its members each member was, -1: none.
	wasConfig      Config
	was            []int
	before, after  Placement
	wasActive      [Families]uint32 // in terms of wasConfig
	view           View
	ready, readied [Families]uint32 // before, after
	seen           [Families]uint32 // usable at some time before
	returned       map[int]bool     // put back online: goes home also without failback
	g              *Group
}

// moves of the step.
func (s *step) moves() (list []Move) {
	for _, a := range s.actions {
		if m, ok := a.(Move); ok {
			list = append(list, m)
		}
	}
	return list
}

func (s *step) family(address int) int { return int(FamilyOf(s.cfg.Addresses[address].Prefix)) }

// drawHistory lets a group of 2 to 8 members live through events and reloads in any order, and has each
// step looked at. It returns the group as it is at the end.
func drawHistory(t *rapid.T, steps int, look func(*step)) (*Group, Config) {
	cfg := genConfig(t)
	g, _ := New(cfg, 0, genStart(t, cfg))
	returned := map[int]bool{}
	for range rapid.IntRange(1, steps).Draw(t, "steps") {
		s := &step{cfg: cfg, wasConfig: cfg, before: g.Placement(), ready: ready(g), seen: seen(g), returned: returned}
		s.wasActive = [Families]uint32{g.Active(IPv4), g.Active(IPv6)}
		if rapid.IntRange(0, 7).Draw(t, "reload") == 0 {
			r := genReload(t, g)
			next, actions := New(r.cfg, 1, r.start)
			s.actions, s.cfg, s.was = actions, r.cfg, r.was
			s.translate(r)
			returned, g = s.returned, next
		} else {
			s.event = genEvent(t, len(cfg.Members))
			note(returned, s.event)
			s.actions = g.Step(1, s.event)
			for i := range cfg.Members {
				s.was = append(s.was, i)
			}
		}
		cfg = s.cfg
		s.g, s.after, s.view, s.readied = g, g.Placement(), g.View(), ready(g)
		look(s)
	}
	return g, cfg
}

func ready(g *Group) (mask [Families]uint32) {
	for f, s := range g.set {
		mask[f] = s.ready
	}
	return mask
}

func seen(g *Group) (mask [Families]uint32) {
	for i := range g.members {
		for f, before := range g.members[i].seen {
			if before {
				mask[f] |= bit(i)
			}
		}
	}
	return mask
}

// note who is put back online.
func note(returned map[int]bool, ev Event) {
	switch e := ev.(type) {
	case Online:
		returned[e.Member] = true
	case Suspended:
		if e.Detail == "" {
			returned[e.Member] = true
		}
	}
}

// reload is another configuration for a group, and what the group that takes over is told (inherit.go of
// cmd/ipmpd does the same).
type reload struct {
	cfg   Config
	start Start
	was   []int // by member, -1: it is new
	wasAt []int // by address
}

// translate what was before a reload into terms of what is after it.
func (s *step) translate(r *reload) {
	now := func(old int) int { return slices.Index(r.was, old) }
	mask := func(old uint32) (m uint32) {
		for i := range each(old) {
			if at := now(i); at >= 0 {
				m |= bit(at)
			}
		}
		return m
	}
	before := Placement{Owners: slices.Clone(r.start.Owners)}
	for f := range before.Usable {
		before.Usable[f], before.Active[f] = mask(s.before.Usable[f]), mask(s.before.Active[f])
		s.ready[f], s.seen[f] = mask(s.ready[f]), mask(s.seen[f])
	}
	s.before = before
	s.returned = r.returned(s.returned)
}

// returned under the other configuration: those that were, and those whose suspension it has ended.
func (r *reload) returned(was map[int]bool) map[int]bool {
	returned := map[int]bool{}
	for i, old := range r.was {
		returned[i] = old >= 0 && (was[old] || r.start.Members[i].known.suspended != "" && r.start.Members[i].Suspended == "")
	}
	return returned
}

// genReload changes the file a little: members and addresses come, go and change places, standbys and
// failback change. Every third reload leaves the members as they are.
func genReload(t *rapid.T, g *Group) *reload {
	flip := func(of int, label string) bool { return rapid.IntRange(0, of-1).Draw(t, label) == 0 }
	r := &reload{cfg: Config{Name: g.cfg.Name, Failback: g.cfg.Failback}, start: Start{Was: g}}
	same := flip(3, "same members")
	if !same && flip(4, "other failback") {
		r.cfg.Failback = !r.cfg.Failback
	}
	for i := range g.members {
		if same || !flip(8, "leaves") {
			r.was = append(r.was, i)
		}
	}
	for len(r.was) < 2 || !same && len(r.was) < 8 && flip(4, "joins") {
		r.was = append(r.was, -1)
	}
	if !same && flip(3, "other order") {
		r.was = rapid.Permutation(r.was).Draw(t, "order")
	}
	var homes []int
	for i, old := range r.was {
		mc, ms := MemberConfig{Probed: genBools.Draw(t, "probed")}, genMemberStart(t)
		if old >= 0 {
			mc, ms = g.cfg.Members[old], g.Carry(old)
			if mc.Probed = g.members[old].probed; !same && flip(8, "other probes") {
				mc.Probed = genBools.Draw(t, "probed")
			}
			if flip(8, "other suspension") && !same {
				ms.Suspended = genTwin.Draw(t, "suspended")
			}
		}
		if !same && flip(8, "other role") {
			mc.Standby = !mc.Standby
		}
		if !mc.Standby {
			homes = append(homes, i)
		}
		r.cfg.Members, r.start.Members = append(r.cfg.Members, mc), append(r.start.Members, ms)
	}
	r.addresses(t, g, homes)
	return r
}

// addresses of the reload: those that stay are where they were, unless that member has left.
func (r *reload) addresses(t *rapid.T, g *Group, homes []int) {
	flip := func(of int, label string) bool { return rapid.IntRange(0, of-1).Draw(t, label) == 0 }
	for a := range g.cfg.Addresses {
		if !flip(10, "address leaves") {
			r.wasAt = append(r.wasAt, a)
		}
	}
	for len(r.wasAt) < 64 && flip(3, "new address") {
		r.wasAt = append(r.wasAt, -1)
	}
	other := flip(4, "other homes")
	for i, old := range r.wasAt {
		ac, owner := AddressConfig{Prefix: genPrefix(t, 64+i), Home: -1}, -1
		if len(homes) > 0 {
			ac.Home = homes[i%len(homes)]
		}
		if old >= 0 {
			ac.Prefix = g.cfg.Addresses[old].Prefix
			if at := slices.Index(r.was, g.cfg.Addresses[old].Home); at >= 0 && slices.Contains(homes, at) && !other {
				ac.Home = at
			}
			if g.owner[old] >= 0 {
				owner = slices.Index(r.was, g.owner[old])
			}
		}
		r.cfg.Addresses, r.start.Owners = append(r.cfg.Addresses, ac), append(r.start.Owners, owner)
	}
}
