// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"net/netip"
)

// Kind is what an operation does. The order of the constants is the order in which a plan
// performs them, but for what add-before-delete and re-pointing of sources ask otherwise.
type Kind uint8

const (
	// SetSysctl writes Key = Value below /proc/sys.
	SetSysctl Kind = iota + 1
	// AddNeighbor enters IP -> MAC on Link as NUD_REACHABLE-then-aged (never permanent), only if absent or different.
	AddNeighbor
	// SetNexthop creates or replaces device nexthop ID over Link (Gateway set: on-link gateway).
	// Its family is Op.Family(), which for an on-link nexthop follows from ID.
	SetNexthop
	// SetNexthopGroup creates or replaces resilient nexthop group ID over Hops.
	SetNexthopGroup
	// AddAddress puts Prefix on Link (Test: deprecated test address); always without prefix route, IPv6 without DAD.
	// On an IPv6 address that is there it corrects the flags, so it must be sent with NLM_F_REPLACE.
	AddAddress
	// SetRoute creates or replaces the route To through nexthop group ID.
	SetRoute
	// DeleteRoute takes a route of ours away, or a kernel connected route that ours replaces. Two
	// may differ in nothing else, so all that is set must match: Prefix, Table, Metric, Protocol,
	// ID (the nexthop, ours only), Link and Src (the kernel's only).
	DeleteRoute
	// DeleteAddress takes Prefix off Link.
	DeleteAddress
	// DeleteNexthop deletes a nexthop or nexthop group of ours.
	DeleteNexthop
	// JoinMulticast joins the solicited-node group of Prefix on Link ahead of a move.
	JoinMulticast
	// LeaveMulticast leaves it.
	LeaveMulticast
	// RestoreAddress puts Prefix on Link as somebody else had it there: Flags, Form, Protocol. It
	// corrects an IPv6 address that is there; one of IPv4 must not be.
	RestoreAddress
	// RestoreConnected enters the kernel's own connected route Prefix over Link, from Src (IPv4),
	// behind others with the same key: the kernel makes it with an address, and not again.
	RestoreConnected
	// DeleteNeighbor deletes the entry of IP on Link.
	DeleteNeighbor
	// RestoreRoute puts Was back, a route of others that ours has replaced or that we have deleted.
	RestoreRoute
)

// Op is one change of the host. Only the fields that its Kind names are set.
type Op struct {
	Kind Kind
	// Group is the slot of the group it belongs to.
	Group int
	// Link is an interface index; LinkName is its name, for logs and sysctls.
	Link     int
	LinkName string
	Prefix   netip.Prefix // address with its length, or the route's destination
	Test     bool
	Owner    int        // of the address to delete: the interface that has it from now on; 0: none
	IP       netip.Addr // neighbour
	MAC      MAC        // neighbour's
	ID       uint32     // nexthop or nexthop group
	Hops     []uint32   // members of a nexthop group
	Weights  []int      // of the Hops; nil: 1 each
	Gateway  netip.Addr
	Src      netip.Addr // preferred source of a route
	Metric   uint32
	Table    uint32
	OnLink   bool // route of scope link
	// Protocol of the route or address to delete (only ours and the kernel's are ever deleted), or of
	// the address to restore.
	Protocol int
	Flags    uint32
	Form     AddressForm
	At       int64 // when it had the lifetimes of Form
	Key      string
	Value    string
	Metrics  string     // of a route, RTA_METRICS
	Was      *HostRoute // the route to restore
	// Why, for the log: one reason per change.
	Why string
}

// Family is 0 for IPv4 and 1 for IPv6: the family of whatever address the operation carries, else
// of the nexthop.
func (o *Op) Family() int {
	for _, a := range []netip.Addr{o.Prefix.Addr(), o.IP, o.Gateway, o.Src} {
		if a.IsValid() {
			if a.Is4() {
				return 0
			}
			return 1
		}
	}
	if family, ours := idFamily(o.ID); ours {
		return family
	}
	return 0
}
