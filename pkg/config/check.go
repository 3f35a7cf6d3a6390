// SPDX-License-Identifier: Apache-2.0

package config

import "slices"

// checkGroup judges what the keys of a group mean together.
func (d *decoder) checkGroup(g *draft) error {
	for _, check := range []func(*draft) error{
		d.checkMembers, d.checkRounds, d.checkTests, d.checkAddresses, d.checkTargets, d.checkProbe, d.checkRoutes,
	} {
		if err := check(g); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) checkMembers(g *draft) error {
	if len(g.Interfaces) == 0 {
		return d.errorAt(g.Pos, "name them under `interfaces:`", "group %s has no interfaces", g.Name)
	}
	for i, m := range g.Interfaces {
		if other, ok := d.members[m.Name]; ok {
			return d.errorAt(m.Pos, "leave it in one of them", "interface %s is in group %s and in group %s", m.Name, other, g.Name)
		}
		d.members[m.Name] = g.Name
		if i == maxGroupMembers {
			return d.errorAt(m.Pos, "remove some", "group %s has more than %d interfaces", g.Name, maxGroupMembers)
		}
		if len(d.members) > maxMembers {
			return d.errorAt(m.Pos, "remove some", "the groups have more than %d interfaces", maxMembers)
		}
	}
	if !slices.ContainsFunc(g.Interfaces, func(m Interface) bool { return !m.Standby }) {
		return d.errorAt(g.Pos, "take `standby` off one of them", "every interface of group %s is a standby", g.Name)
	}
	return nil
}

func (d *decoder) checkRounds(g *draft) error {
	if g.Interval() >= minInterval {
		return nil
	}
	at, ok := g.at["detection-time"]
	if !ok {
		at = g.at["misses"]
	}
	return d.errorAt(at, "lengthen detection-time or lower misses",
		"detection-time / (misses + 1) is %s, less than %s", short(g.Interval()), short(minInterval))
}

func (d *decoder) checkTargets(g *draft) error {
	for i, a := range g.Targets {
		at := g.targets[i]
		if i == maxTargets {
			return d.errorAt(at, "remove some", "group %s has more than %d targets", g.Name, maxTargets)
		}
		if why := notUnicast(a); why != "" {
			return d.errorAt(at, "use a unicast address", "target %s is %s", a, why)
		}
		if slices.Contains(g.Targets[:i], a) {
			return d.errorAt(at, "remove one of the two", "target %s is there already", a)
		}
		if own := ownAddress(&g.Group, a); own != "" {
			return d.errorAt(at, "name another host", "target %s is %s itself", a, own)
		}
		if _, ok := onLink(&g.Group, a); !ok {
			return d.errorAt(at, "name a host in a subnet of the group"+listed(subnets(&g.Group, a)), "target %s is not on link", a)
		}
	}
	return nil
}

// checkProbe: a member needs a test address of some family to send ICMP from.
func (d *decoder) checkProbe(g *draft) error {
	if g.Probe != ProbeICMP {
		return nil
	}
	for _, m := range g.Interfaces {
		if len(m.Test) == 0 {
			return d.errorAt(g.at["probe"], "give it `test: [ADDRESS/LENGTH]`, or use probe: auto",
				"probe: icmp, but interface %s has no test address", m.Name)
		}
	}
	return nil
}

func listed(subnets string) string {
	if subnets == "" {
		return ""
	}
	return ":" + subnets
}
