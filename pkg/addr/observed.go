// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"net/netip"
	"time"
)

// Observed is the host as pkg/netstate saw it, in plain values; cmd/ipmpd translates. It must be
// one complete snapshot: Plan takes what is not in it for absent. It is never changed in place.
type Observed struct {
	// Links of this network namespace. A member that is not listed does not exist.
	Links []HostLink
	// Addresses of all links, in the kernel's order (the first of a subnet is the primary one).
	Addresses []HostAddress
	// Routes of all tables but local. Those with the same table, destination and metric are in the
	// kernel's order: a replacement takes the place of the first.
	Routes   []HostRoute
	Nexthops []HostNexthop
	// Neighbors of both families.
	Neighbors []HostNeighbor
	// Sysctls by key below /proc/sys, `net/ipv4/conf/hme0/rp_filter`: those that SysctlKeys
	// names. A key that this kernel does not have is absent.
	Sysctls map[string]string
}

// HostLink is one network interface.
type HostLink struct {
	Index int
	Name  string
	MAC   MAC
	// Up: administratively. Carrier: IFLA_CARRIER. The kernel refuses nexthops without both.
	Up, Carrier bool
	// Table of the VRF that the link belongs to; 0: the main one.
	Table uint32
}

// HostAddress is one address on one link.
type HostAddress struct {
	// Link is the interface index.
	Link int
	// Prefix is the address with its length, not masked.
	Prefix netip.Prefix
	// Flags are IFA_FLAGS.
	Flags uint32
	// Proto is IFA_PROTO; Protocol: we added it.
	Proto uint8
	Form  AddressForm
	// At, CLOCK_BOOTTIME in ns, is when it had the lifetimes of Form; 0 where they have no end.
	At int64
}

// AddressForm is the rest of an address, which nothing is decided by: it goes with the address, and
// comes back with a release.
type AddressForm struct {
	Scope     uint8      `json:"scope,omitzero"`
	Label     string     `json:"label,omitzero"`
	Peer      netip.Addr `json:"peer,omitzero"`
	Broadcast netip.Addr `json:"broadcast,omitzero"`
	// Metric of the connected route; 0: the kernel's own.
	Metric uint32 `json:"metric,omitzero"`
	// Preferred and Valid lifetimes that were left; 0: for ever. IFA_F_DEPRECATED says that the
	// preferred one is over.
	Preferred time.Duration `json:"preferred_ns,omitzero"`
	Valid     time.Duration `json:"valid_ns,omitzero"`
}

// HostRoute is one unicast route.
type HostRoute struct {
	Table    uint32
	Protocol uint8
	// Scope is RT_SCOPE_*; always 0 for IPv6.
	Scope  uint8
	Metric uint32
	// To is the destination; the default route is 0.0.0.0/0 or ::/0.
	To  netip.Prefix
	Src netip.Addr
	// NHID is the nexthop or nexthop group that it goes through; 0: it has a next hop of its own,
	// by Via and Link (of several, the first). Via, Link and Hops are not looked at where NHID is set.
	NHID uint32
	Via  netip.Addr
	Link int
	// Metrics are RTA_METRICS (MTU and the like) as the kernel tells them; "": none.
	Metrics string
	// Flags of the next hop, of RTNH_F_* only ONLINK.
	Flags uint32
	// Hops where there are several.
	Hops Hops
	// Special: a type of service or an attribute that Op cannot carry.
	Special bool
	// Expires: it has a limited lifetime.
	Expires bool
}

// HostNexthop is one nexthop object: a device nexthop, or, where Hops is not empty, a group.
type HostNexthop struct {
	ID       uint32
	Protocol uint8
	Link     int
	Gateway  netip.Addr
	Hops     []uint32
	// Weights of the Hops, 1 .. 256; nil: 1 each.
	Weights []int
}

// HostNeighbor is one neighbour entry.
type HostNeighbor struct {
	Link int
	IP   netip.Addr
	// MAC is zero where it is not known (incomplete, failed).
	MAC MAC
	// State is one NUD_* bit.
	State uint16
	// Protocol is NDA_PROTOCOL; ours: we mirrored it.
	Protocol uint8
	// Age is the time since it was last updated (NDA_CACHEINFO ndm_updated), at the snapshot. Of
	// two MACs for one IP the younger wins; zero where unknown.
	Age time.Duration
}
