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
// stays where it is); addresses beyond its end keep theirs. A member that an address goes to
// becomes active, and so, where nobody active is left, does the first usable one. Both families
// fail together by loss of the link too, so then no nexthop over the member is asked for.
func After(d Desired, group, member, family int, owners []int) Desired {
	d.Groups = slices.Clone(d.Groups)
	g := &d.Groups[group]
	g.Members = slices.Clone(g.Members)
	g.Addresses = slices.Clone(g.Addresses)
	for f := range 2 {
		if family == Both || family == f {
			g.Members[member].Usable[f], g.Members[member].Active[f] = false, false
		}
	}
	if family == Both {
		g.Members[member].Link = false
	}
	for i := range g.Addresses[:min(len(owners), len(g.Addresses))] {
		a, owner := &g.Addresses[i], owners[i]
		if owner >= 0 && owner != a.Member {
			g.Members[owner].Active[familyOf(a.Prefix.Addr())] = true
		}
		a.Member = owner
	}
	for f := range 2 {
		if family == Both || family == f {
			activate(g.Members, f)
		}
	}
	return d
}

// activate makes the first usable member active where none is.
func activate(members []Member, family int) {
	if slices.ContainsFunc(members, func(m Member) bool { return m.Active[family] }) {
		return
	}
	for i := range members {
		if members[i].Usable[family] {
			members[i].Active[family] = true
			return
		}
	}
}
