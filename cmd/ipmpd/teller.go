// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// teller makes the announcements of a group. What they have in common is looked up once.
type teller struct {
	u      *unit
	host   addr.Observed
	wish   addr.Group
	own    map[netip.Addr]bool
	told   map[bool][]addr.Neighbor // by whether it is of IPv4
	router map[*member]bool
}

func (e *engine) teller(u *unit, host addr.Observed) *teller {
	return &teller{u: u, host: host, wish: u.desired(), told: map[bool][]addr.Neighbor{}, router: map[*member]bool{}}
}

// announcements of the addresses whose owner differs between two placements.
func (e *engine) announcements(u *unit, o addr.Observed, from, to []int) []addr.Announcement {
	return e.teller(u, o).all(from, to)
}

func (t *teller) all(from, to []int) (out []addr.Announcement) {
	for i, owner := range to {
		if owner >= 0 && owner != from[i] {
			out = t.one(out, i, owner)
		}
	}
	return out
}

// one address on its owner, appended to out if that exists.
func (t *teller) one(out []addr.Announcement, address, owner int) []addr.Announcement {
	m, ip := t.u.members[owner], t.u.cfg.Addresses[address].Prefix.Addr()
	if m.ifindex == 0 {
		return out
	}
	return append(out, addr.Announcement{
		Address: ip, Link: m.ifindex, MAC: m.mac, Router: ip.Is6() && t.forwards(m),
		Neighbors: t.neighbors(ip.Is4()), Policy: t.wish.Announce})
}

// forwards: the member does, so its neighbour advertisements say router (RFC 4861 7.2.5).
func (t *teller) forwards(m *member) bool {
	is, known := t.router[m]
	if !known {
		key := "net/ipv6/conf/" + m.cfg.Name + "/forwarding"
		is = netstate.Sysctls([]string{key})[key] == "1"
		t.router[m] = is
	}
	return is
}

// routes says whether a member's announcements of IPv6 addresses say router; false where the group has none.
func (t *teller) routes(i int) bool {
	return t.u.side[1].used && t.forwards(t.u.members[i])
}

// neighbors to be told personally: gateways first, then the others that some member has in use.
func (t *teller) neighbors(ipv4 bool) []addr.Neighbor {
	if list, known := t.told[ipv4]; known {
		return list
	}
	if t.own == nil {
		t.own = make(map[netip.Addr]bool, len(t.host.Addresses))
		for i := range t.host.Addresses {
			t.own[t.host.Addresses[i].Prefix.Addr()] = true
		}
	}
	gateways, links := map[netip.Addr]bool{}, map[int]bool{}
	for _, r := range t.wish.Routes {
		gateways[r.Via] = true
	}
	for _, m := range t.u.members {
		links[m.ifindex] = m.ifindex != 0
	}
	const inUse = unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE | unix.NUD_PERMANENT
	seen := map[addr.Neighbor]bool{}
	var first, rest []addr.Neighbor
	for i := range t.host.Neighbors {
		n := &t.host.Neighbors[i]
		entry := addr.Neighbor{IP: n.IP, MAC: n.MAC}
		if !links[n.Link] || n.IP.Is4() != ipv4 || n.MAC == (addr.MAC{}) || n.State&inUse == 0 ||
			n.IP.IsMulticast() || t.own[n.IP] || seen[entry] {
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
	t.told[ipv4] = all[:min(len(all), addr.MaxUnicast)]
	return t.told[ipv4]
}
