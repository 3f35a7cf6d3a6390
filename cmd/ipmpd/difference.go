// SPDX-License-Identifier: Apache-2.0

package main

import (
	"reflect"
	"slices"
	"strings"

	"github.com/ipmpd/ipmpd/pkg/config"
)

// difference is what a reload has to do, by the keys of groups and monitored interfaces, in file order.
type difference struct {
	changed, fresh, gone []string
	moved                bool // the order of the groups, which counts for routes
}

// compare the groups that run with those of a file.
func compare(was, is []config.Group) difference {
	var d difference
	old := map[string]*config.Group{}
	var stayed, stay []string
	for i := range was {
		old[was[i].Key()] = &was[i]
	}
	for i := range is {
		name := is[i].Key()
		before := old[name]
		switch {
		case before == nil:
			d.fresh = append(d.fresh, name)
			continue
		case !sameGroup(before, &is[i]):
			d.changed = append(d.changed, name)
		}
		stay = append(stay, name)
	}
	for i := range was {
		if name := was[i].Key(); slices.Contains(stay, name) {
			stayed = append(stayed, name)
		} else {
			d.gone = append(d.gone, name)
		}
	}
	d.moved = !slices.Equal(stayed, stay)
	return d
}

// nothing is to be done.
func (d *difference) nothing() bool {
	return len(d.changed)+len(d.fresh)+len(d.gone) == 0 && !d.moved
}

// String says what is different: "changed: a, b; new: c".
func (d *difference) String() string {
	var parts []string
	for _, p := range []struct {
		what  string
		names []string
	}{{"changed", d.changed}, {"new", d.fresh}, {"gone", d.gone}} {
		if len(p.names) > 0 {
			parts = append(parts, p.what+": "+strings.Join(p.names, ", "))
		}
	}
	if d.moved {
		parts = append(parts, "another order of the groups")
	}
	if len(parts) == 0 {
		return "nothing changed"
	}
	return strings.Join(parts, "; ")
}

// sameGroup: the two mean the same, wherever they stand in the file.
func sameGroup(a, b *config.Group) bool {
	return reflect.DeepEqual(withoutPlaces(a), withoutPlaces(b))
}

func withoutPlaces(g *config.Group) config.Group {
	c := *g
	c.Pos = config.Pos{}
	c.Force = false // asked for before, and never at work
	c.Interfaces, c.Addresses, c.Routes = slices.Clone(c.Interfaces), slices.Clone(c.Addresses), slices.Clone(c.Routes)
	for i := range c.Interfaces {
		c.Interfaces[i].Pos = config.Pos{}
	}
	for i := range c.Addresses {
		c.Addresses[i].Pos = config.Pos{}
	}
	for i := range c.Routes {
		c.Routes[i].Pos = config.Pos{}
	}
	return c
}
