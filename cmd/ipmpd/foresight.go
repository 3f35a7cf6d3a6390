// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"slices"
	"time"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/group"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// foresight is the host now, and as a configuration will make it once all members have link. Nothing
// is written for it: the same plans are made as at a start or reload, and not carried out.
type foresight struct {
	before, after addr.Observed
	// tested and tests are the test addresses of the groups that are at work and of those to come.
	tested, tests map[netip.Addr]bool
}

// foresee what becomes of the host. The journal knows what is at work, if anything is.
func foresee(groups []config.Group, s *netstate.Snapshot, sysctls func(keys []string) map[string]string, j *journal) foresight {
	undo := j.Undo()
	undo.Groups = slices.DeleteFunc(undo.Groups, func(g addr.UndoGroup) bool { return g.Released })
	f := foresight{tested: map[netip.Addr]bool{}, tests: map[netip.Addr]bool{}}
	for _, g := range undo.Groups {
		for _, m := range g.Members {
			note(f.tested, m.Tests)
		}
	}
	var d addr.Desired
	var units []*unit
	places := formerSlots(groups, undo.Groups).allot(groups)
	routes := routesOf(s)
	for i := range groups {
		u := newUnit(&groups[i], places)
		for _, m := range u.members {
			note(f.tests, m.cfg.Test)
			if m.look(s); m.ifindex != 0 {
				m.link = group.LinkUp
			}
		}
		u.state, _ = group.New(u.groupConfig(), time.Duration(monotonic()), u.start(s))
		var known bool
		g := u.desired()
		if u.adopted, known = j.Adopted(u.cfg.Name); !known {
			u.adopted = addr.Inherited(&g, &routes)
		}
		var taken []addr.Route
		taken, u.beside = addr.Adoptable(&g, &routes)
		u.remember(taken)
		units = append(units, u)
		d.Groups = append(d.Groups, u.desired())
	}
	gone := leftOver(undo.Groups, units)
	for _, m := range gone.Members {
		d.Leaving = append(d.Leaving, addr.Leaving{Name: m.Name, Index: m.Index})
	}
	f.before = translated(s)
	f.before.Sysctls = sysctls(slices.Concat(addr.SysctlKeys(d), addr.ReleaseKeys(&undo, f.before.Links)))
	with := f.before
	with.Links = withLink(with.Links, units)
	with = with.With(addr.Plan(d, with))
	r := addr.Released{Undo: &undo, Groups: []addr.UndoGroup{gone}, Now: boottime(), Routes: j.Replaced()}
	f.after = with.With(addr.Release(r, with))
	return f
}

func note(set map[netip.Addr]bool, list []netip.Prefix) {
	for _, p := range list {
		set[p.Addr()] = true
	}
}

// formerSlots are those that groups have, and that groups take over with the interfaces of one that
// is only called otherwise: routes of ours are known by them.
func formerSlots(groups []config.Group, former []addr.UndoGroup) seating {
	was := seating{slots: map[string]int{}, seats: map[string]seat{}}
	slots, members := map[string]int{}, map[string]int{}
	for _, g := range former {
		slots[g.Name] = g.Slot
		for _, m := range g.Members {
			members[m.Name] = g.Slot
		}
	}
	taken := map[int]bool{}
	for i := range groups {
		if slot, stays := slots[groups[i].Name]; stays {
			was.slots[groups[i].Name], taken[slot] = slot, true
		}
	}
	for i := range groups {
		if _, stays := was.slots[groups[i].Name]; stays {
			continue
		}
		for _, m := range groups[i].Interfaces {
			if slot, had := members[m.Name]; had && !taken[slot] {
				was.slots[groups[i].Name], taken[slot] = slot, true
				break
			}
		}
	}
	return was
}

// withLink: members that exist have link. What a cable does is no matter of the configuration.
func withLink(links []addr.HostLink, units []*unit) []addr.HostLink {
	members := map[int]bool{}
	for _, u := range units {
		for _, m := range u.members {
			members[m.ifindex] = true
		}
	}
	links = slices.Clone(links)
	for i := range links {
		if members[links[i].Index] {
			links[i].Up, links[i].Carrier = true, true
		}
	}
	return links
}

// leftOver is what the groups of a configuration no longer name of those that were at work, as one
// group: interfaces and addresses.
func leftOver(former []addr.UndoGroup, units []*unit) addr.UndoGroup {
	named, members, watched := map[netip.Addr]bool{}, map[int]bool{}, map[int]bool{}
	for _, u := range units {
		if u.monitors() {
			watched[u.members[0].ifindex] = true
			continue
		}
		for _, ip := range u.named() {
			named[ip] = true
		}
		for _, m := range u.members {
			members[m.ifindex] = true
		}
	}
	gone := addr.UndoGroup{Slot: bpf.Groups} // no group's
	for _, g := range former {
		for _, a := range g.Addresses {
			if !named[a.Addr()] {
				gone.Addresses = append(gone.Addresses, a)
			}
		}
		for _, m := range g.Members {
			for _, a := range m.Tests {
				if !named[a.Addr()] {
					gone.Addresses = append(gone.Addresses, a)
				}
			}
			if m.Index != 0 && !members[m.Index] && !(g.Monitor && watched[m.Index]) {
				gone.Members = append(gone.Members, addr.UndoMember{Name: m.Name, Index: m.Index, Clsact: m.Clsact})
			}
		}
	}
	return gone
}
