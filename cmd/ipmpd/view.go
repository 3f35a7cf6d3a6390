// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/detect"
	"github.com/ipmpd/ipmpd/pkg/group"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// statusPatience is how long a reader waits for the engine.
const statusPatience = 2 * time.Second

// status of everything; on the engine's goroutine.
func (e *engine) status() *control.Status {
	s := &control.Status{Version: version}
	snapshot := e.watcher.Snapshot()
	for _, u := range e.groups() {
		s.Groups = append(s.Groups, e.groupStatus(u, snapshot))
	}
	for _, u := range e.monitors() {
		i := e.memberStatus(u, u.members[0], u.state.View().Members[0])
		addHost(&i, snapshot)
		s.Monitor = append(s.Monitor, i)
	}
	return s
}

func (u *unit) trackNumber(family int) int { return bpf.TrackNumber(u.slot, family) }

// achievable detection time of one family (detection.md section 3); false while nothing is known.
func (e *engine) achievable(u *unit, family int) (time.Duration, bool) {
	track, ok := e.prober.TrackSnapshot(u.trackNumber(family))
	if !ok {
		return 0, false
	}
	late := e.prober.Lateness(u.trackNumber(family)).P999
	var worst time.Duration
	known := false
	for _, m := range u.members {
		rtt := e.prober.RTT(bpf.InstanceNumber(m.number, family))
		if rtt.N == 0 {
			continue
		}
		known = true
		limit := max(int(m.armed[family]), u.cfg.Misses)
		worst = max(worst, detect.Achievable(limit, track.Interval, rtt.P999, late))
	}
	return worst, known
}

func (e *engine) groupStatus(u *unit, s *netstate.Snapshot) control.Group {
	v := u.state.View()
	g := control.Group{
		Name: u.cfg.Name, State: v.State.String(), Failback: u.cfg.Failback,
		DetectionTimeNS: u.cfg.DetectionTime.Nanoseconds(),
	}
	for f := range u.side {
		if is, known := e.achievable(u, f); known {
			if g.AchievableDetectionTimeNS == nil || *g.AchievableDetectionTimeNS < is.Nanoseconds() {
				g.AchievableDetectionTimeNS = new(is.Nanoseconds())
			}
		}
	}
	for i, m := range u.members {
		g.Interfaces = append(g.Interfaces, e.memberStatus(u, m, v.Members[i]))
	}
	placed := u.placed()
	for i, a := range u.cfg.Addresses {
		state := "down"
		if v.Addresses[i].Up && placed[i] >= 0 {
			state = "up"
		}
		g.Addresses = append(g.Addresses, control.Address{
			Address: a.Prefix.String(), State: state, Interface: u.memberName(placed[i]), Home: a.Home})
	}
	routes := u.desired().Routes
	taken := make(map[addr.Place]bool, len(routes))
	for _, r := range routes {
		if taken[r.Place()] {
			continue // the file's wins over an adopted one
		}
		taken[r.Place()] = true
		origin := "config"
		if r.Adopted {
			origin = "adopted"
		}
		for _, gateway := range r.Gateways() { // of several, an entry each
			via := ""
			if gateway.IsValid() {
				via = gateway.String()
			}
			g.Routes = append(g.Routes, control.Route{
				To: r.To.String(), Via: via, Origin: origin, Interfaces: u.activeNames(r.To.Addr().Is6())})
		}
	}
	for i := range g.Interfaces {
		addHost(&g.Interfaces[i], s)
	}
	g.ForeignAddresses = append(u.foreign(s), e.foreignCopies(u, s)...)
	g.ForeignRoutes, g.ForeignRouteCount = foreignRoutes(u.staying, s), u.stayCount
	return g
}

// addHost adds what the host says of an interface.
func addHost(i *control.Interface, s *netstate.Snapshot) {
	if l := s.LinkByName(i.Name); l != nil {
		i.Index, i.MTU, i.MAC = new(l.Index), new(l.MTU), net.HardwareAddr(l.MAC[:]).String()
	}
}

func (u *unit) activeNames(ipv6 bool) (names []string) {
	f := group.IPv4
	if ipv6 {
		f = group.IPv6
	}
	for i, m := range u.members {
		if u.state.Active(f)&(1<<i) != 0 {
			names = append(names, m.cfg.Name)
		}
	}
	return names
}

// foreign addresses on members: neither named by the file nor link-local.
func (u *unit) foreign(s *netstate.Snapshot) (out []control.ForeignAddress) {
	ours := make(map[netip.Addr]bool, len(u.cfg.Addresses)+len(u.members))
	for _, a := range u.cfg.Addresses {
		ours[a.Prefix.Addr()] = true
	}
	for _, m := range u.members {
		for _, p := range m.cfg.Test {
			ours[p.Addr()] = true
		}
	}
	for _, m := range u.members {
		if m.ifindex == 0 {
			continue
		}
		for _, a := range s.AddressesOf(m.ifindex) {
			if ip := a.Prefix.Addr(); !ours[ip] && !ip.IsLinkLocalUnicast() {
				out = append(out, control.ForeignAddress{Address: a.Prefix.String(), Interface: m.cfg.Name})
			}
		}
	}
	return out
}

func (e *engine) memberStatus(u *unit, m *member, v group.MemberView) control.Interface {
	i := control.Interface{
		Name: m.cfg.Name, State: v.State.String(), Standby: v.Standby, Active: v.Active,
		Link: v.Link.String(), ProbeKind: m.probes(), Cause: v.Cause.String(), Flaps: m.flaps,
		Note: u.note(m),
	}
	if m.attachment != nil {
		i.Attach = string(m.attachment.Mode)
	}
	for _, p := range m.cfg.Test {
		i.TestAddresses = append(i.TestAddresses, p.String())
	}
	families := control.Families{}
	for f := range u.side {
		if u.side[f].used {
			name := group.Family(f).String()
			families[name] = e.familyStatus(u, m, f, v.Families[f])
			u.probing(&i, m, f, name)
		}
	}
	i.SetFamilies(families)
	if len(families) == 0 { // nothing to be probed: its link is all there is
		i.Active, i.Probe = v.Active, detect.Disabled.String()
	}
	return i
}

// probing of one family: where the probes are from, and the targets.
func (u *unit) probing(i *control.Interface, m *member, family int, name string) {
	if m.out() || m.kind[family] != detect.KindICMP && m.kind[family] != detect.KindARP {
		return
	}
	if i.TargetsFrom == nil {
		i.TargetsFrom, i.ProbesFrom = control.Words{}, control.Words{}
	}
	i.TargetsFrom[name] = string(u.side[family].from)
	if source := m.test(family); source.IsValid() {
		i.ProbesFrom[name] = source.String()
	}
}

// note of a member: that of the first family that has one.
func (u *unit) note(m *member) string {
	if m.twin != "" {
		return m.twin
	}
	if text := m.lacks(); text != "" {
		return text
	}
	if m.attachment == nil && m.attachErr != "" {
		return "no programs: only its link is watched"
	}
	for f := range u.side {
		if u.side[f].used {
			if n := u.tracker.Note(m.number, detect.Family(f)); n != "" {
				return n
			}
		}
	}
	return ""
}

func (e *engine) familyStatus(u *unit, m *member, family int, v group.FamilyView) control.Family {
	probe, _, _ := u.tracker.State(m.number, detect.Family(family))
	f := control.Family{State: v.State.String(), Active: v.Active, Probe: probe.String()}
	kind := m.kind[family]
	if m.out() || kind != detect.KindICMP && kind != detect.KindARP {
		f.Probe = detect.Disabled.String()
		return f
	}
	for _, t := range u.side[family].targets {
		f.Targets = append(f.Targets, t.String())
	}
	instance := bpf.InstanceNumber(m.number, family)
	if p, ok := e.prober.Snapshot(instance); ok {
		f.RoundsSent, f.RoundsMissed = &p.Sent, &p.Missed
		if q := e.prober.RTT(instance); q.N > 0 {
			f.RTTP50NS, f.RTTP99NS = new(q.P50.Nanoseconds()), new(q.P99.Nanoseconds())
		}
	}
	return f
}

// Status implements control.Backend. It is made when somebody asks; an engine that does not answer
// leaves the last one, whose heartbeat shows it.
func (e *engine) Status() *control.Status {
	answer := make(chan *control.Status, 1)
	patience := time.After(statusPatience)
	select {
	case e.events <- func() { answer <- e.status() }:
	case <-patience:
	}
	var s control.Status
	select {
	case fresh := <-answer:
		e.lastStatus.Store(fresh)
		s = *fresh
	case <-patience:
		if last := e.lastStatus.Load(); last != nil {
			s = *last
		}
	}
	if beat := e.prober.HeartbeatNs(); beat != 0 {
		s.HeartbeatAgeNS = new(max(0, monotonic()-beat))
	}
	return &s
}

// History implements control.Backend.
func (e *engine) History() []control.HistoryEntry { return e.journal.History() }

// Command implements control.Backend.
func (e *engine) Command(ctx context.Context, c control.Command) error {
	done := make(chan error, 1)
	select {
	case e.events <- &command{Command: c, done: done}:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// The answer to a release comes together with the end of everything.
	select {
	case err := <-done:
		return err
	default:
		return ctx.Err()
	}
}
