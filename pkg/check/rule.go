// SPDX-License-Identifier: Apache-2.0

package check

import (
	"slices"
	"strings"
)

// Rule is one rule of a firewall, as far as it matters here.
type Rule struct {
	// Where to find it: "nftables inet fw post, handle 19".
	Where string
	// In and Out are the interfaces that it names; nil: any.
	In, Out *Names
	// NAT is masquerade, snat, dnat or redirect; "": it filters.
	NAT string
	// Rest is the rule without the interface: two with the same rest do the same for two interfaces.
	Rest string
}

// Names are the interfaces that a rule matches. A * or + at the end stands for anything.
type Names struct {
	List []string
	Not  bool
}

func (n *Names) match(ifname string) bool {
	if n == nil {
		return true
	}
	return n.Not != slices.ContainsFunc(n.List, func(pattern string) bool {
		if stem, wide := strings.CutSuffix(strings.TrimSuffix(pattern, "+"), "*"); wide || strings.HasSuffix(pattern, "+") {
			return strings.HasPrefix(ifname, stem)
		}
		return pattern == ifname
	})
}

// Rules that bind something to one member. A rule that names every member of a group, or has a
// twin for each of the others, binds nothing.
func Rules(rules []Rule, groups []Group) []Finding {
	const about = "rules"
	var nat, filter []Finding
	for _, g := range groups {
		for _, r := range rules {
			in, out := some(r.In, g.Members), some(r.Out, g.Members)
			switch {
			case r.NAT == "masquerade" && len(matched(r.Out, g.Members)) > 0:
				// Though it names all of them: the source follows the interface that a flow leaves by.
				nat = append(nat, warning(about, "%s masquerades by %s: the kernel resets such connections when they leave by another member",
					r.Where, brace(matched(r.Out, g.Members))).
					do("use snat to a data address of group "+g.Name+" instead, which moves"))
			case len(in)+len(out) == 0 || twins(r, rules, g):
			case r.NAT != "":
				nat = append(nat, warning(about, "%s (%s) is for %s only: after a failover it does not match", r.Where, r.NAT, brace(slices.Concat(in, out))).
					do("name all of "+brace(g.Members)))
			default:
				filter = append(filter, warning(about, "%s is for %s only: it does not match what a failover moves to another member", r.Where, brace(slices.Concat(in, out))).
					do("name all of "+brace(g.Members)))
			}
		}
	}
	return append(atMost(nat, about, "NAT rules"), atMost(filter, about, "rules")...)
}

func matched(n *Names, members []string) (list []string) {
	for _, m := range members {
		if n.match(m) {
			list = append(list, m)
		}
	}
	return list
}

// some are the members that a rule picks out; none where it takes all or none of them.
func some(n *Names, members []string) []string {
	list := matched(n, members)
	if len(list) == len(members) {
		return nil
	}
	return list
}

// twins: for each member there is a rule that says the same.
func twins(r Rule, rules []Rule, g Group) bool {
	for _, m := range g.Members {
		if !slices.ContainsFunc(rules, func(o Rule) bool {
			return o.Rest == r.Rest && (o.In == nil) == (r.In == nil) && (o.Out == nil) == (r.Out == nil) &&
				o.In.match(m) && o.Out.match(m)
		}) {
			return false
		}
	}
	return true
}

// Flowtable is an nftables flowtable and its devices.
type Flowtable struct {
	Where   string
	Devices []string
}

// Flowtables with members: what they forward by themselves never meets the egress switch.
func Flowtables(tables []Flowtable, groups []Group) []Finding {
	var found []Finding
	for _, t := range tables {
		for _, g := range groups {
			var on []string
			for _, m := range g.Members {
				if slices.Contains(t.Devices, m) {
					on = append(on, m)
				}
			}
			if len(on) > 0 {
				found = append(found, warning("rules", "flowtable %s forwards by %s past routes and programs: its flows stay on a failed member until they time out", t.Where, brace(on)).
					do("take the members of group "+g.Name+" out of its devices"))
			}
		}
	}
	return found
}

// NotLookedAt says which tools could not be asked.
func NotLookedAt(tools []string) []Finding {
	if len(tools) == 0 {
		return nil
	}
	return []Finding{note("rules", "not looked at: %s", strings.Join(tools, "; "))}
}
