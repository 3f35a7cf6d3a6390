// SPDX-License-Identifier: Apache-2.0

package group

import "time"

// View is everything that status shows of a group.
type View struct {
	Name      string
	State     GroupState
	Members   []MemberView
	Addresses []AddressView
}

// MemberView is one member; the fields beside Families are those of the worse family, Active and
// Usable are true where either is (contract section 4).
type MemberView struct {
	Name     string
	Standby  bool
	State    State
	Active   bool
	Usable   bool
	Link     Link
	Cause    Cause
	Detail   string
	Since    time.Duration // of State; the now of the Step that set it
	Families [Families]FamilyView
}

// FamilyView is one family of a member. Health is what the probes say, whatever the link says.
type FamilyView struct {
	State  State
	Active bool
	Usable bool
	Health Health
	Probed bool
}

// AddressView is a data address. Owner is -1 where no member has it. Up: contract section 1.
type AddressView struct {
	Owner int
	Up    bool
}

// Placement is where every address would be, by index; -1 nowhere.
type Placement []int
