// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/group"
)

// Two members with one MAC: the switch sends to whichever it heard last, so that both are heard in
// turn. One of them goes out of service, probes and all, until its MAC is unique (spec 4.4).

// twin is a member as far as it matters for that.
type twin struct {
	mac addr.MAC
	// since orders the members by when they came on the wire with that MAC; 0: it is not there, as it is
	// missing, has no link, or is out by the operator's word.
	since     uint64
	suspended bool // is now
	usable    bool
	waits     bool // exists, and may come on the wire again without anybody's word
}

// twins says of each member which other one keeps it out of service; -1: none. Of those on the wire with
// one MAC the first keeps its place: one that serves before one that is suspended, so that nothing moves
// without need; one that is usable before one that has failed, so that the last one is not taken; then
// the one that was there first. A failed one counts: what it still sends has that MAC. One without link
// sends nothing, and comes back as the later one.
func twins(list []twin) []int {
	of := make([]int, len(list))
	for i := range list {
		of[i] = -1
		if !list[i].waits || list[i].mac == (addr.MAC{}) {
			continue
		}
		keeper := keeperOf(list, list[i].mac)
		if keeper >= 0 && keeper != i && (list[i].since != 0 || list[i].suspended) {
			of[i] = keeper
		}
	}
	return of
}

// keeperOf a MAC; -1: it is on no wire.
func keeperOf(list []twin, mac addr.MAC) int {
	best := -1
	for i := range list {
		if list[i].mac == mac && list[i].since != 0 && (best < 0 || list[i].before(&list[best])) {
			best = i
		}
	}
	return best
}

func (t *twin) before(other *twin) bool {
	switch {
	case t.suspended != other.suspended:
		return other.suspended
	case t.usable != other.usable:
		return t.usable
	}
	return t.since < other.since
}

// wire keeps when each member came on the wire, and returns what is known of them. Usable at the start
// is who was so in a former run: who served goes on serving.
func (e *engine) wire(u *unit) []twin {
	list := make([]twin, len(u.members))
	for i, m := range u.members {
		usable := m.wired != 0 || !m.leftFailed[0] && !m.leftFailed[1]
		switch {
		case m.ifindex == 0 || m.offline || m.link != group.LinkUp:
			m.wired = 0
		case m.wired == 0 || m.wiredAs != m.mac:
			e.wirings++
			m.wired, m.wiredAs = e.wirings, m.mac
		}
		list[i] = twin{mac: m.mac, since: m.wired, suspended: m.twin != "", usable: usable, waits: m.ifindex != 0 && !m.offline}
		if u.state != nil {
			list[i].usable = u.state.Usable(group.Both)&(1<<i) != 0
		}
	}
	return list
}

// twinText says so of a member.
func (u *unit) twinText(of int) string {
	if of < 0 {
		return ""
	}
	return "has the MAC of " + u.members[of].cfg.Name
}

// findTwins before the group's state is made: nobody is placed on a member that has to go. Who is out
// though its MAC is unique now is returned where nobody else serves; others are probed first.
func (e *engine) findTwins(u *unit) (back []int) {
	serves := false
	list := twins(e.wire(u))
	for i, of := range list {
		m := u.members[i]
		serves = serves || of < 0 && !m.out() && m.link == group.LinkUp
		if of >= 0 && m.twin == "" {
			e.suspend(u, m, of)
			m.leftFailed = [bpf.Families]bool{} // that is why it was not in a former run's words
		}
	}
	for i, of := range list {
		if m := u.members[i]; !serves && of < 0 && m.twin != "" {
			m.twin, back = "", append(back, i)
		}
	}
	return back
}

// compareMACs takes doubled ones out of service, and others back when they are unique again: those are
// probed first, as after `online`.
func (e *engine) compareMACs(u *unit) {
	replan := false
	for i, of := range twins(e.wire(u)) {
		m := u.members[i]
		switch text := u.twinText(of); {
		case text == m.twin:
		case of >= 0:
			if at := e.pendingOf(m); at >= 0 { // on its way back; it never was
				e.endOnline(at, refuseTwin(m, text))
			}
			replan = true
			if m.offline {
				continue // by the operator's word, which stands again
			}
			e.suspend(u, m, of)
			e.step(u, group.Suspended{Member: i, Detail: text}, nil)
		default:
			m.twin = ""
			e.log.Info("its MAC is unique", "interface", m.cfg.Name)
			if m.ifindex == 0 || m.offline {
				e.step(u, group.Suspended{Member: i}, nil)
			} else {
				e.onlines = append(e.onlines, &pendingOnline{u: u, m: m, resumes: true, since: monotonic(), until: time.Now().Add(proofTime)})
			}
			if m.link == group.LinkUp {
				e.announceAnew(u, m) // with the MAC that it has got meanwhile, or that went elsewhere
			}
			replan = true
		}
	}
	if replan {
		e.updateProbing()
		e.finishOnlines()
	}
}

// suspend a member; the operator is told what to do.
func (e *engine) suspend(u *unit, m *member, of int) {
	m.twin = u.twinText(of)
	e.log.Warn("out of service until its MAC is its own", "interface", m.cfg.Name, "why", m.twin,
		"do", fmt.Sprintf("`ip link set %s address ...`", m.cfg.Name))
}

// doubledBy is the text for a member that the operator wants back while another one has its MAC.
func (e *engine) doubledBy(u *unit, m *member) string {
	if m.twin != "" || m.ifindex == 0 || m.link != group.LinkUp {
		return m.twin
	}
	if keeper := keeperOf(e.wire(u), m.mac); keeper >= 0 && keeper != m.index {
		return u.twinText(keeper)
	}
	return ""
}

func refuseTwin(m *member, why string) error {
	return control.Doubled(fmt.Sprintf("%s %s", m.cfg.Name, why), fmt.Sprintf("give it one of its own: `ip link set %s address ...`", m.cfg.Name))
}

// out of service, by whichever word: not probed.
func (m *member) out() bool { return m.offline || m.twin != "" }
