// SPDX-License-Identifier: Apache-2.0

package solaris

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/ipmpd/ipmpd/pkg/control"
)

// Mode is what ipmpstat shows.
type Mode byte

// The modes, by their option.
const (
	Addresses  Mode = 'a'
	Groups     Mode = 'g'
	Interfaces Mode = 'i'
	Probes     Mode = 'p'
	Targets    Mode = 't'
)

// Options of ipmpstat.
type Options struct {
	Mode     Mode
	Fields   string                  // -o, comma-separated; "": the default ones
	Parsable bool                    // -P
	Name     func(netip.Addr) string // shows an address; nil: as it is (-n)
	Screen   int                     // lines; 0: 24
}

// Stat prints in one mode.
type Stat struct {
	o      Options
	table  table
	fields []field
}

// field of a mode: its column, and its value in a row.
type field struct {
	column
	value func(*row) string
}

// NewStat returns what prints to w, and what is to be said about fields that are not known. With -P
// that is an error, and so is a list in which none is known.
func NewStat(w io.Writer, o Options) (*Stat, []string, error) {
	if o.Screen <= 1 {
		o.Screen = 24
	}
	if o.Name == nil {
		o.Name = netip.Addr.String
	}
	all := modes[o.Mode]
	if len(all) == 0 {
		return nil, nil, fmt.Errorf("there is no mode -%c", o.Mode)
	}
	s := &Stat{o: o, table: table{w: w, parsable: o.Parsable, screen: o.Screen}}
	var warnings []string
	switch {
	case o.Parsable && o.Fields == "":
		return nil, nil, errors.New("-P requires -o")
	case o.Parsable && strings.EqualFold(o.Fields, "all"):
		return nil, nil, errors.New("-P requires the names of fields, not \"all\"")
	case o.Fields == "":
		s.fields = slices.DeleteFunc(slices.Clone(all), func(f field) bool { return f.name == "RTTDEV" })
	case strings.EqualFold(o.Fields, "all"):
		s.fields = all
	default:
		for name := range strings.SplitSeq(o.Fields, ",") {
			i := slices.IndexFunc(all, func(f field) bool { return strings.EqualFold(f.name, name) })
			switch {
			case i >= 0:
				s.fields = append(s.fields, all[i])
			case o.Parsable:
				return nil, nil, fmt.Errorf("unknown output field %q; -%c has %s", name, o.Mode, names(all))
			default:
				warnings = append(warnings, fmt.Sprintf("unknown output field %q", name))
			}
		}
		if len(s.fields) == 0 {
			return nil, nil, fmt.Errorf("no valid output field in %q; -%c has %s", o.Fields, o.Mode, names(all))
		}
	}
	for _, f := range s.fields {
		s.table.columns = append(s.table.columns, f.column)
	}
	return s, warnings, nil
}

func names(fields []field) string {
	list := make([]string, len(fields))
	for i, f := range fields {
		list[i] = f.name
	}
	return strings.Join(list, " ")
}

// Status prints a status, in every mode but Probes.
func (s *Stat) Status(st *control.Status) error {
	for _, r := range rowsOf(s.o.Mode, st) {
		if err := s.print(&r); err != nil {
			return err
		}
	}
	return nil
}

func (s *Stat) print(r *row) error {
	r.show = s.o.Name
	values := make([]string, len(s.fields))
	for i, f := range s.fields {
		values[i] = f.value(r)
	}
	return s.table.row(values)
}

// row is what one line is about; which of it is set depends on the mode.
type row struct {
	show    func(netip.Addr) string
	group   *control.Group // nil: of an interface in no group
	member  *control.Interface
	address *control.Address
	family  string // "": neither is probed
	probe   *control.Probe
	since   int64 // ns from the start of the command to the probe
}

// named is the text of an address, without length, as the operator wants to see it.
func (r *row) named(text string) string {
	a, err := netip.ParseAddr(text)
	if err != nil {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return text
		}
		a = p.Addr()
	}
	return r.show(a)
}

func rowsOf(mode Mode, st *control.Status) []row {
	var rows []row
	seen := make(map[string]int) // addresses of a group, by where they are in rows
	for i := range st.Groups {
		g := &st.Groups[i]
		switch mode {
		case Groups:
			rows = append(rows, row{group: g})
		case Addresses:
			clear(seen)
			for j := range g.Addresses {
				a := &g.Addresses[j]
				at, twice := seen[a.Address]
				switch {
				case !twice:
					seen[a.Address] = len(rows)
					rows = append(rows, row{group: g, address: a})
				case a.State == "up":
					rows[at].address = a
				}
			}
		default:
			rows = append(rows, memberRows(mode, g, g.Interfaces)...)
		}
	}
	switch {
	case len(st.Monitor) == 0:
	case mode == Groups:
		// The anonymous group has no name, and is never anything but ok (spec sections 1.4, 7.1).
		rows = append(rows, row{group: &control.Group{State: "ok", Interfaces: st.Monitor}})
	case mode == Interfaces || mode == Targets:
		rows = append(rows, memberRows(mode, nil, st.Monitor)...)
	}
	return rows
}

func memberRows(mode Mode, g *control.Group, members []control.Interface) []row {
	var rows []row
	for i := range members {
		m := &members[i]
		if mode == Interfaces {
			rows = append(rows, row{group: g, member: m})
			continue
		}
		before := len(rows)
		for _, family := range []string{"ipv4", "ipv6"} {
			if f, ok := m.Families[family]; ok && f.Probe != "disabled" && f.Probe != "" {
				rows = append(rows, row{group: g, member: m, family: family})
			}
		}
		if len(rows) == before {
			rows = append(rows, row{group: g, member: m})
		}
	}
	return rows
}
