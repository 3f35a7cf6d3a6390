// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/group"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

const (
	// castLook is how often the host's multicast groups are looked at: the kernel tells of the first socket that
	// joins and of the last that leaves, some kernels nothing. castLookAsked holds while we are among those who have
	// joined: then it does not tell of others, and a newcomer hears nothing where we have asked before him.
	castLook, castLookAsked = time.Second, 100 * time.Millisecond
	// castShare is how much more time passes than a look has taken.
	castShare = 50
	// castLease is for how long the programs take it that our sockets live.
	castLease = 2 * time.Second
	// castLinger is how long a survivor's membership waits for the repaired member's feed.
	castLinger = 10 * time.Second
)

// casting is what is known and done of multicast.
type casting struct {
	joins    *addr.Joins // nil: in tests
	news     chan struct{}
	heard    []addr.Heard // by others, on members
	queriers map[int]int
	joined   []addr.Heard // by us
	// version is raised when heard or queriers are others; what is prepared depends on it.
	version int
	// due and rest are when to look again, and not before (CLOCK_MONOTONIC ns).
	due, rest int64
	// waits: a survivor feeds a member that is usable again, or something could not be joined.
	waits   bool
	said    string
	reports []castReport
}

func castMode(m config.Multicast) addr.CastMode {
	switch m {
	case config.MulticastAhead:
		return addr.CastAhead
	case config.MulticastOff:
		return addr.CastOff
	}
	return addr.CastFailover
}

// runCastNews tells the engine that somebody has joined or left.
func (d *daemon) runCastNews(ctx context.Context) error {
	return d.castNews.Run(ctx, func() {
		select {
		case d.engine.casts.news <- struct{}{}:
		default:
		}
	})
}

// openCasts opens what tells of multicast groups, where the kernel has it.
func (d *daemon) openCasts() {
	news, err := netstate.OpenMembershipNews()
	if err != nil {
		d.log.Info("multicast groups are looked for once a second", "reason", err)
		return
	}
	d.castNews = news
	d.defers(func() { _ = news.Close() })
}

// lookAtCasts when it is time.
func (e *engine) lookAtCasts(now int64) {
	c := &e.casts
	if c.joins == nil || now < c.due || now < c.rest {
		return
	}
	e.readCasts(now)
}

// readCasts asks the host who hears what, and follows it.
func (e *engine) readCasts(now int64) {
	c := &e.casts
	if c.joins == nil {
		return
	}
	list, queriers, err := netstate.Memberships()
	took := monotonic() - now
	c.rest = now + castShare*took
	c.due = now + castLook.Nanoseconds()
	if err != nil {
		e.sayCasts(err)
		return
	}
	heard := slices.DeleteFunc(addr.Foreign(hostCasts(list), c.joins.Own), func(h addr.Heard) bool {
		_, m := e.findLink(h.Link)
		return m == nil
	})
	fresh := !slices.EqualFunc(heard, c.heard, addr.Heard.Same) || !maps.Equal(queriers, c.queriers)
	if fresh {
		c.heard, c.queriers = heard, queriers
		c.version++
		e.unprepared = true
	}
	if fresh || c.waits {
		e.followCasts()
	}
	if len(c.joined) > 0 {
		c.due = now + castLookAsked.Nanoseconds()
	}
	e.lookForDown()
}

func hostCasts(list []netstate.Membership) []addr.HostCast {
	out := make([]addr.HostCast, 0, len(list))
	for _, m := range list {
		h := addr.HostCast{Link: m.Link, Group: m.Group, Users: m.Users}
		for _, s := range m.Sources {
			h.Sources = append(h.Sources, addr.HostSource(s))
		}
		out = append(out, h)
	}
	return out
}

// castMembers of a group, for pkg/addr.
func (u *unit) castMembers() []addr.CastMember {
	list := make([]addr.CastMember, 0, len(u.members))
	for i, m := range u.members {
		c := addr.CastMember{Link: m.ifindex}
		for f := range c.Usable {
			c.Usable[f] = u.state.Usable(group.Family(f))&(1<<i) != 0
			c.Survivors[f] = u.state.Survivors(i, group.Family(f))
		}
		list = append(list, c)
	}
	return list
}

// followCasts makes the programs and our sockets what they should be, of all groups. What is asked for is hidden
// before it is joined, and until it is left.
func (e *engine) followCasts() {
	c := &e.casts
	if c.joins == nil {
		return
	}
	if len(c.heard)+len(c.joined) == 0 && len(e.objects.Casts()) == 0 {
		return
	}
	type masks struct{ joined, asked uint32 }
	now, want := monotonic(), map[bpf.Cast]masks{}
	var joins []addr.Heard
	c.waits = false
	for _, u := range e.units {
		still := func(i int, ip netip.Addr) bool {
			m, f := u.members[i], familyOfIP(ip)
			feed, _ := e.objects.Feed(bpf.CastOf(u.slot, ip))
			is := feed.Fed&(1<<m.bit) != 0 && now-m.backAt[f] < castLinger.Nanoseconds()
			c.waits = c.waits || is
			return is
		}
		feeds, list := addr.Casts(castMode(u.cfg.Multicast), u.castMembers(), c.heard, still)
		for _, f := range feeds {
			want[bpf.CastOf(u.slot, f.Group)] = masks{u.bits(f.Joined), u.bits(f.Asked)}
		}
		joins = append(joins, list...)
	}
	e.renewLease(now)
	var errs []error
	for cast, w := range want {
		f, _ := e.objects.Feed(cast)
		errs = append(errs, e.objects.SetFeed(cast, w.joined, w.asked|f.Asked))
	}
	was := c.joined
	failed, err := c.joins.Set(joins)
	errs = append(errs, err)
	c.waits = c.waits || len(failed) > 0
	c.joined = joins
	e.reportJoined(was, joins)
	for _, cast := range e.objects.Casts() {
		if w, stays := want[cast]; stays {
			errs = append(errs, e.objects.SetFeed(cast, w.joined, w.asked))
		} else {
			errs = append(errs, e.objects.DropFeed(cast))
		}
	}
	e.sayCasts(errors.Join(errs...))
	c.due = min(c.due, now+castLookAsked.Nanoseconds())
}

func familyOfIP(ip netip.Addr) int {
	if ip.Is4() {
		return 0
	}
	return 1
}

// bits of members.
func (u *unit) bits(members []int) (mask uint32) {
	for _, i := range members {
		mask |= 1 << u.members[i].bit
	}
	return mask
}

// renewLease of what our sockets have joined.
func (e *engine) renewLease(now int64) {
	for _, u := range e.units {
		for f := range bpf.Families {
			atomic.StoreUint64(&e.tracks[bpf.TrackNumber(u.slot, f)].LeaseNs, uint64(now+castLease.Nanoseconds()))
		}
	}
}

// endCasts leaves everything; then nothing is to be hidden any more.
func (e *engine) endCasts() {
	if e.casts.joins == nil {
		return
	}
	_ = e.casts.joins.Close() // nothing to be done about it
	e.renewLease(-castLease.Nanoseconds())
}

// sayCasts tells of what failed, once.
func (e *engine) sayCasts(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == e.casts.said {
		return
	}
	e.casts.said = text
	if text != "" {
		e.event(control.Event{Event: control.EventStepFailed, Detail: "multicast: " + text})
	}
}

// followOn has a member's multicast looked after, or not, as the file says.
func (e *engine) followOn(u *unit, m *member) {
	if m.attachment == nil {
		return
	}
	if err := e.objects.Follow(m.attachment, u.cfg.Multicast != config.MulticastOff); err != nil {
		e.event(control.Event{Event: control.EventStepFailed, Group: u.cfg.Name, Interface: m.cfg.Name,
			Detail: "multicast: " + err.Error()})
	}
}

// lookForDown tells of members that are down and cannot be given what is heard on them.
func (e *engine) lookForDown() {
	s := e.watcher.Snapshot()
	for _, u := range e.units {
		for _, m := range u.members {
			n := 0
			if l := s.Link(m.ifindex); l != nil && !l.Up && u.cfg.Multicast != config.MulticastOff {
				n = len(e.heardOn(m, 0)) + len(e.heardOn(m, 1))
			}
			if n > 0 && !m.deaf {
				e.event(control.Event{Event: control.EventStepFailed, Group: u.cfg.Name, Interface: m.cfg.Name,
					Detail: fmt.Sprintf("is down, and the kernel gives it nothing: %s heard there until it is up",
						counted(n, "multicast group is not", "multicast groups are not"))})
			}
			m.deaf = n > 0
		}
	}
}
