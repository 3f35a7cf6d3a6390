// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
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

// manyUnits is an engine with groups of two members and four addresses, on a host that has what they
// want, and nothing that needs a kernel.
func manyUnits(t *testing.T, groups int) *engine {
	t.Helper()
	return unitsOf(t, groups, 4)
}

func unitsOf(t *testing.T, groups, addresses int) *engine {
	t.Helper()
	var file strings.Builder
	file.WriteString("groups:\n")
	s := &netstate.Snapshot{}
	for g := range groups {
		fmt.Fprintf(&file, "  group%d:\n    duplicate-check: false\n    interfaces:\n", g)
		for i := range 2 {
			name := fmt.Sprintf("g%dm%d", g, i)
			fmt.Fprintf(&file, "      %s: {test: [10.%d.0.%d/16]}\n", name, g, 11+i)
			s.Links = append(s.Links, netstate.Link{Index: 10 + 2*g + i, Name: name, MAC: [6]byte{2, 0, 0, 0, byte(g), byte(i)}, Up: true, Carrier: true})
		}
		file.WriteString("    addresses:\n")
		for a := range addresses {
			fmt.Fprintf(&file, "      - 10.%d.%d.%d/16\n", g, 1+a/256, a%256)
		}
	}
	cfg, err := config.Parse("test.yaml", []byte(file.String()))
	require.NoError(t, err)
	tracks := make([]bpf.Track, bpf.Groups*bpf.Families)
	e := &engine{log: slog.New(slog.DiscardHandler), applier: &addr.Applier{}, tracks: tracks, fast: &fastPath{tracks: tracks}}
	places := seating{}.allot(cfg.Groups)
	for i := range cfg.Groups {
		u := newUnit(&cfg.Groups[i], places)
		for _, m := range u.members {
			m.look(s)
		}
		u.state, _ = group.New(u.groupConfig(), 0, u.start(s))
		for f := range bpf.Families {
			bpf.ChangeWord(&tracks[bpf.TrackNumber(u.slot, f)], 3, 0)
		}
		e.units = append(e.units, u)
	}
	e.seen(translated(s))
	return e
}

// seen is what an apply leaves behind.
func (e *engine) seen(o addr.Observed) {
	d := e.desired()
	e.outlook = &outlook{d, o, addr.Plan(d, o)}
	e.applied = d
}

// Only the groups are prepared anew for which something is new, however many there are.
func TestPreparedWhenNew(t *testing.T) {
	e := manyUnits(t, 64)
	count := func(do func()) int {
		before := e.preparations
		do()
		e.prepareAll()
		return e.preparations - before
	}
	require.Equal(t, 64, count(func() {}))
	require.Zero(t, count(func() {}), "nothing is new")
	for slot := range 64 {
		for bit := range 2 {
			c := e.fast.groups[slot].Load().member[bit][bothFamilies]
			require.NotNil(t, c)
			require.Len(t, c.announced, 2, "half of the group's addresses, to the other member")
		}
	}

	others := e.fast.groups[1].Load()
	u := e.units[0]
	told := func(ev group.Event) func() {
		return func() {
			u.state.Step(time.Second, ev)
			u.steps++
		}
	}
	require.Zero(t, count(told(group.ProbingChanged{Member: 0})), "the group was told nothing new")
	require.True(t, e.asApplied(u))
	require.Zero(t, count(told(group.HealthChanged{Member: 0, Family: group.Both, Health: group.OK})), "an answer moves nothing")
	require.True(t, e.asApplied(u), "and asks nothing of the host")
	require.Equal(t, 1, count(func() { bpf.ChangeWord(&e.tracks[bpf.TrackNumber(u.slot, 1)], 0, 0) }), "another generation")
	require.Equal(t, 1, count(func() {
		host := e.outlook.settled()
		host.Neighbors = append(host.Neighbors, addr.HostNeighbor{Link: u.members[0].ifindex,
			IP: netip.MustParseAddr("10.0.9.9"), MAC: addr.MAC{2, 9}, State: unix.NUD_REACHABLE})
		e.seen(host)
	}), "a neighbour to be told")
	c := e.fast.groups[u.slot].Load().member[0][bothFamilies]
	require.Len(t, c.announced[0].Neighbors, 1)
	require.Equal(t, 1, count(func() {
		told(group.HealthChanged{Member: 0, Family: group.Both, Health: group.Failed, Cause: group.CauseLink})()
		require.False(t, e.asApplied(u), "a failover asks for other owners")
		for f := range bpf.Families { // as it is published
			bpf.ChangeWord(&e.tracks[bpf.TrackNumber(u.slot, f)], 0, 1)
		}
		e.seen(e.outlook.settled())
	}), "a failover")
	require.Same(t, others, e.fast.groups[1].Load(), "what was prepared of others is what it was")
}

// While a verdict is on its way to the engine, nothing is prepared for the group: it would send addresses to
// the member that is out.
func TestNotPreparedOfAnotherTime(t *testing.T) {
	e := manyUnits(t, 1)
	u := e.units[0]
	e.prepareAll()
	before := e.fast.groups[u.slot].Load()
	for f := range bpf.Families {
		_, took := bpf.TakeOut(&e.tracks[bpf.TrackNumber(u.slot, f)], 0)
		require.True(t, took)
	}
	host := e.outlook.settled()
	host.Neighbors = append(host.Neighbors, addr.HostNeighbor{Link: u.members[0].ifindex,
		IP: netip.MustParseAddr("10.0.9.9"), MAC: addr.MAC{2, 9}, State: unix.NUD_REACHABLE})
	e.seen(host)
	e.prepareAll()
	require.True(t, before == e.fast.groups[u.slot].Load())

	u.state.Step(1, group.HealthChanged{Member: 0, Family: group.Both, Health: group.Failed, Cause: group.CauseProbe})
	u.steps++
	e.seen(e.outlook.settled())
	e.prepareAll()
	require.False(t, before == e.fast.groups[u.slot].Load(), "it has arrived")
}

// A standby that is called when a member fails carries flows at once, though it gets no address.
func TestPreparedWithTheStandby(t *testing.T) {
	cfg, err := config.Parse("test.yaml", []byte("groups: {g: {interfaces: {m0: {}, m1: {}, m2: {standby: true}}, addresses: [10.0.1.0/16]}}"))
	require.NoError(t, err)
	u := newUnit(&cfg.Groups[0], seating{}.allot(cfg.Groups))
	there := group.MemberStart{Exists: true, Link: group.LinkUp, Health: [2]group.Health{group.OK, group.OK}}
	u.state, _ = group.New(u.groupConfig(), 0, group.Start{Members: []group.MemberStart{there, there, there}})
	p := &prepared{word: [2]uint32{0b111, 0b111}}
	p.foresee(u)
	require.Equal(t, outcome{[]int{0}, [2]uint32{0b101, 0b101}}, p.then[1][bothFamilies])
}

// What a thousand addresses cost: bytes that live while all is quiet, and that are thrown away when the
// contingencies are worked out anew (docs/benchmark.md, "Many addresses").
func TestMemoryOfAddresses(t *testing.T) {
	const addresses = 1000
	memory := func() (m runtime.MemStats) {
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m
	}
	before := memory()
	e := unitsOf(t, 1, addresses)
	e.prepareAll()
	prepared := memory()
	bpf.ChangeWord(&e.tracks[bpf.TrackNumber(e.units[0].slot, 0)], 0, 0)
	e.prepareAll()
	again := memory()
	require.Equal(t, 2, e.preparations)
	lives := (prepared.HeapAlloc - before.HeapAlloc) / addresses
	thrown := (again.TotalAlloc - prepared.TotalAlloc) / addresses
	t.Logf("an address: %d bytes live, %d to prepare it again", lives, thrown)
	require.Less(t, lives, uint64(6<<10))
	require.Less(t, thrown, uint64(18<<10))
	runtime.KeepAlive(e)
}

// A group without addresses has contingencies too: its routes and the words of its family.
func TestPreparedWithoutAddresses(t *testing.T) {
	e := manyUnits(t, 1)
	e.units[0].cfg.Addresses = nil
	u := e.units[0]
	u.state, _ = group.New(u.groupConfig(), 0, group.Start{Members: []group.MemberStart{
		{Exists: true, Link: group.LinkUp}, {Exists: true, Link: group.LinkUp}}})
	e.seen(e.outlook.host)
	e.prepareAll()
	require.NotNil(t, e.fast.groups[u.slot].Load().member[0][bothFamilies])
}

// Members that wait for their programs are not probed, and keep nobody waiting.
func TestNotProbedWithoutPrograms(t *testing.T) {
	e := manyUnits(t, 1)
	u := e.units[0]
	target := netip.MustParseAddr("10.0.0.1")
	u.side[0].targets, u.side[0].rotating = []netip.Addr{target}, []netip.Addr{target}
	u.side[0].macs[target] = addr.MAC{2, 9}
	e.setKinds(u)
	kinds := func() (list []uint32) {
		for _, m := range e.plan().Tracks[0].Members {
			list = append(list, m.Kind)
		}
		return list
	}
	require.Equal(t, []uint32{bpf.KindICMP, bpf.KindICMP}, kinds())
	require.True(t, u.probed(u.members[1])[0])
	require.Nil(t, e.attaching(), "nobody waits")

	u.members[1].waits, e.waiting = true, []*member{u.members[1]}
	require.Equal(t, []uint32{bpf.KindICMP, bpf.KindNone}, kinds())
	require.False(t, u.probed(u.members[1])[0])
	require.Zero(t, u.asked(u.members[1], 0), "no answers are missed")
	require.NotNil(t, e.attaching())

	// One that has left the configuration, or was made again, is not asked for.
	e.waiting = []*member{{cfg: &config.Interface{Name: "g9m9"}, waits: true}}
	e.attachNext()
	require.Empty(t, e.waiting)
}
