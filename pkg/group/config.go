// SPDX-License-Identifier: Apache-2.0

package group

import "net/netip"

// Config of a group; it does not change while the Group lives (but see ProbingChanged).
type Config struct {
	Name string
	// Failback: addresses return to a repaired member. False: it stays inactive (spec 5.4).
	Failback bool
	// Members in file order, at most 32 (they are the bits of a mask).
	Members   []MemberConfig
	Addresses []AddressConfig
}

// MemberConfig is one interface.
type MemberConfig struct {
	Name    string
	Standby bool
	// Probed says which families have probes: a source and a target. A family without follows the
	// other; without any, the member is judged by its link, or by HealthChanged if detect sends it.
	Probed [Families]bool
}

// AddressConfig is a data address. A Home out of range is none: the address stays where it is.
type AddressConfig struct {
	Prefix netip.Prefix
	Home   int
}

// Start is what is known before the first event. Missing entries read as their zero value, but
// missing Owners as -1.
type Start struct {
	Members []MemberStart
	// Owners: the member that each address was found on, -1 for none. Such an address stays there
	// if the member can carry it ("adopted where it stands", contract section 2).
	Owners []int
	// Was is the group whose place this one takes under another configuration (a reload): a failure
	// of the whole group goes on. Its members come by Carry. Nil: none.
	Was *Group
}

// MemberStart is one member at the start.
type MemberStart struct {
	Exists bool
	Link   Link
	// Offline is the operator's mark, which lasts over restarts.
	Offline bool
	// Suspended is the Detail of the event of that name; "": it is not.
	Suspended string
	// Health that a former run left. Pass on Failed, so that nothing goes back to a member that
	// is silently dead; leave OK to be proved again.
	Health [Families]Health
	// Inactive that a former run left: a repaired member under failback: false.
	Inactive [Families]bool

	known *member // by Carry
}
