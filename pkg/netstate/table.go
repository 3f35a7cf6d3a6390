// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// table is what the watcher knows. Links, addresses and neighbours follow their messages. Routes
// and nexthops are listed anew instead: the kernel deletes them without a message when a link
// goes down, a nexthop is deleted or a preferred source goes.
type table struct {
	links     map[int]Link
	addresses map[addressKey]numbered
	neighbors map[neighborKey]Neighbor
	routes    []Route
	nexthops  []Nexthop
	count     uint64
}

type addressKey struct {
	link   int
	prefix netip.Prefix
	peer   netip.Addr
}

type neighborKey struct {
	link int
	ip   netip.Addr
}

// numbered keeps the kernel's order.
type numbered struct {
	Address
	number uint64
}

func (t *table) setLinks(list []Link) {
	t.links = make(map[int]Link, len(list))
	for _, l := range list {
		t.links[l.Index] = l
	}
}

func (t *table) setAddresses(list []Address) {
	t.addresses = make(map[addressKey]numbered, len(list))
	for _, x := range list {
		t.addAddress(x)
	}
}

func (t *table) setNeighbors(list []Neighbor) {
	t.neighbors = make(map[neighborKey]Neighbor, len(list))
	for _, n := range list {
		t.neighbors[neighborKey{n.Link, n.IP}] = n
	}
}

func (t *table) addAddress(x Address) {
	key := addressKey{x.Link, x.Prefix, x.Peer}
	if x.Valid != Forever || x.Preferred != Forever {
		x.At = boottime()
	}
	old, ok := t.addresses[key]
	if !ok {
		t.count++
		old.number = t.count
	}
	t.addresses[key] = numbered{x, old.number}
}

func boottime() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return ts.Nano()
}

func (t *table) deleteAddress(x Address) {
	delete(t.addresses, addressKey{x.Link, x.Prefix, x.Peer})
}

// addLink says what else a link message changes silently.
func (t *table) addLink(l Link) Change {
	old, known := t.links[l.Index]
	t.links[l.Index] = l
	if !known || old.Up != l.Up || old.Carrier != l.Carrier || old.LowerUp != l.LowerUp || old.Master != l.Master {
		return Links | Routes | Nexthops
	}
	return Links
}

func (t *table) deleteLink(index int) Change {
	delete(t.links, index)
	maps.DeleteFunc(t.addresses, func(k addressKey, _ numbered) bool { return k.link == index })
	maps.DeleteFunc(t.neighbors, func(k neighborKey, _ Neighbor) bool { return k.link == index })
	return All
}

func (t *table) snapshot() *Snapshot {
	s := &Snapshot{
		Links: slices.SortedFunc(maps.Values(t.links), func(a, b Link) int { return cmp.Compare(a.Index, b.Index) }),
		Neighbors: slices.SortedFunc(maps.Values(t.neighbors), func(a, b Neighbor) int {
			return cmp.Or(cmp.Compare(a.Link, b.Link), a.IP.Compare(b.IP))
		}),
		Routes: t.routes, Nexthops: t.nexthops,
	}
	ordered := slices.SortedFunc(maps.Values(t.addresses), func(a, b numbered) int {
		return cmp.Or(cmp.Compare(a.Link, b.Link), cmp.Compare(a.number, b.number))
	})
	s.Addresses = make([]Address, len(ordered))
	for i := range ordered {
		s.Addresses[i] = ordered[i].Address
	}
	return s
}

func sortRoutes(list []Route) {
	slices.SortStableFunc(list, func(a, b Route) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), a.Dst.Addr().Compare(b.Dst.Addr()),
			cmp.Compare(a.Dst.Bits(), b.Dst.Bits()), cmp.Compare(a.Metric, b.Metric))
	})
}

func sortNexthops(list []Nexthop) {
	slices.SortFunc(list, func(a, b Nexthop) int { return cmp.Compare(a.ID, b.ID) })
}

// sameRoute: all but the remaining lifetime, which always differs.
func sameRoute(a, b Route) bool {
	if !slices.Equal(a.Hops, b.Hops) {
		return false
	}
	return a.Table == b.Table && a.Dst == b.Dst && a.Metric == b.Metric && a.Protocol == b.Protocol &&
		a.Scope == b.Scope && a.TOS == b.TOS && a.Flags == b.Flags && a.Src == b.Src &&
		a.NexthopID == b.NexthopID && a.MTU == b.MTU &&
		a.Metrics == b.Metrics && a.Special == b.Special && (a.Expires == Forever) == (b.Expires == Forever)
}

func sameNexthop(a, b Nexthop) bool {
	return a.ID == b.ID && a.Family == b.Family && a.Protocol == b.Protocol && a.Link == b.Link &&
		a.Gateway == b.Gateway && a.Flags == b.Flags && slices.Equal(a.Group, b.Group) && slices.Equal(a.Weights, b.Weights) &&
		a.Resilient == b.Resilient && a.Blackhole == b.Blackhole
}
