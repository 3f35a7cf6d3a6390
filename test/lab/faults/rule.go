// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"math"
	"time"
)

// Direction of a frame on a cable, seen from the switch.
type Direction uint8

const (
	// From is what the cable's far end sends.
	From Direction = Direction(faultFaultDirectionFAULT_FROM)
	// To is what the switch sends to the far end.
	To Direction = Direction(faultFaultDirectionFAULT_TO)
)

// Match says which frames a rule looks at. The zero value is all frames.
type Match struct {
	kind faultFaultMatch
	arg  uint16
}

// Any matches every frame.
func Any() Match { return Match{} }

// Ethertype matches frames of one protocol, 0x0806 for example.
func Ethertype(t uint16) Match { return Match{faultFaultMatchFAULT_ETHERTYPE, t} }

// Announcement matches gratuitous ARP, unsolicited neighbour advertisements, and any ARP frame
// whose sender address is of class [Data]: everything that tells a neighbour where an address is.
func Announcement() Match { return Match{kind: faultFaultMatchFAULT_ANNOUNCEMENT} }

// Echo matches ICMP and ICMPv6 echo requests and replies: the probes.
func Echo() Match { return Match{kind: faultFaultMatchFAULT_ECHO} }

// Of matches IP frames whose end on this cable (source of [From], destination of [To]) is of class c.
func Of(c Class) Match { return Match{faultFaultMatchFAULT_CLASS, uint16(c)} }

// Class of an address, for counting and matching; see [Port.Classify].
type Class uint32

const (
	Other Class = Class(faultFaultClassFAULT_OTHER)
	Data  Class = Class(faultFaultClassFAULT_DATA)
	Test  Class = Class(faultFaultClassFAULT_TEST)
)

// Rule drops some of the frames that match in one direction. The first rule that drops a frame
// ends its way; rules before it have counted it.
type Rule struct {
	Direction Direction
	Match     Match
	kind      faultFaultKind
	param     uint64
	param2    uint64
}

// Drop loses every matching frame.
func Drop(d Direction, m Match) Rule {
	return Rule{Direction: d, Match: m, kind: faultFaultKindFAULT_DROP}
}

// Nth loses each n-th matching frame; n = 1 loses all.
func Nth(d Direction, m Match, n int) Rule {
	return Rule{Direction: d, Match: m, kind: faultFaultKindFAULT_NTH, param: uint64(n)}
}

// Random loses a matching frame with chance p, 0 .. 1.
func Random(d Direction, m Match, p float64) Rule {
	return Rule{Direction: d, Match: m, kind: faultFaultKindFAULT_RANDOM, param: uint64(p * (math.MaxUint32 + 1))}
}

// Police loses what exceeds perSecond frames a second after a burst of burst frames.
func Police(d Direction, m Match, perSecond float64, burst int) Rule {
	gap := uint64(float64(time.Second) / perSecond)
	return Rule{Direction: d, Match: m, kind: faultFaultKindFAULT_POLICE, param: gap, param2: gap * uint64(burst)}
}

// First loses the first n matching frames.
func First(d Direction, m Match, n int) Rule {
	return Rule{Direction: d, Match: m, kind: faultFaultKindFAULT_FIRST, param: uint64(n)}
}

// Burst loses the first matching frame and all that match within window after it: "the first
// announcement" of a failover, however many frames it has.
func Burst(d Direction, m Match, window time.Duration) Rule {
	return Rule{Direction: d, Match: m, kind: faultFaultKindFAULT_BURST, param: uint64(window)}
}

// Both gives the rule for either direction.
func Both(rule func(Direction, Match) Rule, m Match) []Rule {
	return []Rule{rule(From, m), rule(To, m)}
}

// State of a rule in force.
type State struct {
	First   int64 // CLOCK_MONOTONIC ns of the first frame dropped; 0: none yet
	Last    int64 // of the last
	Matched uint64
	Dropped uint64
}

// Slot is a counter of one direction of a port. Frames that were dropped count in Dropped only.
type Slot uint32

const (
	All       Slot = Slot(faultFaultSlotFAULT_ALL)
	Dropped   Slot = Slot(faultFaultSlotFAULT_DROPPED)
	Announced Slot = Slot(faultFaultSlotFAULT_ANNOUNCED)
	Echoes    Slot = Slot(faultFaultSlotFAULT_ECHOES)
	// Stray are IP frames whose address on this cable is of class [Test], but for probes, echo replies,
	// neighbour discovery, IGMP and MLD: of [From], what only a socket bound to a test address may send.
	Stray Slot = Slot(faultFaultSlotFAULT_STRAY)
)

// IP counts IP frames whose end on this cable is of class c.
func IP(c Class) Slot { return Slot(faultFaultSlotFAULT_IP) + Slot(c) }

// ARP counts ARP frames whose sender address is of class c.
func ARP(c Class) Slot { return Slot(faultFaultSlotFAULT_ARP) + Slot(c) }

// Count of frames, with the CLOCK_MONOTONIC ns of the first and the last.
type Count struct {
	Packets, Bytes uint64
	First, Last    int64
}
