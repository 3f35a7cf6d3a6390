// SPDX-License-Identifier: Apache-2.0

package detect

import "time"

// Family of a member's instance; the values are those of enum ipmp_family.
type Family int

// Both stands for a member as a whole.
const (
	IPv4 Family = iota
	IPv6
	Both
)

// families is how many instances a member has.
const families = 2

// String is the JSON word of the contract.
func (f Family) String() string {
	switch f {
	case IPv4:
		return "ipv4"
	case IPv6:
		return "ipv6"
	default:
		return "both"
	}
}

// Kind is how an instance is probed; the first three values are those of enum ipmp_kind.
type Kind int

// Kinds of probes.
const (
	KindNone Kind = iota // not probed in this family: it follows the member's other family
	KindICMP
	KindARP
	KindLink // probe: link, or no targets: carrier only
)

// String is the JSON word of `probe_kind`; an instance without probes is judged by its link.
func (k Kind) String() string {
	switch k {
	case KindICMP:
		return "icmp"
	case KindARP:
		return "arp"
	default:
		return "link"
	}
}

// Link is what is known about a member's carrier (IFLA_CARRIER, nothing else).
type Link int

// Link states.
const (
	LinkUnknown Link = iota
	LinkUp
	LinkDown
)

// Sample is what is known about one instance (member and family) at one time. The engine fills it
// from probe.Snapshot, the group's word and netstate. Times are CLOCK_MONOTONIC ns.
type Sample struct {
	Member int // number
	Family Family
	Kind   Kind
	Link   Link
	// Disabled: offline by the operator, or missing. Not judged, no sibling to anyone.
	Disabled bool
	// Epoch is the generation of the maps (not of the group's word): when it changes, the rounds
	// begin again and the member has to be armed again.
	Epoch uint32
	// Appeared is when the interface did, in a group that was at work already (CLOCK_MONOTONIC ns); 0: it
	// was there at the start.
	Appeared int64
	// Targets that are really asked: in rotation, and with a MAC where the probe needs one. With none
	// there is nothing to judge by, and the link decides.
	Targets int

	Answered  uint64        // rounds that someone answered and that were due here, closed
	Missed    uint64        // those of them that were missed here
	Streak    uint64        // closed answered rounds acknowledged in a row, up to the newest
	Share     float64       // of misses in the last 1,000 such rounds, without the current run
	Judged    int           // rounds that Share is made of, at most 1,000
	Answering int           // the newest answered rounds acknowledged in a row, open ones too
	Missing   int           // the newest answered rounds missed in a row, due ones only
	LastReply int64         // 0: never
	LastMiss  int64         // 0: never
	Refused   int64         // since when every send was refused (ENOBUFS, EAGAIN); 0: accepted
	TxPackets uint64        // counter of the interface, where the caller knows it
	RTTp999   time.Duration // 0: no reply yet
}
