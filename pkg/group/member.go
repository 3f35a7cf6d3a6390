// SPDX-License-Identifier: Apache-2.0

package group

import "time"

// member is what is known of one member, and what follows from it.
type member struct {
	// known
	exists  bool
	link    Link
	detail  string // of the link's loss
	offline bool
	// suspended: why it is out of service though the operator did not say so; "": it is not.
	suspended string
	probed    [Families]bool
	verdict   [Families]verdict

	// remembered
	inactive [Families]bool // INACTIVE of spec 5.4; only a usable member is
	seen     [Families]bool // has been usable before
	recorded [Families]bool // its failure is known or in the history, its repair is not
	lastWhy  [Families]reason
	// returning: put back online, so its addresses come home even where failback is false.
	returning bool
	since     time.Duration

	// follows from the above
	state [Families]State
	why   [Families]reason
}

// verdict is the last word of pkg/detect on one family.
type verdict struct {
	health Health
	reason
	// both: a failure by link takes the other family along.
	both bool
	// group: failed only because the group did.
	group bool
	// blank: failed along with the link or the group, and nothing was known of it before. When the
	// other family is good, nothing is known of it again: a LAN without one IPv6 target says
	// nothing of IPv6, before a failure and after it.
	blank bool
}

type reason struct {
	cause  Cause
	detail string
}

func (m *member) adopt(s MemberStart) {
	if s.known != nil {
		*m = *s.known
		m.suspend(s.Suspended)
		return
	}
	m.exists, m.link, m.offline, m.suspended = s.Exists, s.Link, s.Offline, s.Suspended
	for f, h := range s.Health {
		m.verdict[f].health = h
		if h == Failed {
			m.verdict[f].reason = reason{cause: CauseProbe}
		}
	}
}

// source is the family whose verdict counts for f: a family without probes follows the other.
func (m *member) source(f int) int {
	if other := 1 - f; !m.probed[f] && m.probed[other] {
		return other
	}
	return f
}

// out of service, though it exists.
func (m *member) out() bool { return m.offline || m.suspended != "" }

// judge says what a family is. Missing goes before offline, offline before failed.
func (m *member) judge(f int) (State, reason) {
	own, other := m.verdict[m.source(f)], m.verdict[1-m.source(f)]
	switch {
	case !m.exists:
		return StateMissing, reason{cause: CauseMissing}
	case m.offline:
		return StateOffline, reason{cause: CauseAdmin}
	case m.suspended != "":
		return StateOffline, reason{CauseMAC, m.suspended}
	case m.link == LinkDown:
		return StateFailed, reason{CauseLink, m.detail}
	case own.health == Failed:
		return StateFailed, own.reason
	case other.health == Failed && other.both:
		return StateFailed, other.reason
	case own.health == OK:
		return StateOK, reason{}
	default:
		return StateUnknown, reason{}
	}
}

// usable: ok, or without a verdict and with link (contract section 1).
func (m *member) usable(f int) bool {
	return m.state[f] == StateOK || m.state[f] == StateUnknown && m.link == LinkUp
}

// judge lets states and the sets of usable and ready members follow from what is known.
func (g *Group) judge() {
	var answered [Families]bool
	for i := range g.members {
		m := &g.members[i]
		for f := range m.state {
			m.state[f], m.why[f] = m.judge(f)
			answered[f] = answered[f] || m.state[f] == StateOK
		}
	}
	for f := range g.set {
		g.set[f].usable, g.set[f].ready = 0, 0
		for i := range g.members {
			m := &g.members[i]
			if m.usable(f) {
				g.set[f].usable |= bit(i)
				if m.settled(f, answered[f]) {
					g.set[f].ready |= bit(i)
				}
			}
		}
	}
}

// settled: there is no better verdict to wait for. It is ok; or it has no probes; or nobody in the
// group has an answer in this family, and the other family shows that the member is good.
func (m *member) settled(f int, answered bool) bool {
	return m.state[f] == StateOK ||
		!m.probed[IPv4] && !m.probed[IPv6] ||
		!answered && m.state[1-f] == StateOK
}

// refuse an offline that leaves a family, which this member could carry, without a member.
func (g *Group) refuse(ev Event) (Refused, bool) {
	e, ok := ev.(Offline)
	if !ok || e.Force || !g.valid(e.Member) {
		return Refused{}, false
	}
	for _, s := range g.set {
		if s.usable == bit(e.Member) {
			return Refused{e.Member, "no other member of the group is usable"}, true
		}
	}
	return Refused{}, false
}

// apply changes what is known; false: the event says nothing new.
func (g *Group) apply(ev Event) bool {
	switch e := ev.(type) {
	case GroupFailed:
		return g.fail(e)
	case GroupRepaired:
		return false // see its comment
	case HealthChanged:
		return g.valid(e.Member) && g.members[e.Member].hear(e)
	case LinkChanged:
		return g.valid(e.Member) && g.members[e.Member].hearLink(e)
	case PresenceChanged:
		return g.valid(e.Member) && g.members[e.Member].appear(e.Exists)
	case Offline:
		return g.valid(e.Member) && g.members[e.Member].mark(true)
	case Online:
		return g.valid(e.Member) && g.members[e.Member].mark(false)
	case Suspended:
		return g.valid(e.Member) && g.members[e.Member].suspend(e.Detail)
	case ProbingChanged:
		return g.valid(e.Member) && g.members[e.Member].probing(e.Probed)
	default:
		return false
	}
}

func (m *member) hear(e HealthChanged) bool {
	old := m.verdict
	for f := range m.verdict {
		// Without probes on either family, a verdict is one on both.
		if int(e.Family) != f && e.Family != Both && (m.probed[IPv4] || m.probed[IPv6]) {
			continue
		}
		v := verdict{health: e.Health}
		if e.Health == Failed {
			v.reason = reason{e.Cause, e.Detail}
			v.both = e.Cause == CauseLink
			v.blank = e.Family == Both && m.verdict[f].isBlank()
		} else {
			m.verdict[1-f].release()
		}
		m.verdict[f] = v
	}
	return m.verdict != old
}

func (v *verdict) isBlank() bool { return v.health == Unknown || v.blank }

// release: the other family is not failed, so the link carries frames and takes nobody along any
// more. This family's own verdict stands, if it ever had one.
func (v *verdict) release() {
	v.both = false
	if v.blank {
		*v = verdict{}
	}
}

func (m *member) hearLink(e LinkChanged) bool {
	if m.link == e.Link {
		return false
	}
	m.link, m.detail = e.Link, ""
	if e.Link == LinkDown {
		m.detail = e.Detail
	}
	return true
}

func (m *member) appear(exists bool) bool {
	if m.exists == exists {
		return false
	}
	m.exists = exists
	m.link, m.detail = LinkUnknown, ""
	m.verdict = [Families]verdict{}
	return true
}

func (m *member) mark(offline bool) bool {
	if m.offline == offline {
		return false
	}
	m.offline = offline
	m.returning = !offline // when it goes, that is over too
	return true
}

func (m *member) suspend(why string) bool {
	if m.suspended == why {
		return false
	}
	m.suspended = why
	if !m.offline {
		m.returning = why == ""
	}
	return true
}

// probing: a family that gets probes starts from what it followed so far. A failure that it only
// followed is blank: it ends with the other family's, if no verdict of its own comes first.
func (m *member) probing(probed [Families]bool) bool {
	if m.probed == probed {
		return false
	}
	old := m.verdict
	for f := range probed {
		m.verdict[f] = old[m.source(f)]
		if m.source(f) != f && m.verdict[f].health == Failed {
			m.verdict[f].blank = true
		}
	}
	m.probed = probed
	return true
}

// fail marks everyone who is not failed for a reason of its own. Members that are offline keep the
// mark for the case that they come back before the group does (spec 2.7).
func (g *Group) fail(e GroupFailed) bool {
	if g.failure {
		return false
	}
	g.failure, g.failureCause, g.failureDetail = true, e.Cause, e.Detail
	for i := range g.members {
		m := &g.members[i]
		for f := range m.verdict {
			if m.state[f] != StateFailed && m.state[f] != StateMissing && m.verdict[f].health != Failed {
				blank := m.verdict[f].isBlank()
				m.verdict[f] = verdict{Failed, reason{e.Cause, e.Detail}, false, true, blank}
			}
		}
	}
	return true
}

// forgetOffline lets members that are offline forget that they failed with the group.
func (g *Group) forgetOffline() {
	for i := range g.members {
		m := &g.members[i]
		for f := range m.verdict {
			if m.out() && m.verdict[f].group {
				m.verdict[f] = verdict{}
			}
		}
	}
}
