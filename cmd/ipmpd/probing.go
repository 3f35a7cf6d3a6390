// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/detect"
	"github.com/ipmpd/ipmpd/pkg/detect/probe"
	"github.com/ipmpd/ipmpd/pkg/group"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// retarget chooses a group's targets and learns their MACs; it returns whether the prober's plan is
// another.
func (e *engine) retarget(u *unit, s *netstate.Snapshot) (changed bool) {
	changed = e.updateFamilies(u)
	for f := range u.side {
		side := &u.side[f]
		if !side.used {
			continue
		}
		var chosen []netip.Addr
		chosen, side.from = detect.Retarget(detect.Family(f), u.candidates(f, s), side.targets, side.from, u.tracker.GroupFailed())
		if !slices.Equal(chosen, side.targets) {
			e.event(control.Event{Event: control.EventTargetChanged, Group: u.cfg.Name, Interface: u.loner(),
				Family: detect.Family(f).String(), Detail: nameOr(joinAddrs(chosen), "none")})
			side.targets = chosen
		}
		changed = e.rotate(u, f) || changed
		for _, t := range side.targets {
			if mac := e.macOf(u, s, t); mac != (addr.MAC{}) && mac != side.macs[t] {
				side.macs[t] = mac
				changed = true
			}
		}
	}
	return e.setKinds(u) || changed
}

func joinAddrs(list []netip.Addr) string {
	text := make([]string, len(list))
	for i, a := range list {
		text[i] = a.String()
	}
	return strings.Join(text, " ")
}

// candidates for targets of one family.
func (u *unit) candidates(family int, s *netstate.Snapshot) detect.Candidates {
	c := detect.Candidates{Configured: u.cfg.Targets, Responders: u.side[family].discovery.Found()}
	is := func(a netip.Addr) bool { return a.IsValid() && a.Is4() == (family == 0) }
	links := map[int]bool{}
	for _, m := range u.members {
		links[m.ifindex] = m.ifindex != 0
		for _, p := range m.tests() {
			c.Subnets = append(c.Subnets, p.Masked())
		}
	}
	for _, a := range u.cfg.Addresses { // thousands may share one
		if subnet := a.Prefix.Masked(); len(c.Subnets) == 0 || subnet != c.Subnets[len(c.Subnets)-1] {
			c.Subnets = append(c.Subnets, subnet)
		}
	}
	for _, r := range u.cfg.Routes {
		if is(r.Via) {
			c.NextHops = append(c.NextHops, r.Via)
		}
	}
	for i := range s.Routes {
		for _, hop := range s.Routes[i].Hops {
			if links[hop.Link] && is(hop.Gateway) {
				c.NextHops = append(c.NextHops, hop.Gateway)
			}
		}
	}
	for i := range s.Neighbors {
		n := &s.Neighbors[i]
		const alive = unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE | unix.NUD_PERMANENT
		if links[n.Link] && is(n.IP) && n.State&alive != 0 && n.MAC != ([6]byte{}) && !n.IP.IsLinkLocalUnicast() {
			c.Neighbours = append(c.Neighbours, n.IP)
		}
	}
	// Entries come and go; a target that is one already stays while it is one.
	slices.SortStableFunc(c.Neighbours, func(a, b netip.Addr) int {
		return rank(u.side[family].targets, a) - rank(u.side[family].targets, b)
	})
	c.Own = func(ip netip.Addr) bool {
		return s.Has(ip) || slices.ContainsFunc(u.cfg.Addresses, func(a config.Address) bool { return a.Prefix.Addr() == ip })
	}
	return c
}

func rank(list []netip.Addr, a netip.Addr) int {
	if i := slices.Index(list, a); i >= 0 {
		return i
	}
	return len(list)
}

// macOf a target, as the kernel's neighbour table has it on any member of the group.
func (e *engine) macOf(u *unit, s *netstate.Snapshot, target netip.Addr) addr.MAC {
	const valid = unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE | unix.NUD_PERMANENT
	var found addr.MAC
	best := uint16(0)
	for i := range s.Neighbors {
		n := &s.Neighbors[i]
		if n.IP != target || n.State&valid == 0 || n.MAC == ([6]byte{}) {
			continue
		}
		for _, m := range u.members {
			fresh := n.State & (unix.NUD_REACHABLE | unix.NUD_PERMANENT)
			if m.ifindex == n.Link && m.ifindex != 0 && (best == 0 || fresh > best) {
				found, best = n.MAC, max(fresh, 1)
			}
		}
	}
	return found
}

// rotate takes dead targets out of the rounds and back in, and asks for MACs again.
func (e *engine) rotate(u *unit, family int) (changed bool) {
	side := &u.side[family]
	track, _ := e.prober.TrackSnapshot(bpf.TrackNumber(u.slot, family))
	states := e.targetStates(u, family, &track)
	now := monotonic()
	in := side.rotation.InRotation(now, u.cfg.Misses, track.Interval, states)
	changed = !slices.Equal(in, side.rotating)
	for _, t := range side.rotating {
		if why := side.rotation.Why(t); why != "" && !slices.Contains(in, t) {
			e.log.Info("a target is set aside", "group", u.cfg.Name, "target", t, "why", why)
		}
	}
	side.rotating = in
	for _, t := range side.rotation.AskAgain(now, u.cfg.Misses, states) {
		e.resolve(u, t)
	}
	return changed
}

// targetStates of a family, as the prober knows them.
func (e *engine) targetStates(u *unit, family int, track *probe.TrackSnapshot) []detect.TargetState {
	side := &u.side[family]
	var most [bpf.Targets]time.Duration
	for _, m := range u.members {
		for i, rtt := range e.prober.TargetRTT(bpf.InstanceNumber(m.number, family)) {
			most[i] = max(most[i], rtt)
		}
	}
	states := make([]detect.TargetState, len(side.targets))
	for i, t := range side.targets {
		states[i].Addr, states[i].Unknown = t, side.macs[t] == (addr.MAC{})
		if slices.Contains(side.rotating, t) && i < len(side.planned) && side.planned[i] == t {
			states[i].VoidRun, states[i].RTT = track.VoidRun[i], most[i]
		}
	}
	return states
}

// resolveAll targets of a group, whose members have got their addresses a moment ago.
func (e *engine) resolveAll(u *unit) {
	for f := range u.side {
		for _, t := range u.side[f].targets {
			e.resolve(u, t)
		}
	}
}

// asks: questions may go out on the member.
func (m *member) asks() bool {
	return m.ifindex != 0 && m.settled == m.ifindex && m.link != group.LinkDown && !m.out()
}

// resolve asks for a target's MAC on every member that can.
func (e *engine) resolve(u *unit, target netip.Addr) {
	for _, m := range u.members {
		if !m.asks() {
			continue
		}
		family := 0
		if target.Is6() {
			family = 1
		}
		if err := e.applier.Resolve(m.ifindex, m.mac, m.test(family), target); err != nil {
			e.log.Debug("a target was not asked for its MAC", "target", target, "interface", m.cfg.Name, "error", err)
		}
	}
}

// setKinds decides how each instance is probed; it returns whether that changed.
func (e *engine) setKinds(u *unit) (changed bool) {
	for _, m := range u.members {
		old := m.kind
		for f := range m.kind {
			m.kind[f] = detect.KindOf(detect.Mode(u.cfg.Probe), detect.Family(f), m.test(f).IsValid(), u.side[f].used)
		}
		changed = changed || m.kind != old
		e.tellKinds(u, m, old)
	}
	return changed
}

// plan is what the prober has to do.
func (e *engine) plan() *probe.Plan {
	p := &probe.Plan{}
	for _, u := range e.units {
		for f := range u.side {
			if u.side[f].used {
				p.Tracks = append(p.Tracks, u.track(f, e.icmpID))
			}
		}
	}
	return p
}

// track of one family for the prober.
func (u *unit) track(family int, icmpID uint16) probe.Track {
	side := &u.side[family]
	t := probe.Track{Name: u.cfg.Name, Number: bpf.TrackNumber(u.slot, family)}
	var kinds []detect.Kind
	for _, m := range u.members {
		pm := probe.Member{
			Name: m.cfg.Name, Number: m.number, Bit: m.bit, Ifindex: m.ifindex, MAC: m.mac,
			Source: m.test(family), ICMPID: icmpID + uint16(m.number),
		}
		// An interface that is missing or out of service is in the track, so that its bit is known.
		if m.ifindex != 0 && !m.out() && !m.blind() {
			kinds = append(kinds, m.kind[family])
			pm.Kind = kernelKind(m.kind[family])
		}
		t.Members = append(t.Members, pm)
	}
	t.Interval = detect.RoundInterval(detect.Mode(u.cfg.Probe), side.adapt.Interval(), kinds)
	// A target that is set aside keeps its place: rounds in flight know targets by it.
	for _, a := range side.targets {
		t.Targets = append(t.Targets, probe.Target{Addr: a, MAC: side.macs[a], Aside: !slices.Contains(side.rotating, a)})
	}
	side.planned, side.interval = slices.Clone(side.targets), side.adapt.Interval()
	return t
}

func kernelKind(k detect.Kind) uint32 {
	switch k {
	case detect.KindICMP:
		return bpf.KindICMP
	case detect.KindARP:
		return bpf.KindARP
	}
	return bpf.KindNone
}

// updateProbing gives the prober the present plan, and tells the groups which families are probed.
func (e *engine) updateProbing() {
	p := e.plan()
	if err := p.Validate(); err != nil {
		e.log.Error("the plan for the prober is wrong; the old one stays", "error", err)
		return
	}
	p.Publish(e.instances, e.tracks)
	for _, u := range e.units {
		for _, m := range u.members {
			for f := range m.kind {
				flags := uint32(0)
				if !u.probed(m)[1-f] {
					flags = bpf.TakesBoth
				}
				atomic.StoreUint32(&e.instances[bpf.InstanceNumber(m.number, f)].Flags, flags)
			}
		}
	}
	if err := e.prober.Update(p); err != nil {
		e.log.Error("the prober refused its plan; the old one stays", "error", err)
	}
	e.watchCarriers()
	for _, u := range e.units {
		if u.state == nil {
			continue
		}
		for _, m := range u.members {
			e.step(u, group.ProbingChanged{Member: m.index, Probed: u.probed(m)}, nil)
		}
	}
}

// samples of a group, for the tracker.
func (e *engine) samples(u *unit) []detect.Sample {
	out := make([]detect.Sample, 0, len(u.members)*bpf.Families)
	for _, m := range u.members {
		for f := range bpf.Families {
			out = append(out, e.sample(u, m, f))
		}
	}
	return out
}

// asked is how many targets a member's probes of a family go to: an echo needs the target's MAC, and
// the programs, to be seen.
func (u *unit) asked(m *member, family int) (n int) {
	if m.blind() {
		return 0
	}
	side := &u.side[family]
	for _, t := range side.rotating {
		if side.macs[t] != (addr.MAC{}) || m.kind[family] == detect.KindARP {
			n++
		}
	}
	return n
}

// unprobed is a sample without what the probes say.
func (e *engine) unprobed(u *unit, m *member, family int) detect.Sample {
	s := detect.Sample{
		Member: m.number, Family: detect.Family(family), Kind: m.kind[family],
		Link: detect.Link(m.link), Disabled: m.out() || m.ifindex == 0,
		Epoch: e.epoch + m.epoch, Appeared: m.appeared, Targets: u.asked(m, family),
	}
	if m.kind[0] == detect.KindNone && m.kind[1] == detect.KindNone {
		// Not probed at all: its link is all there is.
		s.Kind = detect.KindLink
	}
	return s
}

func (e *engine) sample(u *unit, m *member, family int) detect.Sample {
	s := e.unprobed(u, m, family)
	p, ok := e.prober.Snapshot(bpf.InstanceNumber(m.number, family))
	if !ok {
		return s
	}
	s.Answered, s.Missed, s.Streak = p.Answered, p.Missed, p.Streak
	s.Share, s.Judged = p.Share, p.Judged
	s.Answering, s.Missing = p.Answering, p.Missing
	s.LastReply, s.LastMiss, s.Refused = p.LastReply, p.LastMiss, p.Refused
	if p.Refused != 0 {
		s.TxPackets = txPackets(m.cfg.Name)
	}
	return s
}
