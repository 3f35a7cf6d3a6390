// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"time"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/detect"
	"github.com/ipmpd/ipmpd/pkg/detect/probe"
	"github.com/ipmpd/ipmpd/pkg/group"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

const (
	// The kernel tells of links once a second, so that news of one hold back those of the next
	// (detection.md section 4): after any, carriers are asked for. What is probed is found by its probes
	// too. What is not, is found by nothing else: a link that changed may have been told of at once, and
	// its other end a second later, which holds back what comes in the second after that.
	askFor        = 1100 * time.Millisecond
	askByLinkFor  = 2100 * time.Millisecond
	askStrangeFor = 1100 * time.Millisecond

	// askLeast is the shortest time from question to question of a member. For each member that is watched
	// by its link only it is askShare at least, so that many of them do not take a processor.
	askLeast = time.Millisecond
	askShare = 100 * time.Microsecond
)

// What is known of a carrier; 0: nothing.
const (
	carrierUp   = 1
	carrierDown = 2
)

func upness(up bool) uint32 {
	if up {
		return carrierUp
	}
	return carrierDown
}

// newCarrier is what becomes of a carrier by news of it. One that comes is up when the kernel sends over
// it: until then it would drop what a member that is back is given. One that is up stays so until it is gone.
func newCarrier(was uint32, up, sends bool) uint32 {
	switch {
	case !up:
		return carrierDown
	case was == carrierUp || sends:
		return carrierUp
	}
	return was
}

// onCarrier runs on the asker's thread, with an answer to a question about a carrier, and on the one that
// hears link messages. Like onVerdict it leaves routes and addresses to the finisher.
func (e *engine) onCarrier(number, ifindex int, up, sends bool, at int64) {
	n, slot := e.carrier(number, ifindex, up, sends, at)
	if n == nil {
		return
	}
	e.finisher.hand(n.fired, n)
	e.questions.News(slot, at)
}

// onNoCarrier: the question could not be answered, because the interface is gone as a rule.
func (e *engine) onNoCarrier(_, ifindex int, err error) {
	e.log.Debug("no answer about a carrier", "ifindex", ifindex, "error", err)
}

// onLink runs on the thread that hears link messages.
func (e *engine) onLink(ev netstate.LinkEvent) {
	if ev.Resync {
		e.events <- &linkNews{resync: true}
		return
	}
	now := monotonic()
	number, slot, ok := e.byIfindex(ev.Index)
	if !ok {
		if e.strangers.changed(&ev) {
			e.questions.Strange(now)
		}
		return
	}
	if !ev.Exists {
		e.onCarrier(number, ev.Index, false, false, now)
		e.finisher.hand(nil, &linkNews{ifindex: ev.Index, gone: true})
		return
	}
	up := ev.Carrier && ev.Up
	e.onCarrier(number, ev.Index, up, ev.Sends, now)
	if up && !ev.Sends {
		e.questions.News(slot, now) // it will soon
	}
}

func (e *engine) byIfindex(ifindex int) (number, slot int, ok bool) {
	s := e.seats.Load()
	if s == nil {
		return 0, 0, false
	}
	at, ok := (*s)[ifindex]
	return at.number, at.group, ok
}

// carrier news: of a loss, the announcements first. Nil where nothing has changed; with the group's slot.
func (e *engine) carrier(number, ifindex int, up, sends bool, at int64) (n *linkNews, slot int) {
	seats := e.seats.Load()
	if seats == nil {
		return nil, 0
	}
	seat, ok := (*seats)[ifindex]
	if !ok || seat.number != number {
		return nil, 0
	}
	known := &e.carriers[number]
	was := known.Load()
	is := newCarrier(was, up, sends)
	for !known.CompareAndSwap(was, is) {
		was = known.Load()
		is = newCarrier(was, up, sends)
	}
	if was == is {
		return nil, 0
	}
	n = &linkNews{ifindex: ifindex, up: is == carrierUp, at: at}
	if !n.up {
		n.took, n.fired = e.fast.carrierLost(seat.group, seat.bit)
	}
	return n, seat.group
}

// linkChanged is news of a carrier, asked for or heard.
func (e *engine) linkChanged(n *linkNews) {
	if n.resync || n.gone {
		for _, u := range e.units {
			e.linkNewsOf(u)
		}
		e.hostChanged()
		return
	}
	u, m := e.findLink(n.ifindex)
	if m == nil {
		return
	}
	link := linkOf(n.up)
	for f, took := range n.took {
		if took {
			m.published[f] = false
		}
	}
	if link == m.link {
		return
	}
	for f := range bpf.Families {
		// Or who has just come, and is failed here, is never repaired.
		u.tracker.Meet(n.at, e.unprobed(u, m, f))
	}
	m.link, m.linkAt = link, n.at
	if n.up {
		e.compareMACs(u) // before it is usable
	}
	found := u.tracker.Link(n.at, m.number, n.up)
	how := &origin{from: n.at, verdict: n.at, fired: n.fired}
	if n.up {
		e.findings(u, found)
	} else {
		defer func() { e.lookAtProgramsOf(u, m, monotonic()) }()
		e.step(u, group.HealthChanged{Member: m.index, Family: group.Both, Health: group.Failed,
			Cause: group.CauseLink, Detail: detect.DetailCarrier}, how)
	}
	e.step(u, group.LinkChanged{Member: m.index, Link: link, Detail: detect.DetailCarrier}, how)
	if n.up && u.state.Usable(group.Both)&(1<<m.index) == 0 {
		e.tellMember(u, m, group.Both.String(), "link is up")
	}
	if !n.up {
		e.compareMACs(u)
	}
}

// strangers are the links of no group: whether each has carrier, as it was told. It belongs to the thread
// that hears link messages.
type strangers map[int]bool

// changed: its carrier, or that it is there with one.
func (s strangers) changed(ev *netstate.LinkEvent) bool {
	was := s[ev.Index]
	if !ev.Exists {
		delete(s, ev.Index)
		return was
	}
	s[ev.Index] = ev.Carrier && ev.Up
	return was != s[ev.Index]
}

// linkNewsOf a group: something has happened to a link of its, or may have.
func (e *engine) linkNewsOf(u *unit) {
	if e.questions != nil {
		e.questions.News(u.slot, monotonic())
	}
}

// watchCarriers tells the asker whom to ask after news; called whenever interfaces or probes came or went.
func (e *engine) watchCarriers() {
	if e.questions == nil {
		return
	}
	if list := carriersToAsk(e.units); !slices.Equal(list, e.watched) {
		e.watched = list
		e.questions.Watch(list)
	}
}

// carriersToAsk after news, and how often.
func carriersToAsk(units []*unit) (list []probe.Watched) {
	byLink := 0
	for _, u := range units {
		for _, m := range u.members {
			if m.ifindex == 0 {
				continue
			}
			w := probe.Watched{Member: m.number, Ifindex: m.ifindex, Group: u.slot, Every: max(u.cfg.DetectionTime/4, askLeast), For: askFor}
			if u.probed(m) == [group.Families]bool{} {
				byLink++
				w.Every, w.For, w.Strange = 0, askByLinkFor, askStrangeFor
			}
			list = append(list, w)
		}
	}
	for i := range list {
		if list[i].Strange != 0 {
			list[i].Every = max(askLeast, time.Duration(byLink)*askShare)
		}
	}
	return list
}
