// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/group"
	"github.com/ipmpd/ipmpd/pkg/netstate"
	"github.com/ipmpd/ipmpd/test/fakehost"
)

// world is the engine, as the daemon runs it, on a host that is made up: group.Step, what is wanted of the
// host, addr.Plan, the Applier, contingencies and the fast path are the real ones; the kernel is
// test/fakehost, and what BPF would do is done by kernelVerdict.
type world struct {
	t *rapid.T
	e *engine
	h *fakehost.Host
	// file is the configuration of the start; a reload leaves out some of it, or puts it back.
	file *config.Config

	owners map[netip.Addr]int // as BPF knows them
	told   *control.Subscription

	// trouble is how many operations more come to nothing, and how.
	trouble int
	fault   fakehost.Fault
	// strike is called before the n-th operation of an Apply from now; 0: it is not.
	strike int
	struck func()
	// firing: what is written now is a batch's; overtaken: one has been fired in the middle of the Apply
	// under way, which may write nothing more. prepared: all that comes of the news was prepared.
	firing, overtaken, prepared bool

	// happened counts what the engine may not know of yet.
	happened int
	// there are the data addresses that are somewhere, which they stay until somebody else takes them off.
	there map[netip.Addr]bool
	// quiet: nobody has meddled with the host, and nothing has failed, since the last settlement.
	quiet bool
	// unheard: the host has changed, and the watcher has not told the engine.
	unheard bool
	// foreign is what others have on the host, which is theirs.
	foreign []string
	next    int // interface index
}

// Gateways that routes of the file go by.
var gateways = map[int]string{0: "192.0.2.1", 1: "2001:db8::1"}

// drawWorld is a host at the start of the daemon, and the daemon once it has begun.
func drawWorld(t *rapid.T) *world {
	w := newWorld(t)
	cfg, err := config.Parse("drawn.yaml", []byte(drawFile(t)))
	require.NoError(t, err)
	w.open(cfg)
	return w
}

func newWorld(t *rapid.T) *world {
	return &world{t: t, owners: map[netip.Addr]int{}, there: map[netip.Addr]bool{}, quiet: true, next: 20}
}

// open the world of a configuration.
func (w *world) open(cfg *config.Config) {
	o := addr.Observed{Sysctls: map[string]string{}, Links: []addr.HostLink{{Index: 1, Name: "lo", Up: true, Carrier: true}},
		Addresses: []addr.HostAddress{{Link: 1, Prefix: netip.MustParsePrefix("127.0.0.1/8"), Flags: unix.IFA_F_NOPREFIXROUTE}}}
	o.Links = append(o.Links, w.link("eth9"))
	for g := range cfg.Groups {
		for i := range cfg.Groups[g].Interfaces {
			name := cfg.Groups[g].Interfaces[i].Name
			o.Links = append(o.Links, w.link(name))
			maps.Copy(o.Sysctls, w.freshSysctls(name)) // and those of `all`
		}
	}
	w.h = fakehost.New(o)
	w.h.Done, w.h.Fault, w.file = w.done, w.faults, cfg
	w.assemble(cfg)
	w.others()
	w.begin()
}

// drawFile is a configuration: one group or two, 2 to 8 members, up to 64 addresses of both families.
func drawFile(t *rapid.T) string {
	flip := func(label string) bool { return rapid.Bool().Draw(t, label) }
	var b strings.Builder
	b.WriteString("groups:\n")
	for g := range rapid.SampledFrom([]int{1, 1, 2}).Draw(t, "groups") {
		members := rapid.SampledFrom([]int{2, 2, 3, 4, 8}).Draw(t, "members")
		fmt.Fprintf(&b, "  g%d:\n    duplicate-check: false\n    failback: %v\n    spread: %v\n    interfaces:\n", g, flip("failback"), flip("spread"))
		for i := range members {
			fmt.Fprintf(&b, "      hme%d: {test: [192.0.%d.%d/24, \"2001:db8:%d::%d/64\"], standby: %v}\n",
				8*g+i, 2+g, 101+i, g, 101+i, i > 0 && rapid.IntRange(0, 2).Draw(t, "standby") == 0)
		}
		most := rapid.SampledFrom([]int{1, 4, 4, 8, 8, 64}).Draw(t, "most")
		var list []string
		for i := range rapid.IntRange(1, most).Draw(t, "addresses") {
			if flip("ipv6") {
				list = append(list, fmt.Sprintf("\"2001:db8:%d::%d/64\"", g, 1000+i))
			} else {
				list = append(list, fmt.Sprintf("192.0.%d.%d/24", 2+g, 10+i))
			}
		}
		fmt.Fprintf(&b, "    addresses: [%s]\n", strings.Join(list, ", "))
		if g == 0 && flip("route") {
			fmt.Fprintf(&b, "    routes: [{to: 198.51.100.0/24, via: %s}]\n", gateways[0])
		}
	}
	return b.String()
}

func (w *world) link(name string) addr.HostLink {
	w.next++
	return addr.HostLink{Index: w.next, Name: name, MAC: addr.MAC{2, 0, 0, 0, 0, byte(w.next)}, Up: true, Carrier: true}
}

// freshSysctls of an interface, as a kernel has them.
func (w *world) freshSysctls(name string) map[string]string {
	is := map[string]string{}
	for _, key := range addr.SysctlKeys(addr.Desired{Groups: []addr.Group{{Members: []addr.Member{{Name: name, Index: 1}}}}}) {
		is[key] = "0"
	}
	return is
}

// assemble the engine of a daemon, without what needs a kernel.
func (w *world) assemble(cfg *config.Config) {
	log := slog.New(slog.DiscardHandler)
	applier, err := addr.NewApplier(addr.ApplierOptions{Kernel: w.h, Before: w.before()})
	require.NoError(w.t, err)
	tracks := make([]bpf.Track, bpf.Groups*bpf.Families)
	e := &engine{
		log: log, events: make(chan any, 1024), public: &control.Broadcaster{}, quiet: true,
		journal: &journal{log: log, path: "/dev/null/not on a disk", dirty: make(chan struct{}, 1)},
		shown:   w, instances: make([]bpf.Instance, bpf.Members*bpf.Families), tracks: tracks, fast: &fastPath{tracks: tracks, herald: addr.NewHerald(applier)},
		applier: applier, announcer: addr.NewAnnouncer(applier.Sender(), log),
		watcher: w, readSysctls: w.sysctls, synced: context.Background(),
	}
	e.fast.hush = e.announcer.Hush
	w.e, w.told = e, e.public.Subscribe(1<<12)
	places := seating{}.allot(cfg.Groups)
	for i := range cfg.Groups {
		e.units = append(e.units, newUnit(&cfg.Groups[i], places))
	}
}

// before an operation, in most of the worlds; in the others they go to the kernel in chunks, as they do
// where nobody looks.
func (w *world) before() func(*addr.Op) {
	if rapid.IntRange(0, 2).Draw(w.t, "chunks") == 0 {
		return nil
	}
	return func(*addr.Op) {
		if w.firing || w.strike == 0 {
			return
		}
		if w.strike--; w.strike == 0 {
			epoch := w.e.applier.Epoch()
			w.firing = true
			w.struck()
			w.firing = false
			w.overtaken = w.e.applier.Epoch() != epoch
		}
	}
}

// others put on the host what is theirs: on an interface of no group, and on a member.
func (w *world) others() {
	links := w.h.Observed().Links
	w.h.Add(links[1].Index, netip.MustParsePrefix("203.0.113.9/24"))
	w.h.Add(links[2].Index, netip.MustParsePrefix("192.0.2.250/24"))
	w.h.By(addr.Op{Kind: addr.RestoreRoute, Was: &addr.HostRoute{Table: unix.RT_TABLE_MAIN, Protocol: unix.RTPROT_BIRD,
		To: netip.MustParsePrefix("203.0.113.128/25"), Link: links[2].Index}})
	w.foreign = w.theirs()
}

// theirs is what others have on the host. What hangs on an interface goes with it.
func (w *world) theirs() (list []string) {
	o := w.h.Observed()
	for _, a := range o.Addresses {
		if u, _, _ := w.data(a.Prefix.Addr()); u == nil && !w.test(a.Prefix.Addr()) && a.Proto != addr.Protocol {
			list = append(list, fmt.Sprint(a.Link, a.Prefix, a.Proto, a.Flags&unix.IFA_F_NOPREFIXROUTE))
		}
	}
	for _, r := range o.Routes {
		if r.Protocol == unix.RTPROT_BIRD {
			list = append(list, fmt.Sprint(r))
		}
	}
	slices.Sort(list)
	return list
}

// data address, its unit and its place in the file.
func (w *world) data(ip netip.Addr) (*unit, int, netip.Prefix) {
	for _, u := range w.e.units {
		if at := u.address(ip); at >= 0 {
			return u, at, u.cfg.Addresses[at].Prefix
		}
	}
	return nil, -1, netip.Prefix{}
}

func (w *world) test(ip netip.Addr) bool {
	for _, u := range w.e.units {
		for _, m := range u.members {
			if slices.ContainsFunc(m.cfg.Test, func(p netip.Prefix) bool { return p.Addr() == ip }) {
				return true
			}
		}
	}
	return false
}

// begin is what engine.begin does, without programs and probes.
func (w *world) begin() {
	e, s := w.e, w.Snapshot()
	for _, u := range e.units {
		for _, m := range u.members {
			m.look(s)
			e.show(u, m)
			e.carriers[m.number].Store(upness(m.link == group.LinkUp))
		}
		w.target(u)
		e.findTwins(u)
		e.hold(u, s)
		u.state, _ = group.New(u.groupConfig(), 0, u.start(s))
	}
	e.seatAll()
	e.recallRoutes(s, e.units...)
	e.adopt(s)
	for _, u := range e.units {
		e.publish(u)
	}
	e.apply()
	e.prepareAll()
	w.settled()
}

// target of a unit's probes.
func (w *world) target(u *unit) {
	for f := range u.side {
		target := netip.MustParseAddr(gateways[f])
		u.side[f].rotating, u.side[f].macs[target] = []netip.Addr{target}, addr.MAC{2, 9}
	}
	w.e.setKinds(u)
}

// Snapshot implements watcher.
func (w *world) Snapshot() *netstate.Snapshot { return snapshotOf(w.h.Observed()) }

// Sync implements watcher.
func (w *world) Sync(context.Context) error { return nil }

// Wrote implements watcher: an Apply begins, or has ended.
func (w *world) Wrote() { w.overtaken = false }

func (w *world) sysctls(keys []string) map[string]string {
	all, is := w.h.Observed().Sysctls, map[string]string{}
	for _, key := range keys {
		if value, ok := all[key]; ok {
			is[key] = value
		}
	}
	return is
}

// SetOwner implements shown.
func (w *world) SetOwner(ip netip.Addr, number int) error {
	w.owners[ip] = number
	return nil
}

// DeleteOwner implements shown.
func (w *world) DeleteOwner(ip netip.Addr) error {
	delete(w.owners, ip)
	return nil
}

// SetSurvivors implements shown.
func (w *world) SetSurvivors(int, []uint8) error { return nil }

// snapshotOf is what the watcher would make of the host.
func snapshotOf(o addr.Observed) *netstate.Snapshot {
	s := &netstate.Snapshot{}
	for _, l := range o.Links {
		s.Links = append(s.Links, netstate.Link{Index: l.Index, Name: l.Name, MAC: l.MAC, MTU: 1500, Up: l.Up, Carrier: l.Carrier})
	}
	for _, a := range o.Addresses {
		s.Addresses = append(s.Addresses, netstate.Address{Link: a.Link, Prefix: a.Prefix, Peer: a.Form.Peer, Broadcast: a.Form.Broadcast,
			Label: a.Form.Label, Metric: a.Form.Metric, Flags: a.Flags, Scope: a.Form.Scope, Protocol: a.Proto,
			Preferred: netstate.Forever, Valid: netstate.Forever})
	}
	slices.SortStableFunc(s.Addresses, func(a, b netstate.Address) int { return a.Link - b.Link })
	for _, r := range o.Routes {
		is := netstate.Route{Table: r.Table, Dst: r.To, Metric: r.Metric, Protocol: r.Protocol, Scope: r.Scope, Src: r.Src,
			NexthopID: r.NHID, Metrics: r.Metrics, Expires: netstate.Forever}
		if r.NHID == 0 {
			is.Hops = []netstate.Hop{{Link: r.Link, Gateway: r.Via, Weight: 1, Flags: r.Flags}}
		}
		s.Routes = append(s.Routes, is)
	}
	for _, n := range o.Nexthops {
		s.Nexthops = append(s.Nexthops, netstate.Nexthop{ID: n.ID, Protocol: n.Protocol, Link: n.Link, Gateway: n.Gateway, Group: n.Hops, Weights: n.Weights})
	}
	for _, n := range o.Neighbors {
		s.Neighbors = append(s.Neighbors, netstate.Neighbor{Link: n.Link, IP: n.IP, MAC: n.MAC, State: n.State, Protocol: n.Protocol})
	}
	return s
}
