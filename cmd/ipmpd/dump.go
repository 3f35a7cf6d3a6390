// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"os"
	"strings"

	"github.com/ipmpd/ipmpd/pkg/control"
)

// dumper writes everything that `status` shows to the log on every SIGUSR1, as in.mpathd does: for
// somebody who has the log of a host and nothing else.
type dumper struct {
	signal <-chan os.Signal
	status func() *control.Status
	log    *slog.Logger
}

// Run until ctx ends.
func (d *dumper) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.signal:
			dump(d.log, d.status())
		}
	}
}

// dump a status, a line for each thing.
func dump(log *slog.Logger, s *control.Status) {
	log.Info("status", "version", s.Version, "heartbeat", formatKnown(s.HeartbeatAgeNS), "groups", len(s.Groups))
	for _, g := range s.Groups {
		log.Info("status of a group", "group", g.Name, "state", g.State, "failback", g.Failback,
			"detection-time", formatNS(g.DetectionTimeNS), "achievable", formatKnown(g.AchievableDetectionTimeNS))
		for _, m := range g.Interfaces {
			dumpMember(log, g.Name, &m)
		}
		for _, a := range g.Addresses {
			log.Info("status of an address", "group", g.Name, "address", a.Address, "state", a.State, "interface", a.Interface, "home", a.Home)
		}
		for _, r := range g.Routes {
			log.Info("status of a route", "group", g.Name, "to", r.To, "via", r.Via, "interfaces", strings.Join(r.Interfaces, " "), "origin", r.Origin)
		}
	}
	for _, m := range s.Monitor {
		dumpMember(log, "", &m)
	}
}

func dumpMember(log *slog.Logger, group string, m *control.Interface) {
	log.Info("status of an interface", "group", group, "interface", m.Name, "state", m.State, "active", m.Active,
		"standby", m.Standby, "link", m.Link, "attach", m.Attach, "cause", m.Cause, "note", m.Note, "flaps", m.Flaps,
		"test", strings.Join(m.TestAddresses, " "))
	for _, name := range []string{"ipv4", "ipv6"} {
		f, ok := m.Families[name]
		if !ok {
			continue
		}
		args := []any{"interface", m.Name, "family", name, "state", f.State, "active", f.Active, "probe", f.Probe,
			"targets", strings.Join(f.Targets, " "), "rtt-p50", formatKnown(f.RTTP50NS), "rtt-p99", formatKnown(f.RTTP99NS)}
		if f.RoundsSent != nil && f.RoundsMissed != nil {
			args = append(args, "sent", *f.RoundsSent, "missed", *f.RoundsMissed)
		}
		log.Info("statistics of an interface", args...)
	}
}
