// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/group"
)

// publish writes a group's survivors, owners and words for the BPF programs. Bits that the engine
// did not change are left alone: the kernel may have cleared one of them a moment ago.
func (e *engine) publish(u *unit) {
	e.publishSurvivors(u)
	e.publishOwners(u)
	e.publishWords(u)
}

func (e *engine) publishWords(u *unit) {
	for f := range bpf.Families {
		var set, clear uint32
		want := u.state.Usable(group.Family(f))
		for _, m := range u.members {
			bit := uint32(1) << m.bit
			wanted := want&(1<<m.index) != 0
			switch {
			case wanted && !m.published[f]:
				set |= bit
			case !wanted && m.published[f]:
				clear |= bit
			}
			m.published[f] = wanted
		}
		bpf.ChangeWord(&e.tracks[bpf.TrackNumber(u.slot, f)], set, clear)
	}
	e.noteFailed()
}

// show a member's number to those who know its bit only, in either family: what is redirected goes to
// that number, probed or not.
func (e *engine) show(u *unit, m *member) {
	for f := range bpf.Families {
		e.tracks[bpf.TrackNumber(u.slot, f)].Member[m.bit] = uint16(m.number)
	}
}

func (e *engine) publishSurvivors(u *unit) {
	for _, m := range u.members {
		for f := range bpf.Families {
			bits := make([]uint8, 0, len(u.members))
			for _, s := range u.state.Survivors(m.index, group.Family(f)) {
				bits = append(bits, uint8(u.members[s].bit))
			}
			e.warnIf(e.objects.SetSurvivors(bpf.InstanceNumber(m.number, f), bits))
		}
	}
}

// publishTests fixes who answers ARP for test addresses: their own member, usable or not.
func (e *engine) publishTests(m *member) {
	for _, p := range m.cfg.Test {
		if p.Addr().Is4() {
			e.warnIf(e.objects.FixOwner(p.Addr(), m.number))
		}
	}
}

func (e *engine) publishOwners(u *unit) {
	owners := u.placed()
	for i, a := range u.cfg.Addresses {
		ip := a.Prefix.Addr()
		if !ip.Is4() {
			continue
		}
		owner := owners[i]
		was, had := u.owners[ip]
		switch {
		case owner < 0 && had:
			e.warnIf(e.objects.DeleteOwner(ip))
			delete(u.owners, ip)
		case owner >= 0 && (!had || was != u.members[owner].number):
			e.warnIf(e.objects.SetOwner(ip, u.members[owner].number))
			u.owners[ip] = u.members[owner].number
		}
	}
}

// prepareAll prepares the contingencies of all groups anew.
func (e *engine) prepareAll() {
	d := e.desired()
	o := observed(e.watcher.Snapshot(), d)
	// What the host will be once everything that is wanted now is done.
	settled := o.With(addr.Plan(d, o))
	for i, u := range e.units {
		e.prepare(u, i, d, settled)
	}
}

// prepare computes and encodes what the failure of each usable member of a group will do, for the
// present generation of its words.
func (e *engine) prepare(u *unit, position int, d addr.Desired, settled addr.Observed) {
	next := &contingencies{}
	for f := range next.generation {
		word := bpf.ReadWord(&e.tracks[bpf.TrackNumber(u.slot, f)])
		next.generation[f], next.usable[f] = word.Generation, word.Usable
	}
	now := u.placed()
	for _, m := range u.members {
		bit := uint32(1) << m.bit
		for which := range bothFamilies + 1 {
			usable := next.usable[0] | next.usable[1]
			family, afterFamily := group.Both, addr.Both
			if which < bothFamilies {
				usable, family, afterFamily = next.usable[which], group.Family(which), which
			}
			if usable&bit == 0 {
				continue
			}
			then := u.inUse(u.state.Contingency(m.index, family).Owners)
			after := addr.After(d, position, m.index, afterFamily, then)
			c := &contingency{announced: e.announcements(u, settled, now, then)}
			batch, err := e.applier.Prepare(addr.Plan(after, settled), addr.Frames(c.announced))
			if err != nil {
				e.log.Error("a contingency could not be prepared; this failover will be slower",
					"interface", m.cfg.Name, "error", err)
				continue
			}
			c.batch = batch
			c.current = e.fast.stillCurrent(u.slot, which, next)
			next.member[m.bit][which] = c
		}
	}
	e.fast.groups[u.slot].Store(next)
}

// desired is what is wanted of the host, of all groups.
func (e *engine) desired() addr.Desired {
	var d addr.Desired
	for _, u := range e.units {
		d.Groups = append(d.Groups, u.desired())
	}
	d.Found = e.undo.Addresses
	for _, l := range e.leaving {
		if l.m.ifindex != 0 {
			d.Leaving = append(d.Leaving, addr.Leaving{Name: l.m.cfg.Name, Index: l.m.ifindex})
		}
	}
	d.Leaving = append(d.Leaving, e.renamed()...)
	return d
}

// announcements of the addresses whose owner differs between two placements.
func (e *engine) announcements(u *unit, o addr.Observed, from, to []int) []addr.Announcement {
	var out []addr.Announcement
	for i := range to {
		if to[i] >= 0 && to[i] != from[i] {
			if a, ok := e.announcement(u, o, i, to[i]); ok {
				out = append(out, a)
			}
		}
	}
	return out
}

func (e *engine) announcement(u *unit, o addr.Observed, address, owner int) (addr.Announcement, bool) {
	m := u.members[owner]
	if m.ifindex == 0 {
		return addr.Announcement{}, false
	}
	ip := u.cfg.Addresses[address].Prefix.Addr()
	return addr.Announcement{
		Address: ip, Link: m.ifindex, MAC: m.mac,
		Router:    ip.Is6() && o.Sysctls["net/ipv6/conf/"+m.cfg.Name+"/forwarding"] == "1",
		Neighbors: e.neighbors(u, o, ip.Is4()),
		Policy:    u.desired().Announce,
	}, true
}

// neighbors to be told personally: gateways first, then the others that some member has in use.
func (e *engine) neighbors(u *unit, o addr.Observed, ipv4 bool) []addr.Neighbor {
	gateways := map[netip.Addr]bool{}
	for _, r := range u.desired().Routes {
		gateways[r.Via] = true
	}
	links := map[int]bool{}
	for _, m := range u.members {
		links[m.ifindex] = m.ifindex != 0
	}
	own := map[netip.Addr]bool{}
	for _, a := range o.Addresses {
		own[a.Prefix.Addr()] = true
	}
	const inUse = unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE | unix.NUD_PERMANENT
	seen := map[addr.Neighbor]bool{}
	var first, rest []addr.Neighbor
	for _, n := range o.Neighbors {
		entry := addr.Neighbor{IP: n.IP, MAC: n.MAC}
		if !links[n.Link] || n.IP.Is4() != ipv4 || n.MAC == (addr.MAC{}) || n.State&inUse == 0 ||
			n.IP.IsMulticast() || own[n.IP] || seen[entry] {
			continue
		}
		seen[entry] = true
		if gateways[n.IP] {
			first = append(first, entry)
		} else {
			rest = append(rest, entry)
		}
	}
	all := append(first, rest...)
	return all[:min(len(all), addr.MaxUnicast)]
}
