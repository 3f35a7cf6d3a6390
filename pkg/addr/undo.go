// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Undo is what Release needs to know beside the host itself: what was there before us, and which
// group is whose. It belongs to one boot and one network namespace, and is on disk before what it
// remembers is changed.
type Undo struct {
	// Sysctls by key below /proc/sys.
	Sysctls map[string]FoundSysctl `json:"sysctls,omitempty"`
	// Addresses of the configuration that were on a member before us, each member's in the kernel's order.
	Addresses []FoundAddress `json:"addresses,omitempty"`
	Groups    []UndoGroup    `json:"groups,omitempty"`
	// Former is what the file has named no more, interfaces and addresses, and is not put back yet.
	Former []UndoGroup `json:"former,omitempty"`
}

// FoundSysctl is a sysctl that we have changed.
type FoundSysctl struct {
	// Link that it is of, by its index: another interface of the same name has values of its own. 0: of
	// the whole namespace.
	Link  int    `json:"link,omitzero"`
	Found string `json:"found"` // before our first change
	Set   string `json:"set"`   // by our last one
}

// FoundAddress is an address that we have adopted.
type FoundAddress struct {
	Link     int          `json:"link"`
	LinkName string       `json:"interface"`
	Prefix   netip.Prefix `json:"prefix"`
	Flags    uint32       `json:"flags"`
	Proto    uint8        `json:"proto"`
	Form     AddressForm  `json:"form"`
	// At, CLOCK_BOOTTIME in ns, is when it had the lifetimes of Form.
	At int64 `json:"at_ns"`
}

// UndoGroup is a group as it was last at work.
type UndoGroup struct {
	Name      string         `json:"name"`
	Slot      int            `json:"slot"`
	Members   []UndoMember   `json:"members"`
	Addresses []netip.Prefix `json:"addresses"`
	// Ports: its flows are spread by their ports, which is a sysctl of the whole namespace.
	Ports bool `json:"ports,omitzero"`
	// Monitor: it is an interface in no group, which has programs of ours and nothing else.
	Monitor bool `json:"monitor,omitzero"`
	// Released: nothing of it is left; it is kept so that its name is known.
	Released bool `json:"released,omitzero"`
}

// UndoMember is one interface of a group.
type UndoMember struct {
	Name   string         `json:"name"`
	Index  int            `json:"index"` // 0: it does not exist
	Number int            `json:"number"`
	Tests  []netip.Prefix `json:"tests"`
	// Clsact: it had a clsact qdisc before us.
	Clsact bool `json:"clsact,omitzero"`
}

// Clone shares nothing that Record or Forget change.
func (u *Undo) Clone() Undo {
	return Undo{Sysctls: maps.Clone(u.Sysctls), Addresses: slices.Clone(u.Addresses), Groups: slices.Clone(u.Groups), Former: slices.Clone(u.Former)}
}

// Record notes what is about to be touched for the first time: the sysctls of ops, and addresses that
// d names and others have put on a member. What is noted already stays. It returns whether anything
// is new; then it must be on disk before ops are performed. now is CLOCK_BOOTTIME in ns.
func (u *Undo) Record(d Desired, o Observed, ops []Op, now int64) (changed bool) {
	for i := range ops {
		if op := &ops[i]; op.Kind == SetSysctl {
			changed = u.recordSysctl(op, o.Sysctls[op.Key]) || changed
		}
	}
	return u.recordAddresses(d, o, now) || changed
}

func (u *Undo) recordSysctl(op *Op, value string) bool {
	is, known := u.Sysctls[op.Key]
	next := FoundSysctl{Link: op.Link, Found: value, Set: op.Value}
	if known && is.Link == op.Link {
		next.Found = is.Found
	}
	if known && is == next {
		return false
	}
	if u.Sysctls == nil {
		u.Sysctls = make(map[string]FoundSysctl)
	}
	u.Sysctls[op.Key] = next
	return true
}

func (u *Undo) recordAddresses(d Desired, o Observed, now int64) (changed bool) {
	members, named := make(map[int]string), make(map[netip.Addr]bool)
	for _, g := range d.Groups {
		for _, a := range g.Addresses {
			named[a.Prefix.Addr()] = true
		}
		for _, m := range g.Members {
			if m.Index != 0 {
				members[m.Index] = m.Name
			}
			for _, t := range m.Tests {
				named[t.Addr()] = true
			}
		}
	}
	exists, known := make(map[int]bool), make(map[netip.Addr]bool)
	for _, l := range o.Links {
		exists[l.Index] = true
	}
	for _, f := range u.Addresses {
		// An address that went with its interface is found anew where it comes back.
		known[f.Prefix.Addr()] = known[f.Prefix.Addr()] || exists[f.Link]
	}
	for _, a := range o.Addresses {
		name, member := members[a.Link]
		if !member || a.Proto == Protocol || !named[a.Prefix.Addr()] {
			continue
		}
		if known[a.Prefix.Addr()] {
			changed = u.renew(&a) || changed
			continue
		}
		if !changed {
			u.Addresses = slices.DeleteFunc(slices.Clone(u.Addresses), func(f FoundAddress) bool { return !exists[f.Link] })
		}
		u.Addresses = append(u.Addresses, FoundAddress{Link: a.Link, LinkName: name, Prefix: a.Prefix, Flags: a.Flags,
			Proto: a.Proto, Form: a.Form, At: cmp.Or(a.At, now)})
		changed = true
	}
	return changed
}

// renew notes that somebody has given an adopted address other lifetimes, as a DHCP client does; it
// returns whether that is news.
func (u *Undo) renew(a *HostAddress) bool {
	const rounding = 2 * time.Second // lifetimes come in seconds
	for i, f := range u.Addresses {
		if f.Link != a.Link || f.Prefix != a.Prefix {
			continue
		}
		same := (f.Form.Valid == 0) == (a.Form.Valid == 0)
		if a.Form.Valid != 0 {
			same = same && (time.Duration(a.At-f.At)+a.Form.Valid-f.Form.Valid).Abs() <= rounding
		}
		if !same {
			u.Addresses = slices.Clone(u.Addresses)
			u.Addresses[i].Form, u.Addresses[i].At = a.Form, cmp.Or(a.At, f.At)
		}
		return !same
	}
	return false
}

// secondary is 1 for an IPv4 address that comes after the primary ones.
func (f *FoundAddress) secondary() int {
	if f.Prefix.Addr().Is4() && f.Flags&unix.IFA_F_SECONDARY != 0 {
		return 1
	}
	return 0
}

// Group by its name; nil: it was never at work.
func (u *Undo) Group(name string) *UndoGroup {
	for i := range u.Groups {
		if u.Groups[i].Name == name {
			return &u.Groups[i]
		}
	}
	return nil
}

// Left says whether a group is at work, or was and is not released.
func (u *Undo) Left() bool {
	return slices.ContainsFunc(u.Groups, func(g UndoGroup) bool { return !g.Released })
}

// Forget what has been undone: after the operations of Release were performed.
func (u *Undo) Forget(r Released) {
	scope := newScope(&r)
	u.Groups = slices.Clone(u.Groups)
	for i := range u.Groups {
		if g := &u.Groups[i]; r.All || slices.ContainsFunc(r.Groups, func(x UndoGroup) bool { return x.Name == g.Name }) {
			g.Released = true
		}
	}
	if r.All {
		u.Former = nil
	}
	u.Addresses = slices.DeleteFunc(slices.Clone(u.Addresses), func(f FoundAddress) bool { return scope.address(f.Prefix.Addr()) })
	u.Sysctls = maps.Clone(u.Sysctls)
	maps.DeleteFunc(u.Sysctls, func(_ string, f FoundSysctl) bool { return scope.sysctl(f) })
}
