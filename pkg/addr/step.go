// SPDX-License-Identifier: Apache-2.0

package addr

import "fmt"

var kindNames = [...]string{
	0:               "announce",
	SetSysctl:       "set-sysctl",
	AddNeighbor:     "add-neighbor",
	SetNexthop:      "set-nexthop",
	SetNexthopGroup: "set-nexthop-group",
	AddAddress:      "add-address",
	SetRoute:        "set-route",
	DeleteRoute:     "delete-route",
	DeleteAddress:   "delete-address",
	DeleteNexthop:   "delete-nexthop",
	JoinMulticast:   "join-multicast",
	LeaveMulticast:  "leave-multicast",

	RestoreAddress:   "restore-address",
	RestoreConnected: "restore-connected",
	DeleteNeighbor:   "delete-neighbor",
	RestoreRoute:     "restore-route",
}

// String is the step's name in history, events and logs. The zero Kind is an announcement, which
// is no operation but can fail.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("step-%d", uint8(k))
}
