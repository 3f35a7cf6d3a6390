// SPDX-License-Identifier: Apache-2.0

package config

import (
	"time"

	"github.com/goccy/go-yaml/ast"
)

// monitorDetection makes eight rounds a second. Nothing moves when a monitored interface fails, so it is
// judged without hurry, after two seconds without an answer, and probed sparingly.
const monitorDetection = 500 * time.Millisecond

// readMonitor reads interfaces that are in no group. They have the form of members; only their test
// addresses mean something, and these are the host's: they are probed from, never set.
func (d *decoder) readMonitor(n ast.Node, c *Config) error {
	entries, err := d.mapping(n, "monitor")
	if err != nil {
		return err
	}
	g := draft{tests: map[string][]Pos{}}
	if err := d.interfaces(entries, &g); err != nil {
		return err
	}
	for i := range g.Interfaces {
		m := &g.Interfaces[i]
		if i+1 > maxGroups {
			return d.errorAt(m.Pos, "remove some", "there are more than %d interfaces under monitor", maxGroups)
		}
		if m.Standby {
			return d.errorAt(m.Pos, "remove `standby`, or put it into a group", "interface %s is monitored, and nothing moves to it", m.Name)
		}
		one := draft{Group: Group{Interfaces: []Interface{*m}}, tests: g.tests}
		if err := d.checkTests(&one); err != nil {
			return err
		}
	}
	c.Monitor = g.Interfaces
	return nil
}

// checkMonitor judges the monitored interfaces and the groups together, whichever come first in the file.
func (d *decoder) checkMonitor(c *Config) error {
	for i, m := range c.Monitor {
		if group, ok := d.members[m.Name]; ok {
			return d.errorAt(m.Pos, "leave it in one of them", "interface %s is in group %s and under monitor", m.Name, group)
		}
		// The BPF programs know a monitored interface as a group of one.
		if len(c.Groups)+i+1 > maxGroups {
			return d.errorAt(m.Pos, "remove some", "there are more than %d groups and monitored interfaces", maxGroups)
		}
		if len(d.members)+i+1 > maxMembers {
			return d.errorAt(m.Pos, "remove some", "there are more than %d interfaces", maxMembers)
		}
	}
	return nil
}

// Monitors reports whether g is no group but one monitored interface.
func (g *Group) Monitors() bool { return g.Name == "" && len(g.Interfaces) == 1 }

// Key tells a group, or a monitored interface, from all others: no group has a blank in its name.
func (g *Group) Key() string {
	if g.Monitors() {
		return "monitor " + g.Interfaces[0].Name
	}
	return g.Name
}

// called is g in messages.
func (g *Group) called() string {
	if g.Monitors() {
		return "interface " + g.Interfaces[0].Name
	}
	return "group " + g.Name
}

// Watched is the groups and, behind them, each monitored interface as a group of one without a name:
// the anonymous group of Solaris (spec section 1.1), whose members have nothing to do with each other.
func (c *Config) Watched() []Group {
	list := make([]Group, 0, len(c.Groups)+len(c.Monitor))
	list = append(list, c.Groups...)
	for _, m := range c.Monitor {
		g := groupDefaults("", m.Pos)
		g.DetectionTime = monitorDetection
		g.DuplicateCheck = false
		g.Multicast = MulticastOff // there is nobody to take over
		g.Spread = SpreadOff
		g.Interfaces = []Interface{m}
		list = append(list, g)
	}
	return list
}
