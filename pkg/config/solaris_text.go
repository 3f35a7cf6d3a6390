// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// solarisGroup is a group as YAML has it: its members, and the addresses of all of them.
type solarisGroup struct {
	at        word // that named it first
	members   []*solarisMember
	addresses []solarisAddress
}

type solarisMember struct {
	*solarisInterface
	tests []solarisAddress
}

// probed: it has a test address, or is told to use the link-local one, which has no word.
func (m *solarisMember) probed() bool {
	return len(m.tests) > 0 || slices.ContainsFunc(m.units, func(u *solarisUnit) bool {
		return u.v6 && u.address.text == "" && u.test.text != ""
	})
}

type solarisAddress struct {
	netip.Prefix
	at   word
	home string // "": of the group's own interface
}

// yaml writes down what the files say, with the word that each line comes from.
func (h *solarisHost) yaml(r *solarisReader) ([]byte, origins, error) {
	groups, monitored, err := h.groups(r)
	if err != nil {
		return nil, nil, err
	}
	if len(groups)+len(monitored) == 0 {
		return nil, nil, &Error{File: r.path("etc/hostname.*"), Cause: "no interface is in a group",
			Advice: "write `group NAME` into the files of its interfaces, or name the right folder"}
	}
	t := &yamlText{}
	t.line(word{}, "# From the Solaris files below %s, by `ipmpd import`.", shown(r.root))
	for _, w := range r.warnings {
		t.line(word{}, "# %s", shown(w.String()))
	}
	if len(groups) > 0 {
		t.line(word{}, "groups:")
	}
	for _, g := range groups {
		t.group(g, &h.mpathd)
	}
	if len(monitored) > 0 {
		t.line(h.mpathd.trackAll, "monitor:")
	}
	for _, m := range monitored {
		t.member(m, "  ")
	}
	return []byte(t.text.String()), t.origin, nil
}

// groups in the order in which the files name them, and the interfaces that are in none but watched all
// the same.
func (h *solarisHost) groups(r *solarisReader) (groups []*solarisGroup, monitored []*solarisMember, err error) {
	for _, m := range h.interfaces {
		// An interface of kind ipmp has its own name for its group where the file gives none.
		if m.ipmp && m.group.text == "" {
			m.group = m.at
		}
		tests, data, err := r.addresses(m)
		if err != nil {
			return nil, nil, err
		}
		if m.group.text == "" && h.mpathd.trackAll.text != "" {
			r.warn(m.at, "they are left to whatever configures them", "it is watched only, and its addresses are not set, as it is in no group")
			monitored = append(monitored, &solarisMember{m, tests})
			continue
		}
		if m.group.text == "" {
			r.warn(m.at, "it is left to whatever configures it", "left out, as it is in no group")
			continue
		}
		i := slices.IndexFunc(groups, func(g *solarisGroup) bool { return g.at.text == m.group.text })
		if i < 0 {
			i = len(groups)
			groups = append(groups, &solarisGroup{at: m.group})
		}
		g := groups[i]
		if !m.ipmp {
			g.members = append(g.members, &solarisMember{m, tests})
		}
		g.addresses = append(g.addresses, data...)
	}
	return groups, monitored, nil
}

// addresses of an interface that are up, those that do not fail over apart.
func (r *solarisReader) addresses(m *solarisInterface) (tests, data []solarisAddress, err error) {
	for _, u := range m.units {
		if u.address.text == "" {
			continue
		}
		p, err := r.prefixOf(u)
		if err != nil {
			return nil, nil, err
		}
		if !u.up {
			r.warn(u.address, "write `up` behind it", "left out, as it is not up")
			continue
		}
		a := solarisAddress{Prefix: p, at: u.address}
		if u.test.text != "" {
			tests = append(tests, a)
			continue
		}
		if m.group.text != "" && u.deprecated.text != "" {
			return nil, nil, u.deprecated.wrong("remove it, or write `-failover` too", "%s fails over, and ipmpd has no such address that is no source", u.address)
		}
		if m.group.text != "" && m.standby.text != "" {
			return nil, nil, u.address.wrong("write `-failover`, or move it to another interface", "a standby has test addresses only, by %s", m.standby.place())
		}
		if !m.ipmp {
			a.home = m.name
		}
		data = append(data, a)
	}
	return tests, data, nil
}

// prefixOf a unit's address.
func (r *solarisReader) prefixOf(u *solarisUnit) (netip.Prefix, error) {
	a, length := u.is, u.length
	switch {
	case u.v6 && length < 0:
		return netip.Prefix{}, u.address.wrong(fmt.Sprintf("write it, as %s/64", u.address), "the address has no length")
	case u.v6 || length >= 0 && (u.mask.text == "" || u.mask.text == "+"):
		// A length says it all; what is looked up would say it again.
	case u.mask.text == "":
		return netip.Prefix{}, u.address.wrong("write `netmask +` or `netmask MASK` behind it", "the address has no netmask")
	case u.mask.text == "+":
		var ok bool
		if length, ok = r.maskOf(a); !ok {
			return netip.Prefix{}, u.address.wrong("add the network there, or write the netmask in place of `+`",
				"%s has no netmask in %s", a, r.path("etc/netmasks"))
		}
	default:
		n, ok := maskLength(u.mask.text)
		if !ok || length >= 0 && length != n {
			return netip.Prefix{}, u.mask.wrong("write one, as 255.255.255.0", "this is no netmask for %s", u.address)
		}
		length = n
	}
	p := netip.PrefixFrom(a, length)
	if b := u.broadcast.text; b != "" && b != "+" && b != broadcast(p).String() {
		return netip.Prefix{}, u.broadcast.wrong("write `broadcast +`", "the broadcast address of %s is %s", p, broadcast(p))
	}
	return p, nil
}

// yamlText is YAML while it is written.
type yamlText struct {
	text   strings.Builder
	origin origins
}

func (t *yamlText) line(from word, format string, args ...any) {
	fmt.Fprintf(&t.text, format, args...)
	if from.file != "" {
		fmt.Fprintf(&t.text, " # %s: %s", shown(from.place()), from)
	}
	t.text.WriteByte('\n')
	t.origin = append(t.origin, from)
}

func (t *yamlText) group(g *solarisGroup, m *solarisMpathd) {
	t.line(g.at, "  %s:", scalar(g.at.text))
	if m.detection.text != "" {
		time := fmt.Sprintf("%dms", m.detectionTime.Milliseconds())
		if m.detectionTime.Milliseconds()%1000 == 0 {
			time = short(m.detectionTime)
		}
		t.line(m.detection, "    detection-time: %s", time)
	}
	if m.failbackWord.text != "" {
		t.line(m.failbackWord, "    failback: %t", m.failback)
	}
	if !slices.ContainsFunc(g.members, (*solarisMember).probed) {
		t.line(word{}, "    # Without a test address Solaris judges by the link alone; ipmpd could ask neighbours: `probe: auto`.")
		t.line(g.at, "    probe: link")
	}
	t.line(g.at, "    interfaces:")
	for _, m := range g.members {
		t.member(m, "      ")
	}
	if len(g.addresses) > 0 {
		t.line(g.at, "    addresses:")
	}
	for _, a := range g.addresses {
		t.line(a.at, "      - address: %q", a.Prefix)
		if a.home != "" {
			t.line(a.at, "        home: %s", scalar(a.home))
		}
	}
}

// member of a group, or an interface that is watched only: there standby means nothing, on Solaris too.
func (t *yamlText) member(m *solarisMember, indent string) {
	t.line(m.at, "%s%s:", indent, scalar(m.name))
	if m.standby.text != "" && m.group.text != "" {
		t.line(m.standby, "%s  standby: true", indent)
	}
	if len(m.tests) > 0 {
		t.line(m.at, "%s  test:", indent)
	}
	for _, a := range m.tests {
		t.line(a.at, "%s    - %q", indent, a.Prefix)
	}
}

var plainScalar = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]*[0-9]$`)

// scalar is quoted where YAML might take it for something else than a name.
func scalar(s string) string {
	if plainScalar.MatchString(s) {
		return s
	}
	return fmt.Sprintf("%q", s)
}

// shown on one line of a comment.
func shown(s string) string {
	odd := func(r rune) bool { return r < ' ' || r > '~' }
	if strings.ContainsFunc(s, odd) {
		return fmt.Sprintf("%q", s)
	}
	return s
}
