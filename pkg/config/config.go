// SPDX-License-Identifier: Apache-2.0

package config

import (
	"log/slog"
	"net/netip"
	"time"
)

// Config is one file. Everything in it is in file order, which counts for placement.
type Config struct {
	File     string // as named by the operator; the place of host-dependent errors
	LogLevel slog.Level
	Realtime Realtime
	Groups   []Group
	Monitor  []Interface // in no group: watched, and nothing moves
	Notify   []Program

	origin origins // of the lines, where they were made from Solaris files; else nil
}

// Program is run on every event.
type Program struct {
	Pos  Pos
	Path string // absolute
}

// Realtime says how the prober and the event reader are scheduled.
type Realtime struct {
	Priority int   // SCHED_FIFO, 1 .. 98; 0 is off
	CPUs     []int // to pin them to; empty is no pinning
}

// Group is one IPMP group with every default filled in.
type Group struct {
	Pos            Pos
	Name           string
	DetectionTime  time.Duration // 100us .. 60s
	Misses         int           // 1 .. 50
	Adapt          bool
	Repair         int           // answered rounds, 1 .. 10000
	HoldDown       time.Duration // 0 is none
	FlapLimit      int           // repairs a minute; 0 is no limit
	Failback       bool
	Probe          Probe
	Targets        []netip.Addr // empty: found by the daemon
	Attach         Attach
	DuplicateCheck bool
	Multicast      Multicast
	Announce       Announce
	Force          bool // accept that it takes the last address from the default route
	Spread         Spread
	Interfaces     []Interface
	Addresses      []Address
	Routes         []Route
}

// Interval is the time from one round to the next, at least 50us.
func (g *Group) Interval() time.Duration {
	return g.DetectionTime / time.Duration(g.Misses+1)
}

// Interface is a member of a group.
type Interface struct {
	Pos     Pos
	Name    string
	Test    []netip.Prefix // at most 8 of a family; empty: link-local for IPv6, none for IPv4
	Standby bool
}

// Address is a data address.
type Address struct {
	Pos    Pos
	Prefix netip.Prefix // the address itself with its length, host bits kept
	Home   string       // always a member that is no standby
}

// Route is a route that the group carries.
type Route struct {
	Pos    Pos
	To     netip.Prefix
	Via    netip.Addr // not valid: on link
	Src    netip.Addr // not valid only where the group has no data address of the family
	Metric uint32     // 0: the kernel's default
	Table  uint32     // 0: main, or that of the members' VRF
}

// Announce is how a change of owner is told to the neighbours.
type Announce struct {
	Count    int           // announcements of one change, at least 1
	Interval time.Duration // from the third announcement to the next
	Rate     int           // frames a second after a first burst of 16; 0 is unlimited
	Refresh  time.Duration // repeats for ever; 0 is never
}

// Probe is what members are asked with.
type Probe string

// The kinds of probing of contract section 3.
const (
	ProbeAuto Probe = "auto" // ICMP where a test address exists, else ARP or NS at 10 a second
	ProbeICMP Probe = "icmp"
	ProbeARP  Probe = "arp"
	ProbeLink Probe = "link" // carrier only
)

// Multicast says what becomes of the multicast groups that sockets have joined on a member which fails.
type Multicast string

const (
	MulticastFailover Multicast = "failover" // joined on its survivor when it fails
	MulticastAhead    Multicast = "ahead"    // joined there beforehand
	MulticastOff      Multicast = "off"
)

// Attach is where the BPF programs go.
type Attach string

// The ways to attach of contract section 3.
const (
	AttachAuto       Attach = "auto" // TCX, or clsact before 6.6, unless native XDP costs nothing
	AttachXDP        Attach = "xdp"
	AttachTCX        Attach = "tcx"
	AttachXDPGeneric Attach = "xdp-generic"
)

// Spread is whether outgoing flows use all active members.
type Spread string

// The ways to spread of contract section 3.
const (
	SpreadOff Spread = "false"
	SpreadOn  Spread = "true"
	SpreadL4  Spread = "l4" // also sets the global fib_multipath_hash_policy
)
