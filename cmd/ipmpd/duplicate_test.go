// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
)

// taken are the addresses that the peer has too.
var taken = []string{"192.0.2.20/24", "2001:db8::20/64"}

func duplicateConfig(check bool) string {
	return fmt.Sprintf(`groups:
  unrealgrp1:
    detection-time: 20ms
    targets: [192.0.2.1, "2001:db8::1"]
    duplicate-check: %v
    interfaces:
      hme0: {test: [192.0.2.11/24, "2001:db8::11/64"]}
      hme1: {test: [192.0.2.12/24, "2001:db8::12/64"]}
    addresses: [192.0.2.10/24, 192.0.2.20/24, "2001:db8::10/64", "2001:db8::20/64"]
    routes: [{to: 0.0.0.0/0, via: 192.0.2.1}]
`, check)
}

const (
	allInUse   = "192.0.2.10/24 up hme0, 192.0.2.20/24 up hme1, 2001:db8::10/64 up hme0, 2001:db8::20/64 up hme1"
	takenFree  = "192.0.2.10/24 up hme0, 192.0.2.20/24 down, 2001:db8::10/64 up hme0, 2001:db8::20/64 down"
	nothingYet = "192.0.2.10/24 down, 192.0.2.20/24 down, 2001:db8::10/64 down, 2001:db8::20/64 down"
)

// owners on the host of the addresses that the peer has too.
func owners(t *testing.T, l *lab.Lab) (names string) {
	t.Helper()
	for _, p := range taken {
		m, err := l.Owner(netip.MustParsePrefix(p).Addr())
		require.NoError(t, err)
		if m != nil {
			names += m.Name + " "
		}
	}
	return names
}

func TestDuplicateIsNotAdded(t *testing.T) {
	l, binary := startLab(t, lab.Options{})
	require.NoError(t, l.Peer.AddAddr("eth0", taken...))
	d := startDaemon(t, l, binary, duplicateConfig(true))
	until(t, l, d, "the others in use", func(g lab.GroupStatus) bool { return addressesOf(g) == takenFree })
	require.Empty(t, owners(t, l))
	peer, err := l.Peer.Link("eth0")
	require.NoError(t, err)
	told := func(n int) func() (bool, error) {
		return func() (bool, error) {
			return strings.Count(logOf(t, d), "address-duplicate") == n &&
				strings.Count(logOf(t, d), "detail="+peer.Attrs().HardwareAddr.String()) == n, nil
		}
	}
	l.Require(t, "events", 5*time.Second, told(2))
	l.Require(t, "ready", 5*time.Second, func() (bool, error) { return strings.Contains(logOf(t, d), "msg=ready"), nil })
	require.Less(t, strings.Index(logOf(t, d), "address-duplicate"), strings.Index(logOf(t, d), "msg=ready"), "ready with what is free in use")

	// A failover moves what is in use, and does not put in use what is held.
	require.NoError(t, l.Members[0].CutSilent())
	until(t, l, d, "failover", func(g lab.GroupStatus) bool {
		return strings.HasPrefix(addressesOf(g), "192.0.2.10/24 up hme1, 192.0.2.20/24 down")
	})
	require.Empty(t, owners(t, l))
	history, err := d.Run(t.Context(), "history", "--json")
	require.NoError(t, err)
	require.NotContains(t, history, "192.0.2.20/24")
	require.NoError(t, l.Members[0].Repair())
	until(t, l, d, "repair", func(g lab.GroupStatus) bool { return addressesOf(g) == takenFree })

	// The other one lets go; the address is in use after the next question, and is told.
	require.NoError(t, l.Peer.DelAddr("eth0", taken...))
	until(t, l, d, "the others have let go", func(g lab.GroupStatus) bool { return addressesOf(g) == allInUse })
	require.Equal(t, "hme1 hme1 ", owners(t, l))
	l.Require(t, "the peer reaches it", 10*time.Second, func() (bool, error) {
		return l.Peer.Reaches(netip.MustParseAddr("192.0.2.20"))
	})
	require.Equal(t, 2, strings.Count(logOf(t, d), "address-duplicate"), "told once, however often it was asked")

	// Adoption asks nobody, whoever says what.
	require.NoError(t, l.Peer.AddAddr("eth0", taken...))
	require.NoError(t, d.Kill())
	require.NoError(t, d.Start())
	until(t, l, d, "adopted", func(g lab.GroupStatus) bool { return addressesOf(g) == allInUse })
	require.Equal(t, "hme1 hme1 ", owners(t, l))
}

// An address that the kernel has refused is on its interface and answers nobody. It is asked for as any
// other, at the start and (with SOAK=1) while the daemon runs, and is in use once it is free.
func TestRefusedByTheKernel(t *testing.T) {
	l, binary := startLab(t, lab.Options{})
	data := netip.MustParseAddr("2001:db8::20")
	ip := func(args ...string) string {
		out, _ := exec.Command("ip", append([]string{"-n", l.Host.Name, "-6"}, args...)...).CombinedOutput() // refused by whoever was faster
		return string(out)
	}
	refused := func() (bool, error) {
		switch on := ip("addr", "show", "dev", "hme1", "to", data.String()); {
		case strings.Contains(on, "dadfailed"):
			return true, nil
		case !strings.Contains(on, "tentative"):
			batch := filepath.Join(t.TempDir(), "batch")
			require.NoError(t, os.WriteFile(batch, []byte("addr del 2001:db8::20/64 dev hme1\naddr add 2001:db8::20/64 dev hme1\n"), 0o600))
			ip("-force", "-batch", batch)
		}
		return false, nil
	}
	require.NoError(t, l.Peer.AddAddr("eth0", taken[1]))
	l.Require(t, "the kernel to refuse it", 10*time.Second, refused)
	d := startDaemon(t, l, binary, duplicateConfig(true))
	const withoutIt = "192.0.2.10/24 up hme0, 192.0.2.20/24 up hme1, 2001:db8::10/64 up hme0, 2001:db8::20/64 down"
	told := func(n int) func() (bool, error) {
		return func() (bool, error) { return strings.Count(logOf(t, d), "address-duplicate") == n, nil }
	}
	inUse := func() {
		t.Helper()
		require.NoError(t, l.Peer.DelAddr("eth0", taken[1]))
		until(t, l, d, "all in use", func(g lab.GroupStatus) bool { return addressesOf(g) == allInUse })
		l.Require(t, "the peer reaches it", 10*time.Second, func() (bool, error) { return l.Peer.Reaches(data) })
		require.NotContains(t, ip("addr", "show", "dev", "hme1"), "dadfailed")
	}
	until(t, l, d, "the others in use", func(g lab.GroupStatus) bool { return addressesOf(g) == withoutIt })
	l.Require(t, "the event", 5*time.Second, told(1))
	require.Contains(t, ip("addr", "show", "dev", "hme1"), "dadfailed", "it stays where it was found")
	inUse()

	if os.Getenv("SOAK") == "" {
		require.NoError(t, d.Stop())
		return
	}
	require.NoError(t, l.Peer.AddAddr("eth0", taken[1]))
	l.Require(t, "the kernel to refuse it again", 10*time.Second, refused)
	until(t, l, d, "it is held", func(g lab.GroupStatus) bool { return addressesOf(g) == withoutIt })
	l.Require(t, "the event", 5*time.Second, told(2))
	inUse()
	require.NoError(t, d.Stop())
}

// A test address that somebody else has is told, and used: detection does not wait.
func TestDuplicateTestAddress(t *testing.T) {
	l, binary := startLab(t, lab.Options{})
	require.NoError(t, l.Peer.AddAddr("eth0", "192.0.2.12/24", "2001:db8::11/64"))
	d := startDaemon(t, l, binary, duplicateConfig(true))
	until(t, l, d, "all in use", func(g lab.GroupStatus) bool { return addressesOf(g) == allInUse })
	var events []string
	for line := range strings.Lines(logOf(t, d)) {
		if strings.Contains(line, "address-duplicate") {
			_, fields, _ := strings.Cut(line, "group=")
			events = append(events, fields)
		}
	}
	peer, err := l.Peer.Link("eth0")
	require.NoError(t, err)
	mac := peer.Attrs().HardwareAddr.String()
	require.ElementsMatch(t, []string{
		"unrealgrp1 interface=hme0 family=\"\" address=2001:db8::11/64 detail=" + mac + "\n",
		"unrealgrp1 interface=hme1 family=\"\" address=192.0.2.12/24 detail=" + mac + "\n",
	}, events)
	for i, test := range []string{"2001:db8::11/64", "192.0.2.12/24"} {
		on, err := l.Host.Addresses(l.Members[i].Name)
		require.NoError(t, err)
		require.Contains(t, on, netip.MustParsePrefix(test))
	}
}

func TestDuplicateCheckOff(t *testing.T) {
	l, binary := startLab(t, lab.Options{})
	require.NoError(t, l.Peer.AddAddr("eth0", taken...))
	d := startDaemon(t, l, binary, duplicateConfig(false))
	until(t, l, d, "all in use", func(g lab.GroupStatus) bool { return addressesOf(g) == allInUse })
	require.Equal(t, "hme1 hme1 ", owners(t, l))
	require.NotContains(t, logOf(t, d), "address-duplicate")
}

// A group without interfaces, or without link, has nobody to ask; the first one that can be asked is.
func TestDuplicateWhenAMemberAppears(t *testing.T) {
	for _, row := range []struct {
		name       string
		take, give func(*lab.Member) error
	}{
		{"missing", (*lab.Member).Delete, (*lab.Member).Recreate},
		{"no link", func(m *lab.Member) error { _, err := m.CutCarrier(); return err }, (*lab.Member).Repair},
	} {
		t.Run(row.name, func(t *testing.T) {
			l, binary := startLab(t, lab.Options{})
			require.NoError(t, l.Peer.AddAddr("eth0", taken...))
			for _, m := range l.Members {
				require.NoError(t, row.take(m))
			}
			d := startDaemon(t, l, binary, duplicateConfig(true))
			until(t, l, d, "start", func(g lab.GroupStatus) bool { return addressesOf(g) == nothingYet })
			l.Require(t, "ready all the same", 5*time.Second, func() (bool, error) {
				return strings.Contains(logOf(t, d), "msg=ready"), nil
			})
			for _, m := range l.Members {
				require.NoError(t, row.give(m))
			}
			until(t, l, d, "the others in use", func(g lab.GroupStatus) bool {
				free, held := 0, 0
				for _, a := range g.Addresses {
					switch {
					case a.State == "up" && a.Interface != "" && !slices.Contains(taken, a.Address):
						free++
					case a.State == "down" && a.Interface == "" && slices.Contains(taken, a.Address):
						held++
					}
				}
				return free == 2 && held == 2
			})
			require.NoError(t, d.WaitReady(10*time.Second), "probes begin when they can, not half a minute later")
			require.Empty(t, owners(t, l))
		})
	}
}
