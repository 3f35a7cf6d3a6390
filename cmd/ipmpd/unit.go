// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/detect"
	"github.com/ipmpd/ipmpd/pkg/group"
)

// unit is one group with all that the engine keeps of it. It belongs to the engine's goroutine.
type unit struct {
	cfg     *config.Group
	slot    int
	members []*member
	state   *group.Group
	tracker *detect.Tracker

	side [bpf.Families]side
	// owners are what map "owners" says.
	owners map[netip.Addr]int
	// held are, by address, those that may not be used yet; nil: it is in use.
	held []*held
	// unasked are test addresses that are to be asked for once their member has link.
	unasked []testAddress
	// adopted are routes that were found on the host, beside those that the kernel looks after itself
	// and ours stand before.
	adopted, beside []addr.Route
	// mtus is what was told of members with different MTUs; "": nothing.
	mtus string
	// steps counts what the state was told; prepared is what the contingencies were prepared from.
	steps    int
	prepared *prepared
	// staying are the first routes through members that do not follow, as of the last look at the host,
	// stayCount is how many there are.
	staying   []addr.Staying
	stayCount int
	// pending is the history entry whose steps have failed so far; 0: none.
	pending uint64
}

// side is one family of a group.
type side struct {
	used      bool // the group has addresses of it
	adapt     detect.Adapt
	rotation  detect.Rotation
	discovery detect.Discovery
	targets   []netip.Addr  // chosen
	from      detect.Source // those
	rotating  []netip.Addr  // of them, those in the rounds
	planned   []netip.Addr  // the prober's, in the order of the BPF map
	interval  time.Duration // the prober's
	macs      map[netip.Addr]addr.MAC
	said      time.Duration // achievable detection time last reported
	sayAt     int64         // CLOCK_MONOTONIC ns, when it is looked at again
}

// newUnit of a configured group. Members are in file order.
func newUnit(cfg *config.Group, places seating) *unit {
	u := &unit{cfg: cfg, slot: places.slots[cfg.Key()], owners: map[netip.Addr]int{}}
	for i := range cfg.Interfaces {
		at := places.seats[cfg.Interfaces[i].Name]
		u.members = append(u.members, &member{
			cfg: &cfg.Interfaces[i], number: at.number, bit: at.bit, index: i, link: group.LinkUnknown, monitored: cfg.Monitors()})
	}
	for f := range u.side {
		s := &u.side[f]
		s.used = u.uses(f)
		s.macs = map[netip.Addr]addr.MAC{}
		s.adapt = detect.Adapt{Configured: cfg.Interval(), Enabled: cfg.Adapt}
	}
	u.tracker = detect.NewTracker(u.settings())
	return u
}

func (u *unit) settings() detect.Settings {
	// Both families of a group are judged by one set of rules; the slower rounds count.
	return detect.Settings{
		DetectionTime: u.cfg.DetectionTime, Misses: u.cfg.Misses, Repair: u.cfg.Repair,
		HoldDown: u.cfg.HoldDown, FlapLimit: u.cfg.FlapLimit,
		Interval: max(u.side[0].adapt.Interval(), u.side[1].adapt.Interval()),
		Alone:    u.monitors(),
	}
}

// uses reports whether a group has to do with a family: by a data or test address, or a target. What a
// monitored interface has to do with is seen on the host (updateFamilies).
func (u *unit) uses(family int) bool {
	if u.monitors() {
		return false
	}
	is := func(a netip.Addr) bool { return a.Is4() == (family == 0) }
	for _, a := range u.cfg.Addresses {
		if is(a.Prefix.Addr()) {
			return true
		}
	}
	for _, m := range u.cfg.Interfaces {
		for _, p := range m.Test {
			if is(p.Addr()) {
				return true
			}
		}
	}
	for _, t := range u.cfg.Targets {
		if is(t) {
			return true
		}
	}
	return false
}

// member with a number of the BPF maps; nil: it is not of this group.
func (u *unit) member(number int) *member {
	for _, m := range u.members {
		if m.number == number {
			return m
		}
	}
	return nil
}

// probed says which families of a member have probes.
func (u *unit) probed(m *member) (probed [group.Families]bool) {
	for f, k := range m.kind {
		probed[f] = (k == detect.KindICMP || k == detect.KindARP) && u.asked(m, f) > 0
	}
	return probed
}

// groupConfig is the group for pkg/group.
func (u *unit) groupConfig() group.Config {
	c := group.Config{Name: u.cfg.Name, Failback: u.cfg.Failback}
	home := map[string]int{}
	for i, m := range u.members {
		c.Members = append(c.Members, group.MemberConfig{
			Name: m.cfg.Name, Standby: m.cfg.Standby, Probed: u.probed(m)})
		home[m.cfg.Name] = i
	}
	for _, a := range u.cfg.Addresses {
		c.Addresses = append(c.Addresses, group.AddressConfig{Prefix: a.Prefix, Home: home[a.Home]})
	}
	return c
}

// table of the VRF that the members belong to, by the first that exists: config.CheckHost warns
// where they belong to several. 0: main.
func (u *unit) table() uint32 {
	for _, m := range u.members {
		if m.ifindex != 0 {
			return m.table
		}
	}
	return 0
}

// desired is the group for pkg/addr.
func (u *unit) desired() addr.Group {
	g := addr.Group{
		Slot: u.slot, Name: u.cfg.Name, Table: u.table(), Spread: u.cfg.Spread != config.SpreadOff,
		SpreadL4: u.cfg.Spread == config.SpreadL4,
		Announce: addr.Announce{
			Count: u.cfg.Announce.Count, Interval: u.cfg.Announce.Interval,
			Rate: u.cfg.Announce.Rate, Refresh: u.cfg.Announce.Refresh},
	}
	for i, m := range u.members {
		am := addr.Member{
			Name: m.cfg.Name, Index: m.ifindex, MAC: m.mac, Link: m.link != group.LinkDown, Tests: m.cfg.Test}
		for f := range am.Usable {
			am.Usable[f] = u.state.Usable(group.Family(f))&(1<<i) != 0
			am.Active[f] = u.state.Active(group.Family(f))&(1<<i) != 0
		}
		g.Members = append(g.Members, am)
	}
	owners := u.placed()
	for i, a := range u.cfg.Addresses {
		g.Addresses = append(g.Addresses, addr.Address{Prefix: a.Prefix, Member: owners[i]})
	}
	for _, r := range u.cfg.Routes {
		g.Routes = append(g.Routes, addr.Route{
			To: r.To, Via: r.Via, Src: r.Src, Metric: r.Metric, Table: cmp.Or(r.Table, g.Table)})
	}
	g.Routes = append(append(g.Routes, u.adopted...), u.beside...)
	return g
}
