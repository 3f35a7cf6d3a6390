// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Standing is the host as the last plan left it: what it looked like, and what was done since.
type Standing struct {
	desired Desired
	before  Observed
	ops     []Op
}

// Left is what stands once ops have been performed on o.
func Left(d Desired, o Observed, ops []Op) *Standing {
	return &Standing{desired: d, before: o, ops: ops}
}

// Drift is an operation that puts right what others have changed of ours.
type Drift struct {
	Op *Op
	// Did is what they did, as the end of a sentence that begins with "somebody".
	Did string
	// Follows: it went along with something else that is among the drifts (the routes of an address,
	// the group of a nexthop). It is repaired, and not worth words of its own.
	Follows bool
}

// Drifted tells which of ops, planned for d on the host as it is now, put right what others have
// changed since s: the object was left as the operation makes it, and is not so any more. What the
// kernel takes away with a link is nobody's doing, so where a link of a group has changed, the
// group's addresses, nexthops and routes are not looked at. Neighbour entries come and go.
func (s *Standing) Drifted(d Desired, now Observed, ops []Op) []Drift {
	if s == nil || !slices.ContainsFunc(ops, func(op Op) bool { return mayDrift(op.Kind) }) {
		return nil
	}
	left := newModel(&s.before)
	for i := range s.ops {
		_ = left.apply(&s.ops[i]) // refused: nothing changed
	}
	c := comparison{left: left, now: newModel(&now), stirred: stirred(&s.desired, &d, left, now.Links)}
	var found []Drift
	for i := range ops {
		if did := c.did(&ops[i]); did != "" {
			found = append(found, Drift{Op: &ops[i], Did: did})
		}
	}
	markFollowing(found)
	return found
}

func mayDrift(k Kind) bool {
	switch k {
	case SetSysctl, SetNexthop, SetNexthopGroup, AddAddress, SetRoute, DeleteAddress:
		return true
	}
	return false
}

// stirred are the slots of groups with a member whose link is not what it was.
func stirred(before, d *Desired, left *model, links []HostLink) map[int]bool {
	now := make(map[int]HostLink, len(links))
	for _, l := range links {
		now[l.Index] = l
	}
	was := make(map[int][]Member, len(before.Groups))
	for _, g := range before.Groups {
		was[g.Slot] = g.Members
	}
	same := func(a, b Member) bool {
		x, y := left.links[a.Index], now[b.Index]
		return a.Index == b.Index && a.Link == b.Link && x.Name == y.Name && x.Up == y.Up && x.Carrier == y.Carrier
	}
	out := map[int]bool{}
	for _, g := range d.Groups {
		if !slices.EqualFunc(was[g.Slot], g.Members, same) {
			out[g.Slot] = true
		}
	}
	return out
}

// comparison of the host as it was left with the host as it is.
type comparison struct {
	left, now *model
	stirred   map[int]bool
}

// did is what others did that op puts right; "" for nothing.
func (c *comparison) did(op *Op) string {
	if op.Kind == SetSysctl {
		return c.setSysctl(op)
	}
	if !mayDrift(op.Kind) || c.stirred[op.Group] {
		return ""
	}
	switch op.Kind {
	case AddAddress:
		return c.address(op)
	case DeleteAddress:
		if _, there := c.left.links[op.Link]; there && !c.left.has(op.Link, op.Prefix) {
			return "put it on this interface too"
		}
	case SetNexthop, SetNexthopGroup:
		return c.nexthop(op)
	case SetRoute:
		key := routeKey{op.Table, op.Prefix, op.Metric}
		ours := func(h HostRoute) bool {
			return h.Protocol == Protocol && h.NHID == op.ID && h.Src == op.Src && h.Metrics == op.Metrics
		}
		switch {
		case !slices.ContainsFunc(c.left.routes[key], ours):
		case len(c.now.routes[key]) == 0:
			return "deleted the route " + routeText(op.Prefix)
		default:
			return "changed the route " + routeText(op.Prefix)
		}
	}
	return ""
}

func routeText(p netip.Prefix) string {
	if p.Bits() == 0 {
		return "default"
	}
	return p.String()
}

func (c *comparison) address(op *Op) string {
	i := c.left.find(op.Link, op.Prefix)
	if i < 0 {
		return ""
	}
	j := c.now.find(op.Link, op.Prefix)
	if j < 0 {
		return "deleted it"
	}
	deprecated := func(a HostAddress) bool { return a.Flags&unix.IFA_F_DEPRECATED != 0 }
	if deprecated(c.left.addrs[i]) == op.Test && deprecated(c.now.addrs[j]) != op.Test {
		return "changed its preferred lifetime"
	}
	return ""
}

func (c *comparison) nexthop(op *Op) string {
	was, ok := c.left.nexthops[op.ID]
	is, there := c.now.nexthops[op.ID]
	if !ok || was.Protocol != Protocol || was.Link != op.Link || was.Gateway != op.Gateway || !slices.Equal(was.Hops, op.Hops) || !slices.Equal(was.Weights, op.Weights) {
		return ""
	}
	what := "nexthop"
	if op.Kind == SetNexthopGroup {
		what = "nexthop group"
	}
	verb := "deleted"
	if there {
		if is.Link == was.Link && is.Gateway == was.Gateway && is.Protocol == was.Protocol && slices.Equal(is.Hops, was.Hops) && slices.Equal(is.Weights, was.Weights) {
			return ""
		}
		verb = "changed"
	}
	return fmt.Sprintf("%s %s %d", verb, what, op.ID)
}

// setSysctl: the value of the member counts, and that of `all`.
func (c *comparison) setSysctl(op *Op) string {
	if c.left.links[op.Link].Name != c.now.links[op.Link].Name {
		return "" // another interface has other values
	}
	keys := []string{op.Key}
	if dir, name, ok := cutLast(op.Key); ok && op.Link != 0 {
		if dir, _, ok := cutLast(dir); ok {
			keys = append(keys, dir+"/all/"+name)
		}
	}
	for _, key := range keys {
		was, before := c.left.sysctls[key]
		is, there := c.now.sysctls[key]
		if before && there && was != is {
			return fmt.Sprintf("set %s to %s", key, is)
		}
	}
	return ""
}

func cutLast(key string) (before, after string, ok bool) {
	i := strings.LastIndexByte(key, '/')
	if i < 0 {
		return key, "", false
	}
	return key[:i], key[i+1:], true
}

// gateOf an id of a nexthop or group of ours: all that has to do with one way out.
func gateOf(id uint32) uint32 { return id &^ 63 }

// markFollowing: of a change only the cause is told. The kernel takes a nexthop out of its groups,
// with an empty group its routes, and with an address the routes that prefer it.
func markFollowing(found []Drift) {
	sources, hops, groups := map[netip.Addr]bool{}, map[uint32]bool{}, map[uint32]bool{}
	for i := range found {
		switch op := found[i].Op; op.Kind {
		case AddAddress:
			sources[op.Prefix.Addr()] = true
		case SetNexthop:
			hops[gateOf(op.ID)] = true
		case SetNexthopGroup:
			groups[gateOf(op.ID)] = true
		}
	}
	for i := range found {
		switch op := found[i].Op; op.Kind {
		case SetNexthopGroup:
			found[i].Follows = hops[gateOf(op.ID)]
		case SetRoute:
			found[i].Follows = sources[op.Src] || hops[gateOf(op.ID)] || groups[gateOf(op.ID)]
		}
	}
}

// Postpone returns ops without those that wait, and without what needs them done: nothing is taken
// away for a thing that is not there yet.
func Postpone(ops []Op, waits func(*Op) bool) []Op {
	var rest []Op
	ids, ips, routes := map[uint32]bool{}, map[netip.Addr]bool{}, map[netip.Prefix]bool{}
	for i := range ops {
		op := &ops[i]
		without := waits(op)
		switch op.Kind {
		case SetNexthopGroup:
			without = without || slices.ContainsFunc(op.Hops, func(id uint32) bool { return ids[id] })
		case SetRoute:
			without = without || ids[op.ID] || ips[op.Src]
		case DeleteRoute:
			without = without || routes[op.Prefix]
		case DeleteAddress:
			without = without || ips[op.Prefix.Addr()]
		case DeleteNexthop:
			without = without || len(routes) > 0
		}
		if !without {
			rest = append(rest, *op)
			continue
		}
		switch op.Kind {
		case SetNexthop, SetNexthopGroup:
			ids[op.ID] = true
		case AddAddress:
			ips[op.Prefix.Addr()] = true
		case SetRoute:
			routes[op.Prefix] = true
		}
	}
	return rest
}
