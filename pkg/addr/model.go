// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// model is the host as Plan thinks with it: Observed in maps, and operations have on it the
// effects that they have in the kernel (model_apply.go), the unwanted ones too. Each of these was
// seen on Linux 6.18.
type model struct {
	links map[int]HostLink
	// addrs in the kernel's order; one that is gone has Link 0.
	addrs []HostAddress
	at    map[linkPrefix]int
	// listed are those that were there at first.
	listed int
	// byIP are indexes into addrs, of all links.
	byIP map[netip.Addr][]int
	// bySubnet are indexes into addrs by link and masked prefix; the first that is alive is the
	// primary one.
	bySubnet map[linkPrefix][]int
	routes   map[routeKey][]HostRoute
	// keys are those of routes, in the kernel's order.
	keys []routeKey
	// ipv4 counts the IPv4 addresses.
	ipv4 int
	// sources counts the routes that prefer a source.
	sources   map[netip.Addr]int
	nexthops  map[uint32]HostNexthop
	neighbors map[linkIP]HostNeighbor
	sysctls   map[string]string
}

type linkPrefix struct {
	link   int
	prefix netip.Prefix
}

type linkIP struct {
	link int
	ip   netip.Addr
}

// routeKey is what a route is found by; another one with the same key is behind it or replaces it.
type routeKey struct {
	table  uint32
	to     netip.Prefix
	metric uint32
}

func newModel(o *Observed) *model {
	m := &model{
		links:     make(map[int]HostLink, len(o.Links)),
		addrs:     make([]HostAddress, 0, len(o.Addresses)+len(o.Addresses)/2), // some that are added
		at:        make(map[linkPrefix]int, len(o.Addresses)),
		byIP:      make(map[netip.Addr][]int, len(o.Addresses)),
		bySubnet:  make(map[linkPrefix][]int),
		routes:    make(map[routeKey][]HostRoute, len(o.Routes)),
		sources:   make(map[netip.Addr]int),
		nexthops:  make(map[uint32]HostNexthop, len(o.Nexthops)),
		neighbors: make(map[linkIP]HostNeighbor, len(o.Neighbors)),
		sysctls:   maps.Clone(o.Sysctls),
	}
	for _, l := range o.Links {
		m.links[l.Index] = l
	}
	singles := make([]int, len(o.Addresses))
	for i, a := range o.Addresses {
		if ip := a.Prefix.Addr(); m.byIP[ip] == nil {
			m.byIP[ip] = singles[i : i : i+1] // most have one place, and need no list of their own
		}
		m.addAddress(a)
	}
	m.listed = len(m.addrs)
	for _, r := range o.Routes {
		if r.NHID != 0 { // the kernel tells its hops too
			r.Via, r.Link, r.Hops, r.Flags, r.Special = netip.Addr{}, 0, "", 0, false
		}
		m.insertRoute(r)
	}
	for _, n := range o.Nexthops {
		n.Weights = evenly(n.Weights)
		m.nexthops[n.ID] = n
	}
	for _, n := range o.Neighbors {
		m.neighbors[linkIP{n.Link, n.IP}] = n
	}
	return m
}

// observed is the way back. Links are not changed by operations.
func (m *model) observed(links []HostLink) Observed {
	o := Observed{Links: links, Sysctls: m.sysctls}
	for i, a := range slices.Backward(m.addrs) {
		if a.Link != 0 && i >= m.listed && a.Prefix.Addr().Is6() {
			o.Addresses = append(o.Addresses, a)
		}
	}
	// Of IPv4, primary ones first.
	secondary := func(a *HostAddress) bool { return a.Prefix.Addr().Is4() && a.Flags&unix.IFA_F_SECONDARY != 0 }
	for _, second := range []bool{false, true} {
		for i := range m.addrs {
			a := &m.addrs[i]
			if a.Link != 0 && (i < m.listed || a.Prefix.Addr().Is4()) && secondary(a) == second {
				o.Addresses = append(o.Addresses, *a)
			}
		}
	}
	o.SortAddresses()
	for _, key := range m.keys {
		o.Routes = append(o.Routes, m.routes[key]...)
	}
	for _, id := range slices.Sorted(maps.Keys(m.nexthops)) {
		o.Nexthops = append(o.Nexthops, m.nexthops[id])
	}
	for _, n := range m.neighbors {
		o.Neighbors = append(o.Neighbors, n)
	}
	sortNeighbors(o.Neighbors)
	return o
}

// SortAddresses by interface and family, and leaves the kernel's order within these: of all others nothing
// follows, and two hosts can be compared.
func (o *Observed) SortAddresses() {
	slices.SortStableFunc(o.Addresses, func(a, b HostAddress) int {
		return cmp.Or(cmp.Compare(a.Link, b.Link), cmp.Compare(familyOf(a.Prefix.Addr()), familyOf(b.Prefix.Addr())))
	})
}

func sortNeighbors(list []HostNeighbor) {
	slices.SortFunc(list, func(a, b HostNeighbor) int {
		return cmp.Or(cmp.Compare(a.Link, b.Link), a.IP.Compare(b.IP))
	})
}

// age orders addresses of one family by when they were added: the kernel lists the newest of IPv6 first.
func (m *model) age(i int) int {
	if m.addrs[i].Prefix.Addr().Is6() && i < m.listed {
		return -i
	}
	return i
}

func subnetOf(a HostAddress) linkPrefix { return linkPrefix{a.Link, a.Prefix.Masked()} }

func (m *model) addAddress(a HostAddress) {
	i := len(m.addrs)
	if a.Prefix.Addr().Is4() {
		m.ipv4++
		a.Flags &^= unix.IFA_F_SECONDARY
		if m.primary(subnetOf(a)) >= 0 {
			a.Flags |= unix.IFA_F_SECONDARY
		}
	}
	m.addrs = append(m.addrs, a)
	m.at[linkPrefix{a.Link, a.Prefix}] = i
	m.byIP[a.Prefix.Addr()] = append(m.byIP[a.Prefix.Addr()], i)
	m.bySubnet[subnetOf(a)] = append(m.bySubnet[subnetOf(a)], i)
}

// moveBack makes a secondary address a primary one, which is listed behind all others, and returns its
// new index.
func (m *model) moveBack(i int) int {
	b := m.addrs[i]
	ip, subnet := b.Prefix.Addr(), subnetOf(b)
	same := func(j int) bool { return j == i }
	m.addrs[i].Link = 0
	m.byIP[ip] = slices.DeleteFunc(slices.Clone(m.byIP[ip]), same)
	rest := slices.DeleteFunc(slices.Clone(m.bySubnet[subnet]), same)
	b.Flags &^= unix.IFA_F_SECONDARY
	at := len(m.addrs)
	m.addrs = append(m.addrs, b)
	m.at[linkPrefix{b.Link, b.Prefix}] = at
	m.byIP[ip] = append(m.byIP[ip], at)
	// Of its subnet it is the first.
	m.bySubnet[subnet] = append([]int{at}, rest...)
	return at
}

// primary is the index of the first address of a subnet on a link, -1 for none.
func (m *model) primary(subnet linkPrefix) int {
	list := m.bySubnet[subnet]
	for len(list) > 0 && m.addrs[list[0]].Link == 0 {
		list = list[1:] // gone since; looked at once
	}
	m.bySubnet[subnet] = list
	if len(list) == 0 {
		return -1
	}
	return list[0]
}

// has says whether the link has the address; IPv6 allows one length only.
func (m *model) has(link int, p netip.Prefix) bool {
	return m.find(link, p) >= 0
}

// refused says whether the link has the address and the kernel does not use it: its own duplicate
// detection has found another owner. Nothing but adding it again ends that.
func (m *model) refused(link int, p netip.Prefix) bool {
	i := m.find(link, p)
	return i >= 0 && p.Addr().Is6() && m.addrs[i].Flags&unix.IFA_F_DADFAILED != 0
}

func (m *model) find(link int, p netip.Prefix) int {
	if p.Addr().Is4() {
		if i, ok := m.at[linkPrefix{link, p}]; ok {
			return i
		}
		return -1
	}
	for _, i := range m.byIP[p.Addr()] {
		if m.addrs[i].Link == link {
			return i
		}
	}
	return -1
}

// source says whether a route may prefer ip.
func (m *model) source(ip netip.Addr) bool {
	return slices.ContainsFunc(m.byIP[ip], func(i int) bool {
		return ip.Is4() || m.addrs[i].Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0
	})
}

// sysctl returns a key of an interface, the value of `all` and its own; not ok where the kernel has none.
func (m *model) sysctl(family, ifname, name string) (key string, all, own int, ok bool) {
	key = sysctlKey(family, ifname, name)
	own, err := strconv.Atoi(m.sysctls[key])
	if err != nil {
		return key, 0, 0, false
	}
	all, err = strconv.Atoi(m.sysctls[sysctlKey(family, "all", name)])
	return key, all, own, err == nil
}

func (m *model) promotes(link int) bool {
	_, all, own, ok := m.sysctl("ipv4", m.links[link].Name, "promote_secondaries")
	return ok && (all > 0 || own > 0)
}

// takesOthers says whether the kernel would delete other addresses along with this one.
func (m *model) takesOthers(a HostAddress) bool {
	if a.Prefix.Addr().Is6() || m.promotes(a.Link) || m.primary(subnetOf(a)) != m.find(a.Link, a.Prefix) {
		return false
	}
	others := 0
	for _, i := range m.bySubnet[subnetOf(a)] {
		if m.addrs[i].Link != 0 {
			others++
		}
	}
	return others > 1
}

func keyOf(r HostRoute) routeKey { return routeKey{r.Table, r.To, r.Metric} }

func (m *model) insertRoute(r HostRoute) {
	key := keyOf(r)
	if _, known := m.routes[key]; !known {
		m.keys = append(m.keys, key)
	}
	m.routes[key] = append(m.routes[key], r)
	m.sources[r.Src]++
}

// replaced is the index of the route under key that SetRoute would replace, -1 for none: the
// first; of IPv6 the first that does not qualify for ECMP, as ours do not, else the first.
func (m *model) replaced(key routeKey) int {
	list := m.routes[key]
	if len(list) == 0 {
		return -1
	}
	if key.to.Addr().Is6() {
		if i := slices.IndexFunc(list, func(r HostRoute) bool { return r.NHID != 0 || !r.Via.IsValid() }); i >= 0 {
			return i
		}
	}
	return 0
}
