// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/detect"
	"github.com/ipmpd/ipmpd/pkg/detect/probe"
	"github.com/ipmpd/ipmpd/pkg/group"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

const (
	leastTick = 10 * time.Millisecond
	mostTick  = 100 * time.Millisecond

	firstRetry = 50 * time.Millisecond
	lastRetry  = 10 * time.Second

	// unhurriedEvery is how often the load of the prober and its targets are looked at.
	unhurriedEvery = 100 * time.Millisecond
)

// engine owns all group state. One goroutine runs it; what other threads find out comes by events.
type engine struct {
	log     *slog.Logger
	units   []*unit
	events  chan any // verdictNews, linkNews, command, func()
	journal *journal
	public  *control.Broadcaster

	objects   *bpf.Objects
	shown     shown // of objects
	instances []bpf.Instance
	tracks    []bpf.Track
	epoch     uint32 // of the maps: another one, and members are armed again
	fast      *fastPath
	finisher  *finisher

	applier   *addr.Applier
	announcer *addr.Announcer
	watcher   watcher
	prober    *probe.Prober
	questions *probe.Questions
	censuses  chan *census
	icmpID    uint16

	// fired is the newest batch that the engine knows of, applied what it last wanted of the host.
	fired   addr.Epoch
	applied addr.Desired
	// outlook is of the last apply, nil if that was given up. unprepared: contingencies are to be looked
	// at before the next event. preparations counts the groups of which they were prepared.
	outlook      *outlook
	unprepared   bool
	preparations int
	// waiting are members whose programs are still to come.
	waiting []*member
	// synced is the context for looking at the host anew; nil before the watcher runs.
	synced context.Context

	retryAt     time.Time
	unhurriedAt int64 // CLOCK_MONOTONIC ns
	retry       time.Duration
	onlines     []*pendingOnline
	wirings     uint64 // members that have come on the wire so far
	firstUse    firstUse

	// formerTried: not all could be put back of former groups; it is tried again at the next reload or
	// start, and at a release.
	formerTried bool
	drift       drift
	adopted     *netstate.Snapshot // what adopt looked at last
	copies      copies
	casts       casting
	sysctls     *netstate.SysctlWatcher // nil in tests
	// news that the host has changed; readSysctls reads those that a plan asks for.
	news        <-chan netstate.Change
	readSysctls func(keys []string) map[string]string

	// leaving are interfaces on their way out of their groups, unfinished what the last apply could
	// not do; afterwards is called when nobody leaves any more.
	leaving    []*departure
	reloads    int // so far
	unfinished []addr.Failure
	afterwards []func()
	tick       *ticker
	pace       atomic.Pointer[pace]

	seats     atomic.Pointer[map[int]seat] // by interface index
	carriers  [bpf.Members]atomic.Uint32   // last known, by member number
	watched   []probe.Watched              // by the asker, after link news
	strangers strangers

	lastStatus atomic.Pointer[control.Status]

	// undo is what the host was before, as the journal has it on the disk.
	undo addr.Undo
	// released: everything is, and the loop ends.
	released bool

	alive atomic.Int64 // CLOCK_MONOTONIC ns of the last turn of the loop
	quiet bool         // the last plan was complete
}

// watcher knows the host's network state (netstate.Watcher).
type watcher interface {
	Snapshot() *netstate.Snapshot
	// Sync makes the next snapshot have everything that has happened so far.
	Sync(ctx context.Context) error
	// Wrote says that what comes now is our own doing.
	Wrote()
}

// verdictNews is an event of the kernel; the engine has it after its contingency was fired.
type verdictNews struct {
	event bpf.Event
	woke  int64
	fired *firing
}

// linkNews is what a link message or an answer about the carrier says.
type linkNews struct {
	ifindex int
	up      bool
	at      int64
	took    [bpf.Families]bool
	fired   *firing
	gone    bool
	resync  bool
}

// command is an operator's word; done is answered once.
type command struct {
	control.Command
	done chan error
}

// run is the event loop.
func (e *engine) run(ctx context.Context) error {
	e.synced = ctx
	var err error
	if e.tick, err = newTicker(e.tickInterval()); err != nil {
		return err
	}
	defer e.tick.Stop()
	var host gathering
	for {
		e.alive.Store(monotonic())
		if e.unprepared {
			e.prepareAll()
		}
		select {
		case <-ctx.Done():
			e.dismissAll()
			e.endCasts()
			return nil
		case ev := <-e.events:
			if e.handle(ev); e.released {
				return errReleased
			}
		case c := <-e.news:
			host.heard(c, time.Now())
		case <-e.sysctlNews():
			host.heard(netstate.All, time.Now())
		case <-e.casts.news:
			e.casts.due = 0
			e.lookAtCasts(monotonic())
		case <-host.due:
			begun := time.Now()
			e.hostChanged()
			host.looked(begun, time.Now())
		case <-e.tick.C:
			e.housekeeping()
		case <-e.attaching():
			e.attachNext()
		}
	}
}

// tickInterval of the housekeeping: a few rounds of the fastest group.
func (e *engine) tickInterval() time.Duration {
	least := mostTick
	for _, u := range e.units {
		least = min(least, 4*u.cfg.Interval())
	}
	return max(least, leastTick)
}

func (e *engine) handle(ev any) {
	switch ev := ev.(type) {
	case *verdictNews:
		e.heardOf(ev.fired)
		e.verdict(ev)
	case *linkNews:
		e.heardOf(ev.fired)
		e.linkChanged(ev)
	case *command:
		e.command(ev)
	case func():
		ev()
	}
}

// heardOf a batch that the fast path has fired, whatever becomes of the news: as long as one is not
// known here, nothing is applied. News of a carrier may come when its interface is gone already.
func (e *engine) heardOf(f *firing) {
	if f != nil && f.result.Epoch > e.fired {
		e.fired = f.result.Epoch
	}
}

// verdict is the engine's part of a failover that the kernel decided on and the reader has begun.
func (e *engine) verdict(n *verdictNews) {
	ev := &n.event
	u, m := e.find(int(ev.Group), int(ev.Member))
	if m == nil {
		return
	}
	e.linkNewsOf(u)
	// Replies are missed too where the program that sees them is off, and from now on the one that
	// switches what leaves is needed.
	defer func() { e.lookAtProgramsOf(u, m, monotonic()) }()
	family := detect.Family(ev.Family)
	if ev.Kind == bpf.EventLast {
		e.findings(u, u.tracker.Last(monotonic(), e.samples(u)))
		return
	}
	m.published[family] = false
	if ev.Both != 0 {
		m.published[1-family] = false
	}
	e.log.Info("missed its rounds", "interface", m.cfg.Name, "family", family.String(), "misses", ev.Misses,
		"limit", ev.Limit, "answered", ev.Round, "acked", ev.Acked, "guarded", ev.Guarded != 0)
	u.tracker.Verdict(int64(ev.VerdictNs), m.number, family, ev.Both != 0)
	e.event(control.Event{Event: control.EventVerdict, Group: u.cfg.Name, Interface: m.cfg.Name,
		Family: family.String(), Detail: e.evidence(m, ev)})
	e.step(u, group.HealthChanged{
		Member: m.index, Family: group.Family(family), Health: group.Failed,
		Cause: group.CauseProbe, Detail: e.evidence(m, ev),
	}, &origin{from: int64(ev.LastReplyNs), verdict: int64(ev.VerdictNs), fired: n.fired})
}

// evidence says what a verdict's missed replies mean: traffic that still arrives leaves the transmit
// path; else it is both.
func (e *engine) evidence(m *member, ev *bpf.Event) string {
	t, err := e.objects.Traffic(m.number)
	if err == nil && int32(t.Seen[ev.Family]-ev.Acked) >= 2 && ev.Acked != 0 {
		return "tx-path"
	}
	return "both"
}

// housekeeping is what needs no hurry: arming, repair, group failure, targets, adaptation, retries.
func (e *engine) housekeeping() {
	now := monotonic()
	unhurried := now >= e.unhurriedAt
	if unhurried {
		e.unhurriedAt = now + unhurriedEvery.Nanoseconds()
	}
	replan := false
	for _, u := range e.units {
		samples := e.samples(u)
		e.findings(u, u.tracker.Observe(now, samples))
		if unhurried {
			e.lookAtPrograms(u, now, samples)
			replan = e.adapt(u, now, samples) || replan
			for f := range u.side {
				if u.side[f].used {
					replan = e.rotate(u, f) || replan
					replan = e.discover(u, f, now) || replan
				}
			}
		}
	}
	if replan {
		e.updateProbing()
	}
	e.renewLease(now)
	e.lookAtCasts(now)
	e.reportAgain(now)
	e.finishOnlines()
	e.askFirst(false)
	e.dismiss(time.Now())
	due := e.drift.again != 0 && now >= e.drift.again
	if due || !e.retryAt.IsZero() && time.Now().After(e.retryAt) {
		e.retryAt = time.Time{}
		e.apply()
		e.prepareAll()
	}
}

// findings of the tracker become limits for the kernel and events for the group.
func (e *engine) findings(u *unit, list []detect.Finding) {
	for _, f := range list {
		m := u.member(f.Member)
		if m == nil && f.Member >= 0 {
			continue
		}
		e.finding(u, m, f)
	}
}

func (e *engine) finding(u *unit, m *member, f detect.Finding) {
	cause := group.CauseProbe
	if f.Cause == detect.CauseLink {
		cause = group.CauseLink
	}
	switch f.Kind {
	case detect.FindLimit:
		atomic.StoreUint32(&e.instances[bpf.InstanceNumber(m.number, int(f.Family))].Limit, f.Limit)
		m.armed[f.Family] = f.Limit
		e.log.Debug("limit", "interface", m.cfg.Name, "family", f.Family.String(), "limit", f.Limit, "why", f.Why)
	case detect.FindAnswering:
		e.step(u, group.HealthChanged{Member: m.index, Family: group.Family(f.Family), Health: group.OK, Cause: cause}, nil)
	case detect.FindUnknown:
		e.step(u, group.HealthChanged{Member: m.index, Family: group.Family(f.Family), Health: group.Unknown, Cause: cause}, nil)
	case detect.FindRepaired:
		m.flaps++
		health := group.Unknown
		for family := range detect.Family(bpf.Families) {
			if state, _, _ := u.tracker.State(m.number, family); state == detect.OK && (f.Family == family || f.Family == detect.Both) {
				health = group.OK
			}
		}
		e.log.Info("repaired", "interface", m.cfg.Name, "family", f.Family.String(), "why", f.Why)
		e.step(u, group.HealthChanged{Member: m.index, Family: group.Family(f.Family), Health: health, Cause: cause}, nil)
	case detect.FindFailed:
		now := monotonic()
		e.log.Warn("failed", "interface", m.cfg.Name, "family", f.Family.String(), "why", f.Why)
		from := f.LastReply
		if f.Cause == detect.CauseLink || from == 0 {
			from = now
		}
		e.step(u, group.HealthChanged{Member: m.index, Family: group.Family(f.Family), Health: group.Failed,
			Cause: cause, Detail: f.Detail}, &origin{from: from, verdict: now})
	case detect.FindGroupFailed:
		e.step(u, group.GroupFailed{Cause: cause, Detail: f.Detail}, nil)
	case detect.FindGroupRepaired:
		e.step(u, group.GroupRepaired{}, nil)
	case detect.FindWaits:
		e.tellMember(u, m, group.Family(f.Family).String(), f.Why)
	}
}

// find a member by its numbers in the BPF maps.
func (e *engine) find(slot, number int) (*unit, *member) {
	for _, u := range e.units {
		if u.slot == slot {
			return u, u.member(number)
		}
	}
	return nil, nil
}

func (e *engine) findLink(ifindex int) (*unit, *member) {
	for _, u := range e.units {
		for _, m := range u.members {
			if m.ifindex == ifindex && ifindex != 0 {
				return u, m
			}
		}
	}
	return nil, nil
}

func (e *engine) findName(name string) (*unit, *member) {
	for _, u := range e.units {
		for _, m := range u.members {
			if m.cfg.Name == name {
				return u, m
			}
		}
	}
	return nil, nil
}

// event tells those who watch, and the log.
func (e *engine) event(ev control.Event) {
	ev.Time = time.Now()
	e.log.Info(ev.Event, "group", ev.Group, "interface", ev.Interface, "family", ev.Family,
		"address", ev.Address, "detail", ev.Detail)
	e.public.Publish(ev)
}

func (e *engine) warnIf(err error) {
	if err != nil {
		e.log.Error("a BPF map could not be written", "error", err)
	}
}
