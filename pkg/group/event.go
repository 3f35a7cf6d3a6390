// SPDX-License-Identifier: Apache-2.0

package group

// Event is a finding of pkg/detect or a word of the operator. Events about members that do not
// exist in Config are ignored; so are events that change nothing.
type Event interface{ event() }

// HealthChanged is a verdict, hysteresis applied. Family may be Both. Cause is CauseProbe or
// CauseLink; a failure by link takes both families until either is reported not Failed.
type HealthChanged struct {
	Member int
	Family Family
	Health Health
	Cause  Cause
	Detail string // tx-path, both, carrier, tx-hang ...
}

// LinkChanged is the carrier. Down takes both families at once. Up alone does not repair a family
// whose Health is Failed; a family whose Health is not is usable again at once.
type LinkChanged struct {
	Member int
	Link   Link
	Detail string
}

// PresenceChanged: the interface appeared or is gone. One that appears starts with Health Unknown
// and LinkUnknown.
type PresenceChanged struct {
	Member int
	Exists bool
}

// Offline takes a member out of service. Without Force it is Refused for the last usable member.
type Offline struct {
	Member int
	Force  bool
}

// Online puts it back.
type Online struct{ Member int }

// Suspended takes a member out of service as an operator would, but for a reason that ends by itself:
// Detail says which. Without one it is back. It is never refused, as the member does harm while it
// serves; the operator's own mark is another one, and neither touches the other.
type Suspended struct {
	Member int
	Detail string
}

// GroupFailed: no member has answered, or none has link, for max(3 x detection-time, 2 s). Every
// member that is not failed is shown failed until it is reported otherwise; nothing moves.
type GroupFailed struct {
	Cause  Cause
	Detail string
}

// GroupRepaired: some member is usable again. The finding about that member ends the group failure,
// because only it says where the addresses can go; so this one changes nothing.
type GroupRepaired struct{}

// ProbingChanged: probes of a family began (a target was found) or ended.
type ProbingChanged struct {
	Member int
	Probed [Families]bool
}

func (HealthChanged) event()   {}
func (LinkChanged) event()     {}
func (PresenceChanged) event() {}
func (Offline) event()         {}
func (Online) event()          {}
func (Suspended) event()       {}
func (GroupFailed) event()     {}
func (GroupRepaired) event()   {}
func (ProbingChanged) event()  {}
