// SPDX-License-Identifier: Apache-2.0

package group

import "net/netip"

// Family is an address family. Both stands in records and events for the two together.
type Family uint8

const (
	IPv4 Family = iota
	IPv6
	Both
)

// Families are the two that are judged and placed separately (contract section 1).
const Families = 2

func (f Family) String() string { return name(int(f), "ipv4", "ipv6", "both") }

// FamilyOf is the family of a data address.
func FamilyOf(p netip.Prefix) Family {
	if p.Addr().Is4() || p.Addr().Is4In6() {
		return IPv4
	}
	return IPv6
}

// Health is what pkg/detect has found out about one family of one member.
type Health uint8

const (
	Unknown Health = iota // no verdict yet, or nothing to judge by
	OK
	Failed
)

func (h Health) String() string { return name(int(h), "unknown", "ok", "failed") }

// Link is a member's carrier.
type Link uint8

const (
	LinkUnknown Link = iota
	LinkUp
	LinkDown
)

func (l Link) String() string { return name(int(l), "unknown", "up", "down") }

// State is what a member, or one family of it, is (contract section 1).
type State uint8

const (
	StateUnknown State = iota
	StateOK
	StateFailed
	StateOffline
	StateMissing
)

func (s State) String() string {
	return name(int(s), "unknown", "ok", "failed", "offline", "missing")
}

// broken: not usable, and not because the operator said so.
func (s State) broken() bool { return s == StateFailed || s == StateMissing }

// GroupState says how many members are usable: all, some, none (spec 1.4).
type GroupState uint8

const (
	GroupOK GroupState = iota
	GroupDegraded
	GroupDown
)

func (s GroupState) String() string { return name(int(s), "ok", "degraded", "failed") }

// Cause is why a member is not usable, or why something was recorded.
type Cause uint8

const (
	CauseNone Cause = iota
	CauseProbe
	CauseLink
	CauseAdmin
	CauseMissing
	CauseMAC
)

func (c Cause) String() string { return name(int(c), "", "probe", "link", "admin", "missing", "mac") }

// Kind of a history entry (contract section 4).
type Kind uint8

const (
	KindFailover Kind = iota
	KindFailback
	KindOffline
	KindOnline
	KindRepair
	KindGroupFailure
	KindGroupRepair
)

func (k Kind) String() string {
	return name(int(k), "failover", "failback", "offline", "online", "repair", "group-failure", "group-repair")
}

// Why an address moves.
type Why uint8

const (
	WhyStart     Why = iota // first placement, or adoption from a member that cannot carry it
	WhyUnusable             // the member that had it is not usable
	WhyHome                 // its home is back
	WhyNotNeeded            // the member that had it is a standby that is not needed any more
)

func (w Why) String() string { return name(int(w), "start", "unusable", "home", "not-needed") }

func name(i int, names ...string) string {
	if i < len(names) {
		return names[i]
	}
	return "?"
}
