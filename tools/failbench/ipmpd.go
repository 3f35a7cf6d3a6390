// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// ipmpd is one mode of the daemon.
type ipmpd struct {
	binary, attach, probe string
	round                 time.Duration
	misses                int

	daemon *lab.Daemon
	seen   int64 // newest history entry that was told
}

// ipmpds are the modes that take part.
func ipmpds(binary string) []entrant {
	var list []entrant
	subject := func() (string, error) { return ipmpdSubject(binary) }
	for _, attach := range []string{"tcx", "xdp"} {
		for _, probe := range []string{"icmp", "arp"} {
			for _, round := range []time.Duration{50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, time.Millisecond, 25 * time.Millisecond} {
				if probe == "arp" && (round == 50*time.Microsecond || round == 250*time.Microsecond) {
					continue // the whole benchmark has an hour
				}
				d := ipmpd{binary: binary, attach: attach, probe: probe, round: round, misses: 3}
				if round < 100*time.Microsecond {
					d.misses = 2
				}
				first := attach == "tcx" && probe == "icmp"
				list = append(list, entrant{
					Name: fmt.Sprintf("ipmpd-%s-%s-%s", attach, probe, ascii(round)), Family: "ipmpd",
					Settings: fmt.Sprintf("attach %s, probe %s, rounds of %s, %d misses", attach, probe, ascii(round), d.misses),
					Interval: round,
					Headline: first && round <= time.Millisecond,
					Full:     first && (round == 100*time.Microsecond || round == time.Millisecond),
					Watched:  first && round == 100*time.Microsecond,
					Subject:  subject, New: d.new,
				})
			}
		}
	}
	list = append(list, slower(binary)...)
	d := ipmpd{binary: binary, attach: "tcx", probe: "link", round: 25 * time.Millisecond, misses: 3}
	return append(list, entrant{Name: "ipmpd-link", Family: "ipmpd", Settings: "probe link: the carrier only",
		Blind: true, Subject: subject, New: d.new})
}

func (d ipmpd) new() contender { return &d }

// ascii has no Greek letter, which a file's name is better without.
func ascii(d time.Duration) string { return strings.ReplaceAll(d.String(), "µ", "u") }

func ipmpdSubject(binary string) (string, error) {
	text, err := os.ReadFile(binary)
	if err != nil {
		return "", fmt.Errorf("%w; make build", err)
	}
	out, err := exec.Command(binary, "version").Output()
	if err != nil {
		return "", fmt.Errorf("%s version: %w", binary, err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return fmt.Sprintf("%s, sha256 %.6x", strings.Join(strings.Fields(first), " "), sha256.Sum256(text)), nil
}

// Setup starts the daemon. Outbound traffic leaves by the member that has the address, so that one
// cut meets both directions.
func (d *ipmpd) Setup(t *topology) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("groups:\n  bench:\n    detection-time: %s\n    misses: %d", ascii(time.Duration(d.misses+1)*d.round), d.misses)
	line("    probe: %s\n    attach: %s\n    flap-limit: 0\n    hold-down: 0s\n    duplicate-check: false\n    spread: false", d.probe, d.attach)
	if d.probe != "link" {
		line("    targets: [%s]", lab.Router)
	}
	line("    interfaces:")
	for i, m := range t.Members {
		line("      %s:\n        test: [%q]", m.Name, netip.PrefixFrom(lab.TestAddr(i), 24))
	}
	line("    addresses:")
	for _, a := range t.dataAddresses() {
		line("      - {address: %q, home: %s}", a, t.Members[0].Name)
	}
	if _, err := t.Config("ipmpd.yaml", b.String()); err != nil {
		return err
	}
	binary, err := filepath.Abs(d.binary)
	if err != nil {
		return err
	}
	d.daemon, err = t.Daemon(binary, b.String())
	return err
}

// Ready when all members are ok and all addresses at home.
func (d *ipmpd) Ready() (bool, error) {
	if d.daemon.Ended() {
		return false, lab.Fatal(fmt.Errorf("ipmpd has ended:\n%s", d.daemon.Tail(5)))
	}
	s, err := d.daemon.Status()
	if err != nil {
		return false, err
	}
	for _, g := range s.Groups {
		if g.State != "ok" {
			return false, fmt.Errorf("group %s is %s", g.Name, g.State)
		}
		for _, i := range g.Interfaces {
			if i.State != "ok" && (d.probe != "link" || i.Link != "up") {
				return false, fmt.Errorf("%s is %s", i.Name, i.State)
			}
		}
		for _, a := range g.Addresses {
			if a.State != "up" || a.Interface != a.Home {
				return false, fmt.Errorf("%s is %s on %s", a.Address, a.State, a.Interface)
			}
		}
	}
	return len(s.Groups) > 0, nil
}

// Teardown ends the daemon; what it leaves goes with the namespace.
func (d *ipmpd) Teardown() error {
	if d.daemon == nil {
		return nil
	}
	return d.daemon.Stop()
}

// Reported is the detection time that loss, round trip and this host allow now.
func (d *ipmpd) Reported() (int64, error) {
	s, err := d.daemon.Status()
	if err != nil || len(s.Groups) == 0 {
		return 0, err
	}
	return s.Groups[0].Achievable, nil
}

// Limit is misses times the interval and the round trip: no verdict by this rule can come sooner.
func (d *ipmpd) Limit() (int64, error) {
	s, err := d.daemon.Status()
	if err != nil || d.probe == "link" {
		return 0, err
	}
	for _, g := range s.Groups {
		for _, i := range g.Interfaces {
			if i.RTT != nil {
				return int64(d.misses)*int64(d.round) + *i.RTT, nil
			}
		}
	}
	return 0, nil
}

func (d *ipmpd) command(args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	_, err := d.daemon.Run(ctx, args...)
	return err
}

// PIDs of the daemon: one.
func (d *ipmpd) PIDs() []int { return []int{d.daemon.PID()} }

// Offline and Online are the operator's commands.
func (d *ipmpd) Offline(member string) error { return d.command("offline", member) }

// Online see Offline.
func (d *ipmpd) Online(member string) error { return d.command("online", member) }

// Kill as a crash does.
func (d *ipmpd) Kill() error { return d.daemon.Kill() }

// Restart after Kill.
func (d *ipmpd) Restart() error { return d.daemon.Start() }

// Tell the newest failover's timeline, whose zero is the last good reply of the member that failed.
func (d *ipmpd) Tell(int64) ([]result.Event, error) {
	history, err := d.daemon.History()
	if err != nil {
		return nil, err
	}
	var events []result.Event
	for _, e := range slices.Backward(history) {
		if e.Kind != "failover" || e.ID <= d.seen {
			continue
		}
		for name, after := range e.Timeline {
			events = append(events, result.Event{Name: name, After: after, Told: true})
		}
		break
	}
	if len(history) > 0 {
		d.seen = history[len(history)-1].ID
	}
	slices.SortFunc(events, func(a, b result.Event) int { return int(a.After - b.After) })
	return events, nil
}
