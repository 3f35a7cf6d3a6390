// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/group"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// sketchMonitor is a monitored interface in a state of its own.
func sketchMonitor(ifname string) *unit {
	u := sketch("", ifname)
	u.cfg.Interfaces = []config.Interface{{Name: ifname}}
	u.members[0].cfg, u.members[0].monitored = &u.cfg.Interfaces[0], true
	return u
}

// The probes of a monitored interface are from the addresses that it has by itself.
func TestMonitorSources(t *testing.T) {
	for _, row := range []struct{ what, tests, has, want string }{
		{"none", "", "", " "},
		{"its own", "", "192.0.2.1/24 2001:db8::1/64", "192.0.2.1/24 2001:db8::1/64"},
		{"the first of each family", "", "192.0.2.2/24 192.0.2.1/24 2001:db8::2/64 2001:db8::1/64", "192.0.2.2/24 2001:db8::2/64"},
		{"not link-local ones", "", "169.254.1.1/16 fe80::1/64", " "},
		{"but where it is named", "fe80::1/64", "192.0.2.1/24 fe80::1/64", " fe80::1/64"},
		{"the named one", "192.0.2.1/24", "192.0.2.2/24 192.0.2.1/24 2001:db8::1/64", "192.0.2.1/24 "},
		{"as the host has it", "192.0.2.1/25", "192.0.2.1/24", "192.0.2.1/24 "},
		{"not one that it does not have", "192.0.2.9/24", "192.0.2.1/24", " "},
		{"not one that is not used for new traffic", "", "192.0.2.1/24/deprecated 2001:db8::1/64/tentative 2001:db8::2/64/failed", " "},
		{"nor one of a group, on its way off", "", "192.0.2.1/24/ours 192.0.2.2/24", "192.0.2.2/24 "},
	} {
		var tests []netip.Prefix
		for _, text := range strings.Fields(row.tests) {
			tests = append(tests, netip.MustParsePrefix(text))
		}
		var has []netstate.Address
		for _, text := range strings.Fields(row.has) {
			words := strings.Split(text, "/")
			a := netstate.Address{Prefix: netip.MustParsePrefix(words[0] + "/" + words[1])}
			switch words[len(words)-1] {
			case "deprecated":
				a.Flags = unix.IFA_F_DEPRECATED
			case "tentative":
				a.Flags = unix.IFA_F_TENTATIVE
			case "failed":
				a.Flags = unix.IFA_F_DADFAILED
			case "ours":
				a.Protocol = addr.Protocol
			}
			has = append(has, a)
		}
		text := func(list [bpf.Families]netip.Prefix) string {
			words := make([]string, len(list))
			for i, p := range list {
				if p.IsValid() {
					words[i] = p.String()
				}
			}
			return strings.Join(words, " ")
		}
		require.Equal(t, row.want, text(sources(tests, has, true)), row.what)
		require.Equal(t, " ", text(sources(tests, has, false)), "there are no frames to probe with")
	}
}

// It is told of without a group, and neither the group that it is not nor its history is.
func TestMonitorTells(t *testing.T) {
	blue, own := sketch("blue", "a"), sketchMonitor("m")
	e, heard := listener(t, blue, own)
	e.tellStates(nil)
	require.Equal(t, []string{"group-state blue    | ok", "interface-state blue a both  | unknown", "interface-state  m both  | unknown"}, heard())

	actions := own.state.Step(time.Second, group.HealthChanged{Member: 0, Family: group.Both, Health: group.Failed, Cause: group.CauseProbe})
	records := 0
	for _, a := range actions {
		if _, is := a.(group.Record); is {
			records++
		}
		e.report(own, a, nil, &stamps{}, nil)
	}
	require.Equal(t, 1, records, "which would panic without a journal")
	require.Equal(t, []string{"interface-state  m both  | failed probe"}, heard())
	require.Equal(t, []*unit{blue}, e.groups())
	require.Equal(t, []*unit{own}, e.monitors())
	require.Equal(t, []string{"m", ""}, []string{own.loner(), blue.loner()})
	require.Empty(t, e.desired().Groups[1:], "nothing is wanted of the host")
}

func TestMonitorDifference(t *testing.T) {
	parse := func(monitor string) []config.Group {
		cfg, err := config.Parse("file", []byte(twoGroups+"monitor: {"+monitor+"}\n"))
		require.NoError(t, err)
		return cfg.Watched()
	}
	for _, row := range []struct{ was, is, want string }{
		{"a: ", "a: ", "nothing changed"},
		{"", "a: , b: ", "new: monitor a, monitor b"},
		{"a: , b: ", "b: ", "gone: monitor a"},
		{"a: ", "a: {test: [198.51.100.1/24]}", "changed: monitor a"},
	} {
		d := compare(parse(row.was), parse(row.is))
		require.Equal(t, row.want, d.String())
	}
}

// A monitored interface has a slot of its own, and keeps it.
func TestMonitorSeating(t *testing.T) {
	groups := append(groupsOf("a: x y"), config.Group{Interfaces: []config.Interface{{Name: "m"}}}, config.Group{Interfaces: []config.Interface{{Name: "n"}}})
	first := seating{}.allot(groups)
	require.Equal(t, map[string]int{"a": 0, "monitor m": 1, "monitor n": 2}, first.slots)
	later := first.allot(slices.Delete(slices.Clone(groups), 1, 2))
	require.Equal(t, map[string]int{"a": 0, "monitor n": 2}, later.slots)
	require.Equal(t, first.seats["n"], later.seats["n"])
	require.Equal(t, first.slots, recalled(groups, []bpf.Member{{Ifindex: 1}, {Ifindex: 2, Bit: 1}, {Ifindex: 3, Group: 1}, {Ifindex: 4, Group: 2}},
		map[int]string{1: "x", 2: "y", 3: "m", 4: "n"}).slots)
}

// A member that is watched only from now on leaves its group first.
func TestMonitorAtOnce(t *testing.T) {
	blue, own := sketch("blue", "a", "b"), sketchMonitor("m")
	e, _ := listener(t, blue, own)
	monitor := func(name string) config.Group { return config.Group{Interfaces: []config.Interface{{Name: name}}} }
	now, later := e.atOnce([]config.Group{{Name: "blue"}, monitor("m"), monitor("n")})
	require.Len(t, now, 3)
	require.False(t, later)
	now, later = e.atOnce([]config.Group{{Name: "blue"}, monitor("b"), monitor("m")})
	require.True(t, later)
	require.Equal(t, []string{"blue", "monitor m"}, []string{now[0].Key(), now[1].Key()})
}

// What a former run has had of a group is put back where the interface is only watched now; of one that
// was only watched there are programs, and they stay while it is.
func TestMonitorLeftOver(t *testing.T) {
	member := func(name string, index int, tests ...netip.Prefix) addr.UndoMember {
		return addr.UndoMember{Name: name, Index: index, Tests: tests}
	}
	test := netip.MustParsePrefix("192.0.2.11/24")
	own := sketchMonitor("m")
	own.members[0].ifindex = 7
	own.cfg.Interfaces[0].Test = []netip.Prefix{test}
	watched := addr.UndoGroup{Name: "monitor m", Monitor: true, Members: []addr.UndoMember{member("m", 7)}}
	require.Empty(t, leftOver([]addr.UndoGroup{watched}, []*unit{own}).Members)
	require.Len(t, leftOver([]addr.UndoGroup{watched}, nil).Members, 1)
	gone := leftOver([]addr.UndoGroup{{Name: "blue", Members: []addr.UndoMember{member("m", 7, test)}}}, []*unit{own})
	require.Equal(t, []addr.UndoMember{member("m", 7)}, gone.Members)
	require.Equal(t, []netip.Prefix{test}, gone.Addresses)
	require.Equal(t, addr.UndoGroup{Name: "monitor m", Monitor: true, Members: []addr.UndoMember{{Name: "m", Index: 7, Clsact: true}}},
		own.undoGroup(func(int) bool { return true }))
}
