// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"cmp"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// listed is an address of one interface and family.
type listed struct {
	prefix    netip.Prefix
	secondary bool
}

// addressOrder is the addresses of one interface and family, oldest first; of IPv4 as the kernel lists
// them, primary ones in front.
type addressOrder []listed

// order of the addresses of one interface and family.
func (m *model) order(link, family int) addressOrder {
	var primary, rest []int
	for i := range m.addrs {
		switch a := &m.addrs[i]; {
		case a.Link != link || familyOf(a.Prefix.Addr()) != family:
		case family == 0 && a.Flags&unix.IFA_F_SECONDARY != 0:
			rest = append(rest, i)
		default:
			primary = append(primary, i)
		}
	}
	slices.SortFunc(primary, func(i, j int) int { return cmp.Compare(m.age(i), m.age(j)) })
	var o addressOrder
	for n, i := range slices.Concat(primary, rest) {
		o = append(o, listed{prefix: m.addrs[i].Prefix, secondary: n >= len(primary)})
	}
	return o
}

// again returns the addresses that, deleted and added again one after the other, bring those that are
// wanted into that order; nil where they are, or where it cannot be had, because of somebody else's
// primary address as a rule.
func (o addressOrder) again(wanted []netip.Prefix) []netip.Prefix {
	const passes = 4 // what a deletion makes a primary address may have to be passed once more
	var done []netip.Prefix
	o = slices.Clone(o)
	for range passes {
		from := o.inOrder(wanted)
		if from == len(wanted) {
			return done
		}
		for _, p := range wanted[from:] {
			o = o.renew(p)
			done = append(done, p)
		}
	}
	if o.inOrder(wanted) == len(wanted) {
		return done
	}
	return nil
}

// inOrder is how many of the wanted ones, from the first, are in their order already.
func (o addressOrder) inOrder(wanted []netip.Prefix) (n int) {
	for _, l := range o {
		if n < len(wanted) && l.prefix == wanted[n] {
			n++
		}
	}
	return n
}

// renew deletes an address and adds it again, as the kernel does it with promote_secondaries
// (net/ipv4/devinet.c): the next one of its subnet takes its place as the primary address, behind all
// other primary ones.
func (o addressOrder) renew(p netip.Prefix) addressOrder {
	i := slices.IndexFunc(o, func(l listed) bool { return l.prefix == p })
	was := o[i]
	o = slices.Delete(o, i, i+1)
	if p.Addr().Is6() {
		return append(o, was)
	}
	same := func(l listed) bool { return l.prefix.Masked() == p.Masked() }
	if next := slices.IndexFunc(o, same); next >= 0 && !was.secondary {
		promoted := o[next]
		o = slices.Delete(o, next, next+1).insertPrimary(promoted.prefix)
	}
	if slices.ContainsFunc(o, same) {
		return append(o, listed{prefix: p, secondary: true})
	}
	return o.insertPrimary(p)
}

func (o addressOrder) insertPrimary(p netip.Prefix) addressOrder {
	at := slices.IndexFunc(o, func(l listed) bool { return l.secondary })
	if at < 0 {
		at = len(o)
	}
	return slices.Insert(o, at, listed{prefix: p})
}
