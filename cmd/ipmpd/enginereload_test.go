// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/group"
)

// drawReload is a group of the file with some members and addresses left out, others standbys, and another
// failback. Homes are as pkg/config gives them.
func (w *world) drawReload(at int) *config.Group {
	flip := func(of int, label string) bool { return rapid.IntRange(0, of-1).Draw(w.t, label) == 0 }
	g := w.file.Groups[at]
	g.Failback = flip(2, "failback")
	g.Interfaces, g.Addresses = nil, nil
	var homes []string
	for i, m := range w.file.Groups[at].Interfaces {
		if i > 1 && flip(3, "leaves") {
			continue
		}
		if m.Standby = i > 0 && flip(3, "standby"); !m.Standby {
			homes = append(homes, m.Name)
		}
		g.Interfaces = append(g.Interfaces, m)
	}
	for i, a := range w.file.Groups[at].Addresses {
		if i == 0 || !flip(4, "address leaves") {
			a.Home = homes[i%len(homes)]
			g.Addresses = append(g.Addresses, a)
		}
	}
	// pkg/config fills in the default from what it finds in the file.
	g.Routes = slices.Clone(g.Routes)
	for i, r := range g.Routes {
		if !slices.ContainsFunc(g.Addresses, func(a config.Address) bool { return a.Prefix.Addr() == r.Src }) && flip(2, "src") {
			g.Routes[i].Src = netip.Addr{}
		}
	}
	return &g
}

// reload is engine.reconfigure for one group, without programs and probes.
func (w *world) reload(at int) {
	w.hear()
	w.dismiss()
	e, s := w.e, w.Snapshot()
	was := slices.Clone(e.units)
	groups := e.configured()
	groups[at] = *w.drawReload(at)
	n := &successor{unit: newUnit(&groups[at], e.seating().allot(groups))}
	n.in = n.inherit(was[at])
	for _, m := range n.members {
		if !n.stays(m) {
			m.look(s)
			e.show(n.unit, m)
			e.carriers[m.number].Store(upness(m.link == group.LinkUp))
		}
	}
	e.fast.forget(n.slot)
	for f := range bpf.Families {
		bpf.ChangeWord(&e.tracks[bpf.TrackNumber(n.slot, f)], 0, 0)
	}
	e.units[at] = n.unit
	w.target(n.unit)
	e.findTwins(n.unit)
	e.hold(n.unit, s)
	st := n.start(s)
	n.in.hold(n.unit)
	n.state, n.actions = group.New(n.groupConfig(), time.Duration(monotonic()), n.in.start(st))
	e.adopt(s)
	e.publish(n.unit)
	w.depart(was[at], n)
	e.disown(was)
	for _, a := range was[at].cfg.Addresses {
		if n.address(a.Prefix.Addr()) < 0 {
			delete(w.there, a.Prefix.Addr())
		}
	}
	for _, a := range n.cfg.Addresses {
		w.there[a.Prefix.Addr()] = len(w.h.Where(a.Prefix.Addr())) > 0
	}
	e.seatAll()
	w.foreign = w.theirs()
	w.quiet = false
	e.applyCaughtUp()
	e.prepareAll()
}

// depart who is named no more.
func (w *world) depart(was *unit, n *successor) {
	for _, m := range was.members {
		if n.member(m.number) == m {
			continue
		}
		for f := range bpf.Families {
			bpf.ChangeWord(&w.e.tracks[bpf.TrackNumber(n.slot, f)], 0, 1<<m.bit)
		}
		w.e.leaving = append(w.e.leaving, &departure{m: m, place: seat{m.number, n.slot, m.bit}})
	}
}

// dismiss who has left, once the host has followed.
func (w *world) dismiss() {
	w.e.leaving = slices.DeleteFunc(w.e.leaving, func(d *departure) bool { return !w.e.holds(d.m) })
}
