// SPDX-License-Identifier: Apache-2.0

package addr

// Memberships returns the changes of solicited-node memberships from one desired state to the next
// (the zero Desired: from none): every member hears for every IPv6 data address of its group, so
// that a switch that snoops MLD already forwards there what asks for an address that moves. They
// are sockets of this process, so nothing of them is observed, and a failover changes none.
func Memberships(was, is Desired) []Op {
	var ops []Op
	before, after := memberSet(was), memberSet(is)
	for _, op := range after.list {
		if !before.has[linkIP{op.Link, op.Prefix.Addr()}] {
			op.Kind, op.Why = JoinMulticast, "the member may have to take the address over"
			ops = append(ops, op)
		}
	}
	for _, op := range before.list {
		if !after.has[linkIP{op.Link, op.Prefix.Addr()}] {
			op.Kind, op.Why = LeaveMulticast, "the member will not take the address over any more"
			ops = append(ops, op)
		}
	}
	return ops
}

type membershipSet struct {
	list []Op
	has  map[linkIP]bool
}

func memberSet(d Desired) membershipSet {
	s := membershipSet{has: make(map[linkIP]bool)}
	for _, g := range d.Groups {
		for _, a := range g.Addresses {
			if a.Prefix.Addr().Is4() {
				continue
			}
			for _, m := range g.Members {
				if m.Index != 0 {
					s.has[linkIP{m.Index, a.Prefix.Addr()}] = true
					s.list = append(s.list, Op{Group: g.Slot, Link: m.Index, LinkName: m.Name, Prefix: a.Prefix})
				}
			}
		}
	}
	return s
}
