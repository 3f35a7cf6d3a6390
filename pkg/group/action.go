// SPDX-License-Identifier: Apache-2.0

package group

// Action is what Step asks for. In one answer the order is: Refused; Publish; Moves in the order of
// addresses; MemberChanged in the order of members; GroupChanged; Records. Publish comes before the
// Moves because outbound traffic is switched before addresses go.
type Action interface{ action() }

// Move address from one member to another; From is -1 where nobody had it.
type Move struct {
	Address  int
	From, To int
	Why      Why
}

// MemberChanged: the state of a member's family (Both: of both, in the same way) is another.
type MemberChanged struct {
	Member   int
	Family   Family
	Old, New State
	Cause    Cause
	Detail   string
}

// GroupChanged: the group's state is another.
type GroupChanged struct{ Old, New GroupState }

// Record is a history entry. Member is -1 for group-failure.
type Record struct {
	Kind   Kind
	Member int
	Family Family
	Cause  Cause
	Detail string
	Moved  []Move
}

// Publish: usable or active sets or owners are others than before, so words, survivors and
// contingencies are to be written again.
type Publish struct{}

// Refused: an Offline that would take the last usable member. Nothing changed.
type Refused struct {
	Member int
	Reason string
}

func (Move) action()          {}
func (MemberChanged) action() {}
func (GroupChanged) action()  {}
func (Record) action()        {}
func (Publish) action()       {}
func (Refused) action()       {}
