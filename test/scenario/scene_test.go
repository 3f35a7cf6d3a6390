// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// patience is how long anything that should take milliseconds may take on a machine that is busy.
const patience = 10 * time.Second

// starter starts a scene's daemon.
type starter func(s *scene, binary, config string) (*lab.Daemon, error)

// setup of a scene. The zero value is the seed's: two members with an IPv4 test address each, one
// data address, the router as the target.
type setup struct {
	lab       lab.Options
	detection time.Duration                // 0: 1 ms
	group     []string                     // further lines of the group: "failback: false"
	targets   []netip.Addr                 // nil: the router; empty: whatever the daemon finds
	tests     func(i int) []netip.Addr     // of member i; nil: IPv4
	standby   string                       // names of the standbys
	addresses []netip.Prefix               // nil: the seed's
	atHome    string                       // home of all addresses; "": as the contract spreads them
	binary    string                       // "": program
	config    string                       // in place of the one that the above makes
	solaris   map[string]string            // Solaris files, in place of a configuration
	prepare   func(t *testing.T, s *scene) // before the daemon starts
	bound     bool                         // the test itself sends from test addresses
	ready     func(s *scene) (bool, error) // nil: all that is probed answers
	start     starter                      // nil: in the host
}

var (
	data4 = netip.PrefixFrom(lab.Data, 24)
	data6 = netip.PrefixFrom(lab.Data6, 64)
)

// long is for what does not fit into the ten minutes of `make test`: `make ci` runs it after that, LONG=1
// does, and so does who asks for more of it.
func long(t *testing.T) {
	t.Helper()
	for _, name := range []string{"LONG", "SOAK", "SEED", "SEEDS"} {
		if os.Getenv(name) != "" {
			return
		}
	}
	t.Skip("LONG=1: `make ci` runs it")
}

func noTests(int) []netip.Addr     { return nil }
func dualTests(i int) []netip.Addr { return []netip.Addr{lab.TestAddr(i), lab.TestAddr6(i)} }

func (c *setup) text(l *lab.Lab) string {
	if c.config != "" {
		return c.config
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	detection, targets, addresses, tests := c.detection, c.targets, c.addresses, c.tests
	if detection == 0 {
		detection = time.Millisecond
	}
	if targets == nil {
		targets = []netip.Addr{lab.Router}
	}
	if addresses == nil {
		addresses = []netip.Prefix{data4}
	}
	if tests == nil {
		tests = func(i int) []netip.Addr { return []netip.Addr{lab.TestAddr(i)} }
	}
	line("groups:\n  unrealgrp1:\n    detection-time: %s\n    flap-limit: 0", detection)
	line("    duplicate-check: false") // half a second of each scene; cmd/ipmpd tests it
	line("    targets: [%s]", join(targets, func(a netip.Addr) string { return quoted(a) }))
	for _, g := range c.group {
		line("    %s", g)
	}
	line("    interfaces:")
	for i, m := range l.Members {
		line("      %s:\n        standby: %t", m.Name, slices.Contains(strings.Fields(c.standby), m.Name))
		line("        test: [%s]", join(tests(i), func(a netip.Addr) string {
			return quoted(netip.PrefixFrom(a, map[bool]int{true: 24, false: 64}[a.Is4()]))
		}))
	}
	line("    addresses:")
	for _, p := range addresses {
		line("      - address: %s", quoted(p))
		if c.atHome != "" {
			line("        home: %s", c.atHome)
		}
	}
	return b.String()
}

func quoted(v fmt.Stringer) string { return fmt.Sprintf("%q", v.String()) }

func join[T any](list []T, text func(T) string) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = text(v)
	}
	return strings.Join(words, ", ")
}

// scene is a lab with a daemon at work.
type scene struct {
	*lab.Lab
	t      *testing.T
	daemon *lab.Daemon
	client *control.Client
	arm    func() // of a fault; kill_test.go
	seen   uint64 // newest history entry that was expected
}

// stage builds the lab and starts the daemon; it returns when all members are ok. The test fails
// when the history has an entry in the end that nobody expected.
func stage(t *testing.T, c setup) *scene {
	t.Helper()
	s := &scene{Lab: lab.Start(t, c.lab), t: t}
	if c.prepare != nil {
		c.prepare(t, s)
	}
	var err error
	binary := c.binary
	if binary == "" {
		binary = program
	}
	if c.solaris != nil {
		s.daemon, err = s.SolarisDaemon(binary, s.write(c.solaris))
	} else if c.start != nil {
		s.daemon, err = c.start(s, binary, c.text(s.Lab))
	} else {
		s.daemon, err = s.Daemon(binary, c.text(s.Lab))
	}
	require.NoError(t, err)
	s.client = control.NewClient(s.daemon.Socket)
	ready := s.ready
	if c.ready != nil {
		ready = func() (bool, error) { return c.ready(s) }
	}
	s.wait("the daemon to be ready", ready)
	s.news()
	s.watchSources(c.bound)
	t.Cleanup(func() {
		if !t.Failed() && !s.daemon.Ended() {
			require.Empty(t, words(s.news()), "nothing else happened")
		}
	})
	return s
}

// write files below the lab's folder; it returns their root.
func (s *scene) write(files map[string]string) string {
	s.t.Helper()
	root := filepath.Join(s.Dir, "root")
	for name, text := range files {
		path := filepath.Join(root, name)
		require.NoError(s.t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(s.t, os.WriteFile(path, []byte(text), 0o600))
	}
	return root
}

// watchSources fails the test in the end when the host has sent anything from a test address from now
// on, but probes: the switch counts it. With bound that is the test's business.
func (s *scene) watchSources(bound bool) {
	s.t.Helper()
	text, err := s.daemon.Configuration()
	require.NoError(s.t, err)
	for _, list := range regexp.MustCompile(`test: \[([^\]]*)\]`).FindAllStringSubmatch(text, -1) {
		for _, word := range strings.Split(list[1], ",") {
			if p, err := netip.ParsePrefix(strings.Trim(word, `" `)); err == nil {
				require.NoError(s.t, s.Classify(faults.Test, p.Addr()))
			}
		}
	}
	_, err = s.Strays(true)
	require.NoError(s.t, err)
	s.t.Cleanup(func() {
		n, err := s.Strays(false)
		if err != nil || n > 0 && !bound {
			s.t.Errorf("%d packets came from test addresses and were no probes; errors: %v", n, err)
		}
	})
}

// addressesInUse: all addresses of the first group are.
func addressesInUse(st *control.Status) error {
	for _, a := range st.Groups[0].Addresses {
		if a.State != "up" {
			return fmt.Errorf("%s is %s", a.Address, a.State)
		}
	}
	return nil
}

// ready tells whether every address is in use, which waits for the duplicate check, and every family
// that has probes has answers: until it has, it follows the other.
func (s *scene) ready() (bool, error) {
	if s.daemon.Ended() {
		return false, lab.Fatal(errors.New("ipmpd has ended"))
	}
	st, err := s.client.Status(s.context())
	if err != nil {
		return false, err
	}
	if err := addressesInUse(st); err != nil {
		return false, err
	}
	for _, i := range st.Groups[0].Interfaces {
		for name, f := range i.Families {
			if f.Probe != "ok" && f.Probe != "disabled" {
				return false, fmt.Errorf("probe of %s, %s: %s", i.Name, name, f.Probe)
			}
		}
	}
	return true, nil
}

// soaking: `make test` has no time for both families of each shape. The other runs with SOAK=1, by hand
// (docs/benchmark.md).
func soaking() bool { return os.Getenv("SOAK") != "" }

func (s *scene) wait(what string, ok func() (bool, error)) {
	s.t.Helper()
	s.Require(s.t, what, patience, ok)
}

func (s *scene) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.t.Cleanup(cancel)
	return ctx
}

// run an ipmpd command that must succeed.
func (s *scene) run(args ...string) string {
	s.t.Helper()
	out, err := s.daemon.Run(s.context(), args...)
	require.NoError(s.t, err)
	return out
}

// history since what was expected last.
func (s *scene) history() []control.HistoryEntry {
	s.t.Helper()
	all, err := s.client.History(s.context())
	require.NoError(s.t, err)
	return slices.DeleteFunc(all, func(e control.HistoryEntry) bool { return e.ID <= s.seen })
}

// news is history that is thereby accounted for.
func (s *scene) news() []control.HistoryEntry {
	s.t.Helper()
	h := s.history()
	if len(h) > 0 {
		s.seen = h[len(h)-1].ID
	}
	return h
}

// words of a history: "failover hme0".
func words(history []control.HistoryEntry) []string {
	list := []string{}
	for _, e := range history {
		list = append(list, strings.TrimSpace(e.Kind+" "+e.Interface))
	}
	return list
}

// expect waits until the history since the last time has these entries, in any order, and complete.
// One too many fails the test.
func (s *scene) expect(want ...string) []control.HistoryEntry {
	s.t.Helper()
	slices.Sort(want)
	s.wait(strings.Join(want, ", "), func() (bool, error) {
		h := s.history()
		is := words(h)
		slices.Sort(is)
		if len(is) > len(want) {
			return false, lab.Fatal(fmt.Errorf("the history has %q", is))
		}
		if !slices.Equal(is, want) {
			return false, fmt.Errorf("the history has %q", is)
		}
		for _, e := range h {
			if !e.Complete {
				return false, fmt.Errorf("%s %s is not complete: %v", e.Kind, e.Interface, e.Failed)
			}
		}
		return true, nil
	})
	return s.news()
}

// status of a member and of the group.
func (s *scene) status(name string) (control.Interface, control.Group) {
	s.t.Helper()
	st, err := s.client.Status(s.context())
	require.NoError(s.t, err)
	require.Len(s.t, st.Groups, 1)
	for _, i := range st.Groups[0].Interfaces {
		if i.Name == name {
			return i, st.Groups[0]
		}
	}
	s.t.Fatalf("%s is not in the status", name)
	panic("unreachable")
}

// state waits until a member is in a state.
func (s *scene) state(name, want string) {
	s.t.Helper()
	s.wait(name+" "+want, func() (bool, error) {
		i, _ := s.status(name)
		if i.State != want {
			return false, fmt.Errorf("%s is %s", name, i.State)
		}
		return true, nil
	})
}

// where an address is in the kernel: a member's name, or nothing.
func (s *scene) where(a netip.Addr) (string, error) {
	m, err := s.Owner(a)
	if m == nil {
		return "", err
	}
	return m.Name, err
}

// at waits until addresses are on a member, the peer sends to it there, and is answered.
func (s *scene) at(name string, addrs ...netip.Addr) {
	s.t.Helper()
	for _, a := range addrs {
		s.wait(fmt.Sprintf("%s on %s", a, name), func() (bool, error) {
			is, err := s.where(a)
			if err == nil && is != name {
				err = fmt.Errorf("%s is on %q", a, is)
			}
			return err == nil, err
		})
		s.reached(a)
		s.wait(fmt.Sprintf("the peer to send to %s for %s", name, a), func() (bool, error) {
			mac, err := s.Peer.Neighbour("eth0", a)
			if err == nil && mac.String() != s.member(name).MAC().String() {
				err = fmt.Errorf("it sends to %s", mac)
			}
			return err == nil, err
		})
	}
}

// reached waits until the peer gets an answer from an address.
func (s *scene) reached(a netip.Addr) {
	s.t.Helper()
	s.wait(fmt.Sprintf("an answer from %s", a), func() (bool, error) { return s.Peer.Reaches(a) })
}

func (s *scene) member(name string) *lab.Member {
	for _, m := range s.Members {
		if m.Name == name {
			return m
		}
	}
	panic(name)
}

// pass lets time go by in which something must not happen.
func (s *scene) pass(d time.Duration) {
	s.t.Helper()
	end := faults.Now() + int64(d)
	s.Require(s.t, "time to pass", d+patience, func() (bool, error) { return faults.Now() > end, nil })
}

// count frames at a port.
func (s *scene) count(p *faults.Port, d faults.Direction, slot faults.Slot) uint64 {
	s.t.Helper()
	c, err := p.Count(d, slot)
	require.NoError(s.t, err)
	return c.Packets
}
