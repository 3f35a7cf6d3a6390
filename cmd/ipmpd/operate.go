// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/detect"
	"github.com/ipmpd/ipmpd/pkg/group"
)

// proofTime is how long `online` waits for the member's probes to be answered, before it goes back
// into service unproved.
const proofTime = 3 * time.Second

// pendingOnline is a member on its way back: it is probed already, but does not carry anything.
type pendingOnline struct {
	u     *unit
	m     *member
	since int64 // CLOCK_MONOTONIC ns
	until time.Time
	done  []chan error
	// resumes: its MAC is unique again; the operator had nothing to do with it.
	resumes bool
}

// command carries out an operator's word.
func (e *engine) command(c *command) {
	if c.Verb == control.Release {
		c.done <- e.release(c.Group)
		return
	}
	u, m := e.findName(c.Interface)
	if m == nil {
		c.done <- control.NotFound(fmt.Sprintf("%s is in no group", c.Interface), "see `ipmpd status`")
		return
	}
	if u.monitors() {
		c.done <- control.Refused(c.Interface+" is in no group: it is only watched, and nothing would move off it", "put it into a group first")
		return
	}
	switch c.Verb {
	case control.Offline:
		c.done <- e.offline(u, m, c.Force)
	case control.Online:
		e.online(u, m, c.done)
	default:
		c.done <- control.NotBuilt(c.Verb)
	}
}

// offline moves everything off a member first, then pauses its probes.
func (e *engine) offline(u *unit, m *member, force bool) error {
	e.cancelOnline(m)
	if m.offline {
		return nil
	}
	err := e.step(u, group.Offline{Member: m.index, Force: force}, nil)
	var no *refusal
	if errors.As(err, &no) {
		return control.Refused(no.reason, "repeat with --force to do it all the same")
	}
	m.offline, m.twin = true, ""
	e.step(u, group.Suspended{Member: m.index}, nil) // the operator's word is the reason now
	e.journal.SetOffline(m.cfg.Name, true)
	e.updateProbing()
	e.compareMACs(u)
	return nil
}

// online resumes the probes; the member carries data again when they have been answered, so that
// nothing is lost by going back to a path that died meanwhile.
func (e *engine) online(u *unit, m *member, done chan error) {
	if i := e.pendingOf(m); i >= 0 {
		e.onlines[i].done = append(e.onlines[i].done, done)
		return
	}
	if why := e.doubledBy(u, m); why != "" && m.out() {
		done <- refuseTwin(m, why)
		return
	}
	if !m.offline {
		done <- nil
		return
	}
	m.offline = false
	e.updateProbing()
	e.onlines = append(e.onlines, &pendingOnline{u: u, m: m, since: monotonic(), until: time.Now().Add(proofTime), done: []chan error{done}})
	e.finishOnlines()
}

// finishOnlines puts members back into service whose probes are answered, or that have none, or
// that have had their time.
func (e *engine) finishOnlines() {
	e.onlines = slices.DeleteFunc(e.onlines, func(p *pendingOnline) bool {
		alone := p.resumes && p.u.state.Usable(group.Both) == 0
		if !alone && !e.proved(p) && time.Now().Before(p.until) {
			return false
		}
		var err error
		if p.resumes {
			err = e.step(p.u, group.Suspended{Member: p.m.index}, nil)
		} else {
			err = e.step(p.u, group.Online{Member: p.m.index}, nil)
			e.journal.SetOffline(p.m.cfg.Name, false)
		}
		for _, done := range p.done {
			done <- err
		}
		return true
	})
}

// proved: each family that is probed has answered `repair` rounds in a row, and since it is back: the
// window still has the rounds from before it went.
func (e *engine) proved(p *pendingOnline) bool {
	if p.m.ifindex == 0 || p.m.link == group.LinkDown {
		return true
	}
	for f, probed := range p.u.probed(p.m) {
		if s := e.sample(p.u, p.m, f); probed && (s.LastReply <= p.since || s.Answering < min(p.u.cfg.Repair, 100)) {
			return false
		}
	}
	return true
}

func (e *engine) pendingOf(m *member) int {
	return slices.IndexFunc(e.onlines, func(p *pendingOnline) bool { return p.m == m })
}

// cancelOnline: the operator has thought better of it.
func (e *engine) cancelOnline(m *member) {
	if i := e.pendingOf(m); i >= 0 {
		e.endOnline(i, control.Refused(m.cfg.Name+" was taken offline again", ""))
		e.updateProbing()
	}
}

// endOnline without success; the operator's mark, where there was one, stands again.
func (e *engine) endOnline(at int, why error) {
	p := e.onlines[at]
	for _, done := range p.done {
		done <- why
	}
	e.onlines = slices.Delete(e.onlines, at, at+1)
	p.m.offline = !p.resumes
}

// adapt lengthens the rounds where the prober cannot hold them, and says what can be achieved; it
// returns whether the prober's plan is another.
func (e *engine) adapt(u *unit, now int64, samples []detect.Sample) (changed bool) {
	for f := range u.side {
		side := &u.side[f]
		if !side.used {
			continue
		}
		track, ok := e.prober.TrackSnapshot(u.trackNumber(f))
		if !ok {
			continue
		}
		var mine []detect.Sample
		for _, s := range samples {
			if int(s.Family) == f {
				mine = append(mine, s)
			}
		}
		switch ev := side.adapt.Observe(now, detect.Load{
			Rounds: track.Ticks - track.Skipped, Late: track.Late, Policed: detect.PolicedShare(mine)}); ev {
		case detect.AdaptNone:
		case detect.AdaptPoliced:
			e.event(control.Event{Event: control.EventTargetPoliced, Group: u.cfg.Name, Interface: u.loner(),
				Family: detect.Family(f).String(), Detail: fmt.Sprintf("rounds every %v", side.adapt.Interval())})
			changed = true
		default:
			e.event(control.Event{Event: control.EventDetectionTimeAdapted, Group: u.cfg.Name, Interface: u.loner(),
				Family: detect.Family(f).String(), Detail: fmt.Sprintf("%s: rounds every %v", ev, side.adapt.Interval())})
			changed = true
		}
		// A rate on trial, for a policer, comes without an event.
		changed = changed || side.adapt.Interval() != side.interval
		if now >= side.sayAt && !u.monitors() {
			side.sayAt = now + time.Second.Nanoseconds()
			e.sayAchievable(u, f)
		}
	}
	if changed {
		u.tracker.Configure(u.settings())
	}
	return changed
}

// sayAchievable tells when the achievable detection time passes the configured one, and when it is
// back; between half and twice of what was said last nothing is said again.
func (e *engine) sayAchievable(u *unit, family int) {
	side := &u.side[family]
	is, known := e.achievable(u, family)
	if !known {
		return
	}
	// The configured time is met with room for the jitter that is always there.
	over := is > u.cfg.DetectionTime+u.cfg.DetectionTime/2
	switch {
	case over && (side.said == 0 || is > 2*side.said):
		side.said = is
		e.event(control.Event{Event: control.EventDetectionTimeAdapted, Group: u.cfg.Name,
			Family: detect.Family(family).String(), Detail: fmt.Sprintf("achievable now: %v, configured: %v", is, u.cfg.DetectionTime)})
	case is <= u.cfg.DetectionTime && side.said != 0:
		side.said = 0
		e.event(control.Event{Event: control.EventDetectionTimeAdapted, Group: u.cfg.Name,
			Family: detect.Family(family).String(), Detail: fmt.Sprintf("achievable again: %v", u.cfg.DetectionTime)})
	}
}
