// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Snapshot is the host's network state, complete as of one moment or a few milliseconds around
// it. Lists are sorted. It is shared: do not change it.
type Snapshot struct {
	Links     []Link     // by index
	Addresses []Address  // by interface, then as the kernel lists them (order chooses sources)
	Routes    []Route    // unicast routes of all tables
	Nexthops  []Nexthop  // by id
	Neighbors []Neighbor // by interface, then IP

	index sync.Once
	own   map[netip.Addr]bool // of Addresses, when it is asked for
}

// Link is an interface.
type Link struct {
	Index int
	Name  string
	// MAC, Ethernet interfaces only.
	MAC [6]byte
	MTU int
	// Master is the index of the bridge, bond or VRF it belongs to; 0: none.
	Master int
	// MasterKind and Kind: "bridge", "bond", "vrf", "veth", "vlan" ...; "": a plain device.
	Kind, MasterKind string
	// VRFTable is the table of a VRF device; 0: not one.
	VRFTable uint32
	// Parent is the index that IFLA_LINK names (a VLAN's device, a veth's peer); 0: none.
	Parent int
	// PeerNetNS is the id of the namespace that Parent is in; -1: this one.
	PeerNetNS int
	// Up: IFF_UP, the administrator's word.
	Up bool
	// Carrier is IFLA_CARRIER, the driver's word; it may be true while Up is not.
	Carrier bool
	// LowerUp is IFF_LOWER_UP and Operstate is IFLA_OPERSTATE; both may be late (detection.md section 4).
	LowerUp   bool
	Operstate uint8
	Loopback  bool
	// Flags are all of IFF_*.
	Flags uint32
	// Hardware type, ARPHRD_*; 1 is Ethernet.
	Hardware uint16
}

// Address is an address on an interface.
type Address struct {
	Link   int
	Prefix netip.Prefix
	// Peer, where the prefix is the peer's; else invalid.
	Peer netip.Addr
	// Broadcast, of IPv4; invalid: none.
	Broadcast netip.Addr
	Label     string
	// Metric of its connected route (IFA_RT_PRIORITY); 0: the kernel's own.
	Metric uint32
	// Flags are IFA_F_*.
	Flags uint32
	Scope uint8
	// Protocol is IFA_PROTO, who added it; 0 on kernels before 5.18.
	Protocol uint8
	// Preferred and Valid lifetimes; Forever has no end.
	Preferred, Valid time.Duration
	// At, CLOCK_BOOTTIME in ns, is when it had these lifetimes; 0 where they have no end.
	At int64
}

// Forever is a lifetime without end.
const Forever = time.Duration(1<<63 - 1)

// Route is a unicast route.
type Route struct {
	Table    uint32
	Dst      netip.Prefix
	Metric   uint32
	Protocol uint8
	Scope    uint8
	TOS      uint8
	Flags    uint32 // RTNH_F_*
	// Src is the preferred source; invalid: none.
	Src netip.Addr
	// NexthopID of the nexthop object; 0: Hops says it.
	NexthopID uint32
	// Hops: one, or more of a multipath route. The kernel also fills it in for nexthop objects.
	Hops []Hop
	// MTU metric; 0: none.
	MTU uint32
	// Metrics are all of RTA_METRICS, the MTU too, as the kernel tells them; "": none.
	Metrics string
	// Special: it has something that no other field here tells (encapsulation, realms, a router preference).
	Special bool
	// Expires is the remaining lifetime of a route learnt from RA; Forever: none.
	Expires time.Duration
}

// Hop is one next hop of a route.
type Hop struct {
	Link    int
	Gateway netip.Addr // invalid: on link
	Weight  int
	Flags   uint32 // RTNH_F_*
}

// Nexthop is a nexthop object, or a group of them.
type Nexthop struct {
	ID       uint32
	Family   uint8 // AF_*; 0 for a group
	Protocol uint8
	Link     int
	Gateway  netip.Addr
	Flags    uint32 // RTNH_F_*
	// Group are the ids of a group's nexthops.
	Group []uint32
	// Weights of those, as many.
	Weights   []int
	Resilient bool
	Blackhole bool
}

// Neighbor is an ARP or neighbour-discovery entry.
type Neighbor struct {
	Link  int
	IP    netip.Addr
	MAC   [6]byte
	State uint16 // NUD_*
	// Router: it advertises itself as one (NTF_ROUTER).
	Router   bool
	Flags    uint8 // NTF_*
	Protocol uint8 // NDA_PROTOCOL, who added it
}

// Link by index; nil: there is none.
func (s *Snapshot) Link(index int) *Link {
	for i := range s.Links {
		if s.Links[i].Index == index {
			return &s.Links[i]
		}
	}
	return nil
}

// TableOf the VRF that a link belongs to; 0: none.
func (s *Snapshot) TableOf(l *Link) uint32 {
	if l.MasterKind != "vrf" {
		return 0
	}
	if master := s.Link(l.Master); master != nil {
		return master.VRFTable
	}
	return 0
}

// LinkByName finds a link; nil: there is none.
func (s *Snapshot) LinkByName(name string) *Link {
	for i := range s.Links {
		if s.Links[i].Name == name {
			return &s.Links[i]
		}
	}
	return nil
}

// Has says whether an IP is an address of this host.
func (s *Snapshot) Has(ip netip.Addr) bool {
	s.index.Do(func() {
		s.own = make(map[netip.Addr]bool, len(s.Addresses))
		for i := range s.Addresses {
			s.own[s.Addresses[i].Prefix.Addr()] = true
		}
	})
	return s.own[ip]
}

// AddressesOf are the addresses of a link. They are the snapshot's own.
func (s *Snapshot) AddressesOf(link int) []Address {
	before := func(a Address, link int) int { return cmp.Compare(a.Link, link) }
	from, _ := slices.BinarySearchFunc(s.Addresses, link, before)
	to, _ := slices.BinarySearchFunc(s.Addresses, link+1, before)
	return s.Addresses[from:to:to]
}
