// SPDX-License-Identifier: Apache-2.0

package addr

import "slices"

// Both families, for After.
const Both = -1

// After returns what is desired once a member has failed, for the operations of its failover to be
// prepared: Plan(After(d, ...), o), where o is the host as it will be before the failure
// (Observed.With). d is not changed.
//
// group is an index into d.Groups, member one into its Members, family 0, 1 or Both. owners is the
// placement that pkg/group has decided on, the owner of each of the group's Addresses (-1: it
// stays where it is); addresses beyond its end keep theirs. active are the members that are to carry
// data then, by family and in masks, bit = index: also such as are called and have no address. Both
// families fail together by loss of the link too, so then no nexthop over the member is asked for.
func After(d Desired, group, member, family int, owners []int, active [2]uint32) Desired {
	d.Groups = slices.Clone(d.Groups)
	g := &d.Groups[group]
	g.Members = slices.Clone(g.Members)
	g.Addresses = slices.Clone(g.Addresses)
	for f := range 2 {
		if family == Both || family == f {
			g.Members[member].Usable[f] = false
		}
		for i := range g.Members {
			g.Members[i].Active[f] = active[f]&(1<<i) != 0
		}
	}
	if family == Both {
		g.Members[member].Link = false
	}
	for i := range g.Addresses[:min(len(owners), len(g.Addresses))] {
		g.Addresses[i].Member = owners[i]
	}
	return d
}
