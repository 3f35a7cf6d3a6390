// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"time"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/config"
)

// castAgain is when a member that is usable again is reported a second time.
const castAgain = time.Second

// castReport is a member to be reported once more.
type castReport struct {
	u      *unit
	m      *member
	family int
	at     int64
}

// heardOn a member, in a family.
func (e *engine) heardOn(m *member, family int) (list []addr.Heard) {
	for _, h := range e.casts.heard {
		if h.Link == m.ifindex && m.ifindex != 0 && familyOfIP(h.Group) == family {
			list = append(list, h)
		}
	}
	return list
}

// reporter is a member that speaks IGMP and MLD.
func (e *engine) reporter(m *member) *addr.CastReporter {
	r := &addr.CastReporter{Link: m.ifindex, MAC: m.mac, Source: m.test(0), Source6: m.linkLocal, IGMP: 3}
	if v := e.casts.queriers[m.ifindex]; v != 0 {
		r.IGMP = 2
	}
	return r
}

// reportJoined tells switches at once of what we have joined just now.
func (e *engine) reportJoined(was, is []addr.Heard) {
	for _, u := range e.units {
		for _, m := range u.members {
			var fresh []addr.Heard
			for _, h := range is {
				if h.Link == m.ifindex && !slices.ContainsFunc(was, h.Same) {
					fresh = append(fresh, h)
				}
			}
			e.sendReports(addr.CastReports(e.reporter(m), fresh))
		}
	}
}

// reportBack tells the switch of what is heard on a member that is usable again: it may have forgotten.
func (e *engine) reportBack(u *unit, m *member, family int, again bool) {
	if e.casts.joins == nil || u.cfg.Multicast == config.MulticastOff {
		return
	}
	list := e.heardOn(m, family)
	if len(list) == 0 {
		return
	}
	e.sendReports(addr.CastReports(e.reporter(m), list))
	if again {
		e.casts.reports = append(e.casts.reports, castReport{u, m, family, monotonic() + castAgain.Nanoseconds()})
	}
}

func (e *engine) sendReports(frames []addr.Frame) {
	if len(frames) == 0 {
		return
	}
	if _, err := e.applier.Sender().Send(frames); err != nil {
		e.log.Debug("a multicast report was not sent; the kernel sends another one", "error", err)
	}
}

// reportAgain those whose time has come, if they are what they were.
func (e *engine) reportAgain(now int64) {
	e.casts.reports = slices.DeleteFunc(e.casts.reports, func(r castReport) bool {
		if now < r.at {
			return false
		}
		if slices.Contains(e.units, r.u) && r.m.published[r.family] {
			e.reportBack(r.u, r.m, r.family, false)
		}
		return true
	})
}

// castContingency is what a member's survivor reports when the member fails, by family or in both.
func (e *engine) castContingency(u *unit, m *member, which int) (frames []addr.Frame) {
	if e.casts.joins == nil || u.cfg.Multicast != config.MulticastFailover {
		return nil
	}
	members := u.castMembers()
	for f := range bpf.Families {
		if which != f && which != bothFamilies {
			continue
		}
		list := e.heardOn(m, f)
		if s := addr.CastSurvivor(members, m.index, f); s >= 0 && len(list) > 0 {
			frames = append(frames, addr.CastReports(e.reporter(u.members[s]), list)...)
		}
	}
	return frames
}
