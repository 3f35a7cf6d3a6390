// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"cmp"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// maxMirrored is how many neighbours of a group are mirrored to each member.
const maxMirrored = 256

// Neighbors returns the entries that members lack of what another member of their group knows:
// gateways and neighbours in use, of the group's subnets. A switch then costs no resolution. Plan
// includes them; on neighbour news alone this is enough, and the caller limits its rate.
//
// Entries are entered as reachable and age like learnt ones. An administrator's permanent entry is
// never changed. Of two MACs for one IP the younger wins, and where neither is, nothing is done.
func Neighbors(d Desired, o Observed) []Op {
	own := make(map[netip.Addr]bool, len(o.Addresses))
	for _, a := range o.Addresses {
		own[a.Prefix.Addr()] = true
	}
	links := make(map[int]HostLink, len(o.Links))
	for _, l := range o.Links {
		links[l.Index] = l
	}
	byLink := make(map[int][]HostNeighbor)
	for _, n := range o.Neighbors {
		byLink[n.Link] = append(byLink[n.Link], n)
	}
	for _, g := range d.Groups {
		for _, a := range g.Addresses {
			own[a.Prefix.Addr()] = true
		}
		for _, m := range g.Members {
			for _, t := range m.Tests {
				own[t.Addr()] = true
			}
		}
	}
	var ops []Op
	for i := range d.Groups {
		mi := mirror{g: &d.Groups[i], own: own, links: links, best: make(map[netip.Addr]HostNeighbor),
			has: make(map[linkIP]HostNeighbor), failing: make(map[netip.Addr]bool)}
		ops = mi.ops(ops, byLink)
	}
	return ops
}

// mirror is one group's.
type mirror struct {
	g       *Group
	own     map[netip.Addr]bool
	links   map[int]HostLink
	subnets map[netip.Prefix]bool
	lengths []int // those that occur in subnets
	best    map[netip.Addr]HostNeighbor
	has     map[linkIP]HostNeighbor
	// failing are those that some member cannot reach or is asking for: an entry that merely has
	// not been doubted yet must not stand in the way of the answer.
	failing map[netip.Addr]bool
}

func (mi *mirror) ops(ops []Op, byLink map[int][]HostNeighbor) []Op {
	routers := make(map[netip.Addr]bool)
	for _, r := range mi.g.Routes {
		if r.Via.IsValid() {
			routers[r.Via] = true
		}
	}
	mi.findSubnets()
	for i := range mi.g.Members {
		for _, n := range byLink[mi.g.Members[i].Index] {
			if n.Link == 0 || mi.own[n.IP] || !routers[n.IP] && !mi.onLink(n.IP) {
				continue
			}
			mi.has[linkIP{n.Link, n.IP}] = n
			if n.State&(unix.NUD_FAILED|unix.NUD_INCOMPLETE|unix.NUD_PROBE) != 0 {
				mi.failing[n.IP] = true
			}
			if was, known := mi.best[n.IP]; inUse(n) && (!known || better(n, was)) {
				mi.best[n.IP] = n
			}
		}
	}
	list := make([]HostNeighbor, 0, len(mi.best))
	disputed := make(map[netip.Addr]bool)
	for at, n := range mi.has {
		if best := mi.best[at.ip]; inUse(n) && n.MAC != best.MAC && !better(best, n) {
			disputed[at.ip] = true
		}
	}
	for ip, n := range mi.best {
		if disputed[ip] {
			continue
		}
		if !mi.failing[ip] || rank(n.State) >= rank(unix.NUD_REACHABLE) {
			list = append(list, n)
		}
	}
	slices.SortFunc(list, func(a, b HostNeighbor) int {
		if routers[a.IP] != routers[b.IP] {
			if routers[a.IP] {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(rank(b.State), rank(a.State)), a.IP.Compare(b.IP))
	})
	for i := range mi.g.Members {
		m := &mi.g.Members[i]
		if l, ok := mi.links[m.Index]; !ok || !l.Up || !l.Carrier {
			continue
		}
		for _, n := range list[:min(len(list), maxMirrored)] {
			if why := mi.lacks(m, n); why != "" {
				ops = append(ops, Op{Kind: AddNeighbor, Group: mi.g.Slot, Link: m.Index, LinkName: m.Name, IP: n.IP, MAC: n.MAC, Why: why})
			}
		}
	}
	return ops
}

// lacks is the reason to enter n on m, "" for none.
func (mi *mirror) lacks(m *Member, n HostNeighbor) string {
	there, exists := mi.has[linkIP{m.Index, n.IP}]
	switch {
	case n.MAC == m.MAC || n.MAC == mi.links[m.Index].MAC:
		return ""
	case !exists || there.MAC == (MAC{}) || there.State&(unix.NUD_FAILED|unix.NUD_INCOMPLETE) != 0:
		return "neighbour in use on another member"
	case there.MAC == n.MAC || there.State&(unix.NUD_PERMANENT|unix.NUD_NOARP) != 0:
		return ""
	}
	return "another member knows a newer MAC"
}

func (mi *mirror) findSubnets() {
	mi.subnets = make(map[netip.Prefix]bool)
	add := func(p netip.Prefix) {
		if p.IsSingleIP() || p.Addr().IsLinkLocalUnicast() {
			return
		}
		mi.subnets[p.Masked()] = true
		if !slices.Contains(mi.lengths, p.Bits()) {
			mi.lengths = append(mi.lengths, p.Bits())
		}
	}
	for _, a := range mi.g.Addresses {
		add(a.Prefix)
	}
	for _, m := range mi.g.Members {
		for _, t := range m.Tests {
			add(t)
		}
	}
}

// onLink says whether ip is a neighbour of one of the group's subnets.
func (mi *mirror) onLink(ip netip.Addr) bool {
	return slices.ContainsFunc(mi.lengths, func(bits int) bool {
		p, err := ip.Prefix(bits)
		return err == nil && mi.subnets[p]
	})
}

// rank orders the states in use: what an administrator says, what answered lately, the rest.
func rank(state uint16) int {
	switch {
	case state&unix.NUD_PERMANENT != 0:
		return 4
	case state&unix.NUD_REACHABLE != 0:
		return 3
	case state&unix.NUD_DELAY != 0:
		return 2
	case state&unix.NUD_STALE != 0:
		return 1
	}
	return 0
}

// inUse says whether the entry may be mirrored: in use, with the MAC of one station.
func inUse(n HostNeighbor) bool {
	return rank(n.State) > 0 && n.MAC != MAC{} && n.MAC[0]&1 == 0
}

// better says whether a tells more than b of where their IP is.
func better(a, b HostNeighbor) bool {
	if a.MAC != b.MAC && a.Age != b.Age {
		return a.Age < b.Age
	}
	return rank(a.State) > rank(b.State)
}
