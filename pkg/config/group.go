// SPDX-License-Identifier: Apache-2.0

package config

import (
	"math"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/goccy/go-yaml/ast"
)

// draft is a group while it is read: what it will be, and where its values stand.
type draft struct {
	Group
	at      map[string]Pos // values of keys, by name
	targets []Pos
	tests   map[string][]Pos // by interface
	homes   []Pos            // as Addresses; zero where the file names none
	routes  []routeDraft     // as Routes
}

type routeDraft struct {
	to, via, src Pos
}

var groupName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func (d *decoder) groups(n ast.Node) ([]Group, error) {
	entries, err := d.mapping(n, "groups")
	if err != nil {
		return nil, err
	}
	groups := make([]Group, 0, len(entries))
	for i, e := range entries {
		if i == maxGroups {
			return nil, d.errorAt(e.at, "remove some", "there are more than %d groups", maxGroups)
		}
		if len(e.key) > maxGroupName || !groupName.MatchString(e.key) {
			return nil, d.errorAt(e.at, "use 1 .. 31 of A-Za-z0-9._- , first a letter or digit",
				"%q is no name for a group", e.key)
		}
		g := draft{Group: groupDefaults(e.key, e.at), at: map[string]Pos{}, tests: map[string][]Pos{}}
		if err := decode(d, e.value, "group "+e.key, groupKeys, &g); err != nil {
			return nil, err
		}
		_, holdDown := g.at["hold-down"]
		fillDefaults(&g.Group, holdDown)
		if err := d.checkGroup(&g); err != nil {
			return nil, err
		}
		groups = append(groups, g.Group)
	}
	return groups, nil
}

// field makes the key whose value is read into what ref points at.
func field[T, V any](name string, ref func(*T) *V, read func(*decoder, ast.Node, string) (V, error)) key[T] {
	return key[T]{name, func(d *decoder, n ast.Node, to *T) error {
		v, err := read(d, n, name)
		if err == nil {
			*ref(to) = v
			if g, ok := any(to).(*draft); ok {
				g.at[name] = place(n)
			}
		}
		return err
	}}
}

func within(low, high int) func(*decoder, ast.Node, string) (int, error) {
	return func(d *decoder, n ast.Node, name string) (int, error) { return d.integer(n, name, low, high) }
}

func lasting(low, high time.Duration) func(*decoder, ast.Node, string) (time.Duration, error) {
	return func(d *decoder, n ast.Node, name string) (time.Duration, error) {
		return d.duration(n, name, low, high)
	}
}

func oneOf[T ~string](values ...T) func(*decoder, ast.Node, string) (T, error) {
	return func(d *decoder, n ast.Node, name string) (T, error) { return choice(d, n, name, values...) }
}

func number32(low int) func(*decoder, ast.Node, string) (uint32, error) {
	return func(d *decoder, n ast.Node, name string) (uint32, error) {
		v, err := d.integer(n, name, low, math.MaxUint32)
		return uint32(v), err
	}
}

var groupKeys = []key[draft]{
	field("detection-time", func(g *draft) *time.Duration { return &g.DetectionTime },
		lasting(minDetectionTime, maxDetectionTime)),
	field("misses", func(g *draft) *int { return &g.Misses }, within(1, maxMisses)),
	field("adapt", func(g *draft) *bool { return &g.Adapt }, (*decoder).boolean),
	field("repair", func(g *draft) *int { return &g.Repair }, within(1, maxRepair)),
	field("hold-down", func(g *draft) *time.Duration { return &g.HoldDown }, lasting(0, 0)),
	field("flap-limit", func(g *draft) *int { return &g.FlapLimit }, within(0, maxFlapLimit)),
	field("failback", func(g *draft) *bool { return &g.Failback }, (*decoder).boolean),
	field("probe", func(g *draft) *Probe { return &g.Probe }, oneOf(ProbeAuto, ProbeICMP, ProbeARP, ProbeLink)),
	{"targets", (*decoder).readTargets},
	field("attach", func(g *draft) *Attach { return &g.Attach },
		oneOf(AttachAuto, AttachXDP, AttachTCX, AttachXDPGeneric)),
	field("duplicate-check", func(g *draft) *bool { return &g.DuplicateCheck }, (*decoder).boolean),
	field("multicast", func(g *draft) *Multicast { return &g.Multicast },
		oneOf(MulticastFailover, MulticastAhead, MulticastOff)),
	{"announce", func(d *decoder, n ast.Node, g *draft) error {
		return decode(d, n, "announce", announceKeys, &g.Announce)
	}},
	field("force", func(g *draft) *bool { return &g.Force }, (*decoder).boolean),
	field("spread", func(g *draft) *Spread { return &g.Spread }, oneOf(SpreadOn, SpreadOff, SpreadL4)),
	{"interfaces", (*decoder).readInterfaces},
	{"addresses", (*decoder).readAddresses},
	{"routes", (*decoder).readRoutes},
}

var announceKeys = []key[Announce]{
	field("count", func(a *Announce) *int { return &a.Count }, within(1, maxAnnounceCount)),
	field("interval", func(a *Announce) *time.Duration { return &a.Interval }, lasting(minAnnounceInterval, 0)),
	field("rate", func(a *Announce) *int { return &a.Rate }, within(0, maxAnnounceRate)),
	field("refresh", func(a *Announce) *time.Duration { return &a.Refresh }, lasting(0, 0)),
}

var interfaceKeys = []key[interfaceDraft]{
	{"test", func(d *decoder, n ast.Node, m *interfaceDraft) error {
		list, err := d.list(n, "test")
		if err != nil {
			return err
		}
		for _, n := range list {
			p, err := d.prefix(n, "test address")
			if err != nil {
				return err
			}
			m.Test = append(m.Test, p)
			m.at = append(m.at, place(n))
		}
		return nil
	}},
	field("standby", func(m *interfaceDraft) *bool { return &m.Standby }, (*decoder).boolean),
}

type interfaceDraft struct {
	Interface
	at []Pos // as Test
}

func (d *decoder) readInterfaces(n ast.Node, g *draft) error {
	entries, err := d.mapping(n, "interfaces")
	if err != nil {
		return err
	}
	return d.interfaces(entries, g)
}

func (d *decoder) interfaces(entries []entry, g *draft) error {
	for _, e := range entries {
		if !interfaceName(e.key) {
			return d.errorAt(e.at, "use 1 .. 15 characters, no space, `/` or `:`", "%q is no name for an interface", e.key)
		}
		m := interfaceDraft{Interface: Interface{Pos: e.at, Name: e.key}}
		if err := decode(d, e.value, "interface "+e.key, interfaceKeys, &m); err != nil {
			return err
		}
		g.Interfaces = append(g.Interfaces, m.Interface)
		g.tests[e.key] = m.at
	}
	return nil
}

// interfaceName follows the kernel's dev_valid_name, and wants to be seen in messages.
func interfaceName(s string) bool {
	odd := func(r rune) bool { return r == '/' || r == ':' || r == ' ' || !unicode.IsPrint(r) }
	return s != "" && len(s) <= maxInterfaceName && s != "." && s != ".." && !strings.ContainsFunc(s, odd)
}

func (d *decoder) readTargets(n ast.Node, g *draft) error {
	list, err := d.list(n, "targets")
	if err != nil {
		return err
	}
	for _, n := range list {
		a, err := d.address(n, "target")
		if err != nil {
			return err
		}
		g.Targets = append(g.Targets, a)
		g.targets = append(g.targets, place(n))
	}
	return nil
}
