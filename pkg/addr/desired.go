// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"net/netip"
	"time"
)

// MAC is an Ethernet address.
type MAC [6]byte

// Desired is the whole of what ipmpd wants on the host.
type Desired struct {
	Groups []Group
	// Leaving are interfaces that are members no more, but still were a moment ago: data addresses
	// are taken off them whoever added them, and routes through them are replaced, as of members.
	// Their own addresses, but for those that we added, stay.
	Leaving []Leaving
	// Found are data addresses as others had put them on the host before us (Undo), which they take along.
	Found []FoundAddress
}

// Leaving is an interface that has left its group.
type Leaving struct {
	Name  string
	Index int
}

// Group is what one group wants.
type Group struct {
	// Slot is the group's number, 0 to 63; it stays while the group lives. Nexthop ids derive from it.
	Slot int
	Name string
	// Table of the VRF that all members belong to; 0: main. Connected routes of the group are there,
	// and those of others that are adopted.
	Table uint32
	// Members in file order. An index into it names a member everywhere in this package.
	Members []Member
	// Addresses are the data addresses, in file order.
	Addresses []Address
	// Routes are the configured ones, then the adopted ones (Adoptable); of two with the same table,
	// destination and metric the first counts. Connected routes of data subnets are derived, not listed.
	Routes []Route
	// Spread outgoing flows over all active members; false: over the first active one.
	Spread bool
	// SpreadL4 spreads by ports too, which is a sysctl of the whole namespace.
	SpreadL4 bool
	Announce Announce
}

// Member is one interface of a group.
type Member struct {
	Name string
	// Index is the interface index; 0: the interface does not exist.
	Index int
	MAC   MAC
	// Link: carrier is up.
	Link bool
	// Tests are the test addresses; they never move.
	Tests []netip.Prefix
	// Usable and Active by family, IPv4 first (contract section 1).
	Usable, Active [2]bool
}

// Address is one data address.
type Address struct {
	Prefix netip.Prefix
	// Member that carries it; -1: nowhere, leave it where it is.
	Member int
}

// Route is a configured or adopted route through the group.
type Route struct {
	To netip.Prefix
	// Via is the gateway; the zero Addr: on link.
	Via netip.Addr
	// Hops of a route over several gateways, of which Via is the first; Link is 0 in all of them.
	Hops Hops
	// Src is the preferred source; the zero Addr: the first data address of Via's subnet, else of the family.
	Src    netip.Addr
	Metric uint32
	// Table; 0: main.
	Table uint32
	// Metrics of an adopted route, as HostRoute has them.
	Metrics string
	// Adopted: it was found on the host; else the file names it.
	Adopted bool
}

// Announce says how a changed owner is announced (contract section 3).
type Announce struct {
	// Count of announcements in all: at once, after 10 ms, 100 ms, then every Interval.
	Count    int
	Interval time.Duration
	// Rate in frames a second after a first burst of 16; 0: unlimited.
	Rate int
	// Refresh repeats for ever at this interval; 0: never.
	Refresh time.Duration
}
