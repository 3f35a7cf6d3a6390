// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ipmpd/ipmpd/pkg/control"
)

// oldHeartbeat is when status says that the prober stands still: nothing is
// detected any more, though what was switched stays so.
const oldHeartbeat = int64(time.Second)

// writeStatus draws a status for a person.
func writeStatus(w io.Writer, s *control.Status) error {
	out := &errWriter{w: w}
	if s.HeartbeatAgeNS != nil && *s.HeartbeatAgeNS > oldHeartbeat {
		fmt.Fprintf(out, "The prober has not gone round for %s: nothing new is detected.\n\n", formatNS(*s.HeartbeatAgeNS))
	}
	if len(s.Groups)+len(s.Monitor) == 0 {
		fmt.Fprintln(out, "no groups")
	}
	for i, g := range s.Groups {
		if i > 0 {
			fmt.Fprintln(out)
		}
		writeGroup(out, g)
	}
	if len(s.Monitor) > 0 {
		if len(s.Groups) > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "watched only\n\n")
		out.table(membersTable(s.Monitor))
	}
	return out.err
}

func writeGroup(out *errWriter, g control.Group) {
	fmt.Fprintf(out, "%s  %s\n", g.Name, g.State)
	detection := "detects in " + formatNS(g.DetectionTimeNS)
	if a := g.AchievableDetectionTimeNS; a != nil {
		detection += ", achievable now " + formatNS(*a)
	}
	if !g.Failback {
		detection += ", no failback"
	}
	fmt.Fprintf(out, "  %s\n\n", detection)
	out.table(membersTable(g.Interfaces))

	if len(g.Addresses) > 0 {
		t := newTable("  ")
		t.add("ADDRESS", "STATE", "ON", "HOME")
		for _, a := range g.Addresses {
			on := orDash(a.Interface)
			if a.Interface != "" && a.Interface != a.Home {
				on += " (away)"
			}
			t.add(a.Address, a.State, on, orDash(a.Home))
		}
		fmt.Fprintln(out)
		out.table(t)
	}
	if len(g.Routes) > 0 {
		t := newTable("  ")
		t.add("ROUTE", "VIA", "OVER", "ORIGIN")
		for _, r := range g.Routes {
			via := r.Via
			if via == "" {
				via = "on link"
			}
			t.add(r.To, via, orDash(strings.Join(r.Interfaces, ", ")), r.Origin)
		}
		fmt.Fprintln(out)
		out.table(t)
	}
	if len(g.ForeignAddresses) > 0 {
		t := newTable("  ")
		t.add("NOT IPMPD'S", "ON")
		for _, a := range g.ForeignAddresses {
			t.add(a.Address, a.Interface)
		}
		fmt.Fprintln(out)
		out.table(t)
	}
	if len(g.ForeignRoutes) > 0 {
		t := newTable("  ")
		t.add("ROUTE THAT STAYS", "VIA", "OVER", "WHY")
		named := g.ForeignRoutes[:min(len(g.ForeignRoutes), sayForeign)]
		for _, r := range named {
			via := strings.Join(r.Via, ", ")
			if via == "" {
				via = "on link"
			}
			t.add(r.To, via, strings.Join(r.Interfaces, ", "), r.Why)
		}
		if more := g.ForeignRouteCount - len(named); more > 0 {
			t.add(fmt.Sprintf("and %d more", more))
		}
		fmt.Fprintln(out)
		out.table(t)
	}
}

// sayForeign is how many routes that stay the text names.
const sayForeign = 10

func membersTable(members []control.Interface) *table {
	t := newTable("  ")
	t.add("MEMBER", "STATE", "ACTIVE", "LINK", "PROBE", "RTT P50", "P99", "TEST", "ATTACH", "NOTES")
	for _, m := range members {
		probe := m.Probe
		if m.ProbeKind != "" && m.Probe != "disabled" {
			probe = m.ProbeKind + " " + m.Probe
		}
		t.add(m.Name, m.State, yesNo(m.Active), m.Link, probe, formatKnown(m.RTTP50NS), formatKnown(m.RTTP99NS),
			orDash(strings.Join(m.TestAddresses, ", ")), orDash(m.Attach), strings.Join(memberNotes(m), "; "))
	}
	return t
}

// memberNotes is what a row has no column for and an operator wants to know.
func memberNotes(m control.Interface) []string {
	var notes []string
	if m.Standby {
		notes = append(notes, "standby")
	}
	if v4, v6 := m.Families["ipv4"], m.Families["ipv6"]; v4.State != "" && v6.State != "" && v4.State != v6.State {
		notes = append(notes, fmt.Sprintf("ipv4 %s, ipv6 %s", v4.State, v6.State))
	}
	notes = append(notes, nonEmpty(m.Cause, m.Note)...)
	if m.RoundsMissed != nil && m.RoundsSent != nil && *m.RoundsMissed > 0 {
		notes = append(notes, fmt.Sprintf("missed %d of %d rounds", *m.RoundsMissed, *m.RoundsSent))
	}
	switch {
	case m.Flaps == 1:
		notes = append(notes, "1 flap")
	case m.Flaps > 1:
		notes = append(notes, fmt.Sprintf("%d flaps", m.Flaps))
	}
	return notes
}

// errWriter remembers the first error, so that drawing needs to look once.
type errWriter struct {
	w   io.Writer
	err error
}

func (e *errWriter) Write(b []byte) (int, error) {
	if e.err == nil {
		_, e.err = e.w.Write(b)
	}
	return len(b), nil
}

func (e *errWriter) table(t *table) { _ = t.write(e) }
