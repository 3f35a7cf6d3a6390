// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/lab"
)

// seeds of random histories: SEED, or SEEDS of them, or as many as fit into `make test`.
func seeds(t *testing.T, short int) []uint64 {
	number := func(name string) (n uint64, given bool) {
		text := os.Getenv(name)
		if text == "" {
			return 0, false
		}
		n, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "%s is a number", name)
		return n, true
	}
	if seed, given := number("SEED"); given {
		return []uint64{seed}
	}
	n, given := number("SEEDS")
	if !given {
		n = uint64(short)
	}
	list := make([]uint64, n)
	for i := range list {
		list[i] = rand.Uint64()
	}
	return list
}

// TestReleaseAfterAnyHistory: failovers, reloads, kills, offline and online, and what others do to what is
// ours, in any order; then a release, by the daemon or without it, and the host is as it was before ipmpd,
// to the last byte that `ip`, sysctls, tc, BPF links, pins and multicast groups show.
func TestReleaseAfterAnyHistory(t *testing.T) {
	long(t)
	for _, seed := range seeds(t, 2) {
		t.Run(fmt.Sprint("SEED=", seed), func(t *testing.T) {
			h := &past{Rand: rand.New(rand.NewPCG(seed, 0))}
			c := setup{lab: lab.Options{Members: 3}, config: h.config(), prepare: func(t *testing.T, s *scene) {
				inUse(&h.was).prepare(t, s)
				h.join(t, s)
				h.was = s.rested()
			}}
			h.scene = stage(t, c)
			steps := 12
			if os.Getenv("SEEDS")+os.Getenv("SEED") == "" {
				steps = 7 // all of `make test` has ten minutes
			}
			for range steps {
				h.step()
			}
			h.end()
		})
	}
}

// past is a random history and the host that it happens to.
type past struct {
	*rand.Rand
	*scene
	was picture
	did []string
}

// config is one of many that have to do with the same host.
func (h *past) config() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	flip := func() bool { return h.IntN(2) == 0 }
	line("groups:\n  %s:\n    detection-time: 2ms\n    flap-limit: 0\n    duplicate-check: false", []string{"blue", "red"}[h.IntN(2)])
	line("    targets: [192.0.2.1, \"2001:db8::1\"]")
	line("    failback: %t\n    spread: %s", flip(), []string{"true", "false", "l4"}[h.IntN(3)])
	if flip() {
		line("    routes: [{to: 198.51.100.0/24, via: 192.0.2.1}, {to: '2001:db8:1::/64', via: '2001:db8::1'}]")
	}
	line("    interfaces:")
	members := h.Perm(3)[:2+h.IntN(2)]
	if !slices.Contains(members, 1) {
		members[0] = 1 // it had the address: what others do to it elsewhere is their business
	}
	for _, i := range members {
		line("      hme%d: {test: [\"%s/24\", \"%s/64\"]}", i, lab.TestAddr(i), lab.TestAddr6(i))
	}
	line("    addresses:")
	for _, a := range []string{"192.0.2.10/24", "2001:db8::10/64", "192.0.2.20/24", "2001:db8::20/64"} {
		if flip() || a == "192.0.2.10/24" {
			line("      - {address: %q, home: hme%d}", a, members[h.IntN(len(members))])
		}
	}
	return b.String()
}

// join a multicast group on a member, as a program of the host does that stays all the time.
func (h *past) join(t *testing.T, s *scene) {
	l, err := s.Host.Link("hme0")
	require.NoError(t, err)
	var fd int
	require.NoError(t, s.Host.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP,
			&unix.IPMreqn{Multiaddr: [4]byte{239, 1, 2, 3}, Ifindex: int32(l.Attrs().Index)})
	}))
	t.Cleanup(func() { require.NoError(t, unix.Close(fd)) })
}

// step is one thing that happens. The daemon may be dead for some of them, and may refuse.
func (h *past) step() {
	h.t.Helper()
	m := h.Members[h.IntN(len(h.Members))]
	steps := []struct {
		name string
		do   func() error
	}{
		{"silent " + m.Name, m.CutSilent},
		{"carrier " + m.Name, func() error { _, err := m.CutCarrier(); return err }},
		{"repair " + m.Name, m.Repair},
		{"repair all", h.repair},
		{"offline " + m.Name, func() error { h.try("offline", m.Name); return nil }},
		{"online " + m.Name, func() error { h.try("online", m.Name); return nil }},
		{"reload", h.reloads},
		{"reload", h.reloads},
		{"kill", func() error { return errors.Join(h.daemon.Kill(), h.daemon.Start()) }},
		{"kill while it starts", func() error {
			err := errors.Join(h.daemon.Kill(), h.daemon.Start())
			h.pass(time.Duration(h.IntN(200)) * time.Millisecond)
			return errors.Join(err, h.daemon.Kill(), h.daemon.Start())
		}},
		{"restart", func() error {
			h.pass(200 * time.Millisecond) // it may be starting, and not listen to signals yet
			return errors.Join(h.daemon.Stop(), h.daemon.Start())
		}},
		{"somebody deletes an address of " + m.Name, func() error { return h.drift("addr del 192.0.2.10/24 dev " + m.Name) }},
		{"somebody adds an address to " + m.Name, func() error { return h.drift("addr add 192.0.2.10/24 dev " + m.Name) }},
		{"somebody deletes our route", func() error { return h.drift("route del default proto 157") }},
		{"somebody flushes our routes", func() error { return h.drift("route flush proto 157") }},
		{"somebody flushes our nexthops", func() error { return h.drift("nexthop flush proto 157") }},
	}
	s := steps[h.IntN(len(steps))]
	h.did = append(h.did, s.name)
	require.NoError(h.t, s.do(), "%q", h.did)
	h.pass(time.Duration(h.IntN(150)) * time.Millisecond)
}

func (h *past) repair() error {
	var errs []error
	for _, m := range h.Members {
		errs = append(errs, m.Repair())
	}
	return errors.Join(errs...)
}

// reloads another file. A daemon that cannot take it goes on with the old one, and with the new one after
// its next start.
func (h *past) reloads() error {
	err := h.daemon.Configure(h.config())
	h.try("reload")
	return err
}

// drift is what somebody else does, if he can.
func (h *past) drift(command string) error {
	_ = exec.Command("ip", append([]string{"-n", h.Host.Name}, strings.Fields(command)...)...).Run()
	return nil
}

// end releases everything, with the daemon or without it, and compares.
func (h *past) end() {
	h.t.Helper()
	require.NoError(h.t, h.repair())
	if h.IntN(2) == 0 {
		h.did = append(h.did, "kill")
		require.NoError(h.t, h.daemon.Kill())
	}
	h.did = append(h.did, "release")
	h.t.Logf("%q", h.did)
	h.release()
	require.NoError(h.t, h.daemon.Kill())
	for _, name := range []string{"hme0", "hme2"} { // what others have added stays where they are not in a group
		if out := h.ip("addr", "show", "dev", name, "to", "192.0.2.10/32"); out != "" && !strings.Contains(out, "proto") {
			h.ip("addr", "del", "192.0.2.10/24", "dev", name)
		}
	}
	var is picture
	_ = h.Wait("the host as it was", patience, func() (bool, error) { // what the kernel does by itself takes a moment
		is = h.look()
		return h.was.equal(is), nil
	})
	require.Equal(h.t, h.was, is)
}

func (p picture) equal(o picture) bool {
	if len(p) != len(o) {
		return false
	}
	for k, lines := range p {
		if !slices.Equal(lines, o[k]) {
			return false
		}
	}
	return true
}
