// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// TestPlanFromAnywhere starts from any host and any wish, and looks at every step.
func TestPlanFromAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		before := w.k.observed()
		ops := Plan(w.d, before)
		w.holds(t, ops)

		after := w.k.observed()
		require.Equal(t, after, before.With(ops), "With is what happens step by step")
		require.Empty(t, Plan(w.d, after), "a second plan finds nothing to do; host:\n%s", w.k)
		w.reached(t)

		// And on: a member fails, first in the plan of the contingency, then in fact.
		g := rapid.IntRange(0, len(w.d.Groups)-1).Draw(t, "failing group")
		group := w.d.Groups[g]
		member := rapid.IntRange(0, len(group.Members)-1).Draw(t, "failing member")
		owners := make([]int, len(group.Addresses))
		for i, a := range group.Addresses {
			owners[i] = a.Member
			if a.Member == member {
				owners[i] = rapid.IntRange(-1, len(group.Members)-1).Draw(t, "new owner")
			}
		}
		contingency := Plan(failed(w.d, g, member, Both, owners), before.With(ops))
		require.Equal(t, messages(contingency), messages(planPart(w.d, before.With(ops), g, member, Both, owners)),
			"planned of the part that it is in; host:\n%s", w.k)
		w.d = failed(w.d, g, member, Both, owners)
		require.Equal(t, contingency, Plan(w.d, w.k.observed()), "prepared ahead or planned at the failure")
		w.holds(t, contingency)
		require.Empty(t, Plan(w.d, w.k.observed()), "a second plan finds nothing to do; host:\n%s", w.k)
		w.reached(t)

		// Then everything fails: nothing moves, nothing is taken away.
		for i := range w.d.Groups {
			w.d.Groups[i].Members = slices.Clone(w.d.Groups[i].Members)
			for j := range w.d.Groups[i].Members {
				m := &w.d.Groups[i].Members[j]
				m.Usable, m.Active = [2]bool{}, [2]bool{}
			}
		}
		require.Empty(t, Plan(w.d, w.k.observed()), "nobody is usable; host:\n%s", w.k)
	})
}

// world is a wish and a host.
type world struct {
	d Desired
	k *kernel
	// foreignHops says that somebody else has taken some of our ids.
	foreignHops bool
}

var (
	names  = []string{"hme0", "hme1", "hme2", "qfe0", "qfe1", "eth9"} // eth9 is in no group
	vias   = []string{"192.0.2.1", "192.0.2.2", "198.51.100.1", "2001:db8::1", "fe80::1"}
	bits   = map[byte]string{1: "192.0.2.%d/24", 2: "198.51.100.%d/25", 3: "2001:db8::%d/64", 4: "192.0.2.%d/32"}
	prefix = netip.MustParsePrefix
)

func drawWorld(t *rapid.T) *world {
	k := newKernel(names...)
	flip := func(label string) bool { return rapid.Bool().Draw(t, label) }
	number := func(from, to int, label string) int { return rapid.IntRange(from, to).Draw(t, label) }
	if flip("lo down") {
		k.dropAddress(0)
	}
	for i := range k.list[1:6] {
		i++
		if number(0, 5, "link missing") == 0 {
			delete(k.links, k.list[i].Index)
		} else if number(0, 5, "link down") == 0 {
			k.setCarrier(k.list[i].Name, false)
		}
	}
	k.list = slices.DeleteFunc(k.list, func(l HostLink) bool { _, ok := k.links[l.Index]; return !ok })
	values := rapid.SliceOfN(rapid.IntRange(0, 2), len(k.sysctls), len(k.sysctls)).Draw(t, "sysctls")
	for i, key := range slices.Sorted(maps.Keys(k.sysctls)) {
		k.sysctls[key] = fmt.Sprint(values[i])
	}

	w := &world{k: k}
	next := 10 // addresses are named once
	address := func(kinds int) netip.Prefix {
		next++
		return prefix(fmt.Sprintf(bits[byte(number(1, kinds, "subnet"))], next))
	}
	for slot, members := range [][]string{names[:3], names[3:5]}[:number(1, 2, "groups")] {
		g := Group{Slot: slot, Spread: flip("spread")}
		for _, name := range members {
			m := Member{Name: name, Index: k.index(name), MAC: MAC{2, 0, 0, 0, 0, byte(k.index(name))}, Link: k.links[k.index(name)].Carrier}
			for f := range 2 {
				m.Usable[f] = m.Link && flip("usable")
				m.Active[f] = m.Usable[f] && flip("active")
			}
			for range number(0, 2, "tests") {
				m.Tests = append(m.Tests, address(3))
			}
			g.Members = append(g.Members, m)
		}
		for range number(0, 4, "addresses") {
			g.Addresses = append(g.Addresses, Address{Prefix: address(4), Member: number(-1, len(members)-1, "owner")})
		}
		for range number(0, 3, "routes") {
			via := netip.MustParseAddr(rapid.SampledFrom(vias).Draw(t, "via"))
			r := Route{To: prefix("0.0.0.0/0"), Via: via, Metric: uint32(number(0, 1, "metric"))}
			if via.Is6() {
				r.To = prefix("::/0")
			} else if flip("several gateways") {
				weight := number(1, 3, "weight")
				r.Via, r.Hops = spread([]Hop{{Via: via, Weight: 1}, {Via: netip.MustParseAddr("192.0.2.3"), Weight: weight}})
			}
			if len(g.Addresses) > 0 && flip("src") {
				r.Src = rapid.SampledFrom(g.Addresses).Draw(t, "src address").Prefix.Addr()
			}
			g.Routes = append(g.Routes, r)
		}
		w.d.Groups = append(w.d.Groups, g)
	}
	w.drawHost(t, address)
	if len(k.observed().Addresses) > 0 {
		w.drawSources(t)
	}
	return w
}

// drawHost puts addresses of all origins on all links, then what is left of earlier runs and what
// others did.
func (w *world) drawHost(t *rapid.T, address func(int) netip.Prefix) {
	k := w.k
	var pool []netip.Prefix
	for _, g := range w.d.Groups {
		for _, a := range g.Addresses {
			pool = append(pool, a.Prefix)
		}
		for _, m := range g.Members {
			pool = append(pool, m.Tests...)
		}
	}
	for range 3 {
		pool = append(pool, address(4)) // foreign, or named by an earlier file
	}
	for range rapid.IntRange(0, 10).Draw(t, "host addresses") {
		l := rapid.SampledFrom(k.list[1:]).Draw(t, "on link")
		flags := rapid.SampledFrom([]uint32{0, unix.IFA_F_NOPREFIXROUTE, unix.IFA_F_DEPRECATED | unix.IFA_F_NOPREFIXROUTE}).Draw(t, "flags")
		proto := rapid.SampledFrom([]uint8{0, Protocol, 3}).Draw(t, "proto")
		if proto == Protocol {
			flags |= unix.IFA_F_NOPREFIXROUTE
		}
		k.addForeign(l.Name, rapid.SampledFrom(pool).Draw(t, "host address").String(), flags, proto)
	}
	for range rapid.IntRange(0, 8).Draw(t, "host nexthops") {
		l := rapid.SampledFrom(k.list[1:]).Draw(t, "nexthop link")
		id := nexthopID(rapid.IntRange(0, 1).Draw(t, "slot"), rapid.IntRange(0, 1).Draw(t, "family"), rapid.IntRange(0, 1).Draw(t, "gateway"), rapid.IntRange(0, 3).Draw(t, "what"))
		_ = k.apply(&Op{Kind: SetNexthop, ID: id, Link: l.Index})
		_ = k.apply(&Op{Kind: SetNexthopGroup, ID: id&^63 | idGroup + uint32(rapid.IntRange(0, 1).Draw(t, "standing")), Hops: []uint32{id}})
	}
	for range rapid.IntRange(0, 6).Draw(t, "host routes") {
		a := rapid.SampledFrom(pool).Draw(t, "route subnet")
		r := HostRoute{Table: 254, To: a.Masked(), Link: rapid.SampledFrom(k.list[1:]).Draw(t, "route link").Index,
			Protocol: rapid.SampledFrom([]uint8{unix.RTPROT_STATIC, unix.RTPROT_BIRD, unix.RTPROT_DHCP}).Draw(t, "protocol"),
			Metric:   uint32(rapid.IntRange(0, 1).Draw(t, "route metric"))}
		if rapid.Bool().Draw(t, "default") {
			r.To = netip.PrefixFrom(a.Addr(), 0).Masked()
		}
		if rapid.Bool().Draw(t, "several hops") {
			r.Hops = HopsOf([]Hop{{Link: r.Link, Weight: 1}, {Link: rapid.SampledFrom(k.list[1:]).Draw(t, "other link").Index, Weight: 2}})
		}
		family := familyOf(a.Addr())
		group := nexthopID(rapid.IntRange(0, 1).Draw(t, "route slot"), family, 0, idGroup)
		if _, ok := k.nexthops[group]; ok && rapid.Bool().Draw(t, "ours") {
			r.Protocol, r.NHID, r.Link, r.Hops = Protocol, group, 0, ""
			if family == 0 {
				r.Scope = unix.RT_SCOPE_LINK
			}
		}
		if !slices.Contains(k.routes[keyOf(r)], r) {
			k.insertRoute(r)
		}
	}
	if rapid.Bool().Draw(t, "foreign nexthop") {
		id := nexthopID(0, 0, 0, rapid.SampledFrom([]int{0, 1, idGroup}).Draw(t, "foreign id"))
		if _, taken := k.nexthops[id]; !taken {
			w.foreignHops = true
			k.nexthops[id] = HostNexthop{ID: id, Protocol: unix.RTPROT_ZEBRA, Link: 1}
		}
	}
	for range rapid.IntRange(0, 6).Draw(t, "neighbours") {
		n := HostNeighbor{Link: rapid.SampledFrom(k.list[1:]).Draw(t, "neighbour link").Index,
			IP:    netip.MustParseAddr(rapid.SampledFrom(append(vias, "192.0.2.200", "10.9.9.9", "fe80::77")).Draw(t, "neighbour")),
			MAC:   MAC{2, 1, 0, 0, 0, byte(rapid.IntRange(0, 1).Draw(t, "mac"))},
			State: rapid.SampledFrom([]uint16{unix.NUD_REACHABLE, unix.NUD_STALE, unix.NUD_DELAY, unix.NUD_PROBE, unix.NUD_FAILED, unix.NUD_PERMANENT}).Draw(t, "state")}
		k.neighbors[linkIP{n.Link, n.IP}] = n
	}
}

// drawSources lets routes prefer an address of the host that the file may name no more, as adopted ones do.
func (w *world) drawSources(t *rapid.T) {
	list := w.k.observed().Addresses
	for g := range w.d.Groups {
		for i := range w.d.Groups[g].Routes {
			if rapid.IntRange(0, 2).Draw(t, "src of the host") == 0 {
				w.d.Groups[g].Routes[i].Src = rapid.SampledFrom(list).Draw(t, "host src").Prefix.Addr()
			}
		}
	}
}

// foreign is the part of the host that nobody gave us a say in.
func (w *world) foreign() (list []string) {
	members := map[int]bool{}
	named := map[netip.Addr]bool{}
	for _, g := range w.d.Groups {
		for _, m := range g.Members {
			members[m.Index] = true
		}
		for _, a := range g.Addresses {
			named[a.Prefix.Addr()] = true
		}
	}
	o := w.k.observed()
	for _, a := range o.Addresses {
		if a.Proto != Protocol && (!named[a.Prefix.Addr()] || !members[a.Link]) {
			list = append(list, fmt.Sprint("address ", a.Link, a.Prefix, a.Proto))
		}
	}
	for _, r := range o.Routes {
		if r.Protocol != Protocol && (r.Protocol == unix.RTPROT_BIRD || !members[r.Link]) {
			list = append(list, fmt.Sprint("route ", r))
		}
	}
	for _, n := range o.Nexthops {
		if n.Protocol != Protocol {
			list = append(list, fmt.Sprint("nexthop ", n))
		}
	}
	for _, n := range o.Neighbors {
		if n.State == unix.NUD_PERMANENT || !members[n.Link] {
			list = append(list, fmt.Sprint("neighbour ", n))
		}
	}
	slices.Sort(list)
	return list
}

// holds lets the operations happen one by one: none is refused, no address of ours is nowhere
// that was somewhere, no configured route is absent that was there, what is foreign stays.
func (w *world) holds(t *rapid.T, ops []Op) {
	foreign := w.foreign()
	there := map[netip.Addr]bool{}
	for _, g := range w.d.Groups {
		for _, a := range g.Addresses {
			there[a.Prefix.Addr()] = len(w.k.byIP[a.Prefix.Addr()]) > 0
		}
	}
	final := w.k.observed().With(ops)
	kept := map[routeKey]bool{}
	for _, r := range final.Routes {
		// The kernel's own come and go with primary addresses, where ours cannot stand in for them.
		if r.Protocol != unix.RTPROT_KERNEL && len(w.k.routes[keyOf(r)]) > 0 {
			kept[keyOf(r)] = true
		}
	}
	for i := range ops {
		step := w.k.run(t, ops[i:i+1])
		for ip, was := range there {
			require.True(t, !was || len(w.k.byIP[ip]) > 0, "%s is nowhere after %s", ip, step)
			there[ip] = len(w.k.byIP[ip]) > 0
		}
		for key := range kept {
			require.NotEmpty(t, w.k.routes[key], "route %v interrupted by %s", key, step)
		}
		for id, n := range w.k.nexthops {
			require.True(t, id&63 < idGroup || len(n.Hops) > 0 || n.Protocol != Protocol, "empty group %s after %s", nhid(id), step)
		}
	}
	// The kernel may add a route, for an address of others that ours has made the primary one.
	require.Subset(t, w.foreign(), foreign, "what is foreign has changed")
}

// reached says that the host is what was wished for.
func (w *world) reached(t *rapid.T) {
	tests := map[netip.Addr]bool{}
	members := map[int]bool{}
	for _, g := range w.d.Groups {
		for _, m := range g.Members {
			_, exists := w.k.links[m.Index]
			members[m.Index] = exists
			for _, p := range m.Tests {
				tests[p.Addr()] = true
				require.True(t, !exists || w.k.has(m.Index, p), "test address %s is missing on %s\n%s", p, m.Name, w.k)
			}
		}
	}
	for _, g := range w.d.Groups {
		for _, a := range g.Addresses {
			if a.Member < 0 || !members[g.Members[a.Member].Index] {
				continue
			}
			owner := g.Members[a.Member].Index
			require.True(t, w.k.has(owner, a.Prefix), "%s is not on %s", a.Prefix, g.Members[a.Member].Name)
			for _, i := range w.k.byIP[a.Prefix.Addr()] {
				link := w.k.addrs[i].Link
				require.True(t, link == owner || !members[link], "%s has a second copy on %d", a.Prefix, link)
			}
		}
	}
	claimed := map[netip.Prefix]bool{} // by the first group that has an address there
	for _, g := range w.d.Groups {
		sends := slices.ContainsFunc(g.Members, func(m Member) bool { return m.Link && w.k.links[m.Index].Carrier })
		for _, a := range g.Addresses {
			if !w.foreignHops && !a.Prefix.IsSingleIP() && w.k.source(a.Prefix.Addr()) {
				require.True(t, !sends || claimed[a.Prefix.Masked()] || len(w.k.routes[g.connectedKey(a.Prefix)]) > 0,
					"no connected route of %s\n%s", a.Prefix, w.k)
				claimed[a.Prefix.Masked()] = true
			}
		}
	}
	for _, list := range w.k.routes {
		for _, r := range list {
			if r.Protocol == Protocol {
				require.False(t, tests[r.Src], "a test address is the source of %s", w.k.route(r))
				require.NotEmpty(t, w.k.nexthops[r.NHID].Hops, w.k.route(r))
			}
		}
	}
}
