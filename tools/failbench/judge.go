// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"time"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
	"github.com/ipmpd/ipmpd/test/lab/flow"
	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// window that is judged after a failure event, at least.
const window = 150 * time.Millisecond

// event makes a failure happen and tells when, CLOCK_MONOTONIC ns.
type event func() (at int64, err error)

// fail makes the event happen and judges what becomes of the traffic.
func (a *arena) fail(event event) (result.Sample, error) {
	if d, ok := a.contender.(detector); ok {
		return a.detect(d, event)
	}
	s := a.sample()
	if l, ok := a.contender.(limiter); ok {
		s.Limit, _ = l.Limit() // one that is dead says nothing
	}
	if err := a.arm(); err != nil {
		return s, err
	}
	if err := a.spread(); err != nil {
		return s, err
	}
	at, err := event()
	if err != nil {
		return s, err
	}
	back := a.wait("the traffic to come back", a.patience, func() (bool, error) { return a.steady(at), nil })
	if a.ctx.Err() != nil {
		return s, a.ctx.Err()
	}
	if back != nil {
		s.Unrecovered, s.Patience = true, int64(a.patience)
	}
	return s, a.judge(&s, at, max(at+int64(window), faults.Now()))
}

func (a *arena) sample() result.Sample {
	return result.Sample{When: time.Now().UTC().Format(time.RFC3339)}
}

// steady traffic both ways. What arrives a millisecond after a cut has not come over what was cut.
func (a *arena) steady(at int64) bool {
	const packets = 400 // 40 ms
	since := at + int64(time.Millisecond)
	return a.inbound.ArrivedSince(since) > packets && a.outbound.ArrivedSince(since) > packets
}

// judge the window of an event.
func (a *arena) judge(s *result.Sample, at, end int64) error {
	// What had arrived by the end has to be logged first.
	if err := a.wait("the end of the window", bound, func() (bool, error) { return faults.Now() > end+int64(15*time.Millisecond), nil }); err != nil {
		return err
	}
	if !a.entrant.Detects {
		s.Inbound, s.Outbound = flowOf(a.inbound, at, end), flowOf(a.outbound, at, end)
	}
	s.Reference = flowOf(a.reference, at, end)
	if err := a.wire(s, at); err != nil {
		return err
	}
	if t, ok := a.contender.(teller); ok {
		told, err := t.Tell(at)
		if err != nil {
			return err
		}
		s.Events = append(s.Events, align(told, s.Events)...)
	}
	return nil
}

// align what a contender tells with what was seen: its clock begins elsewhere, but both know the first
// announcement. Where one does not, nothing of it is kept.
func align(told, seen []result.Event) []result.Event {
	find := func(list []result.Event, name string) *result.Event {
		if i := slices.IndexFunc(list, func(e result.Event) bool { return e.Name == name }); i >= 0 {
			return &list[i]
		}
		return nil
	}
	a, b := find(told, toldAnnouncement), find(seen, seenAnnouncement)
	if a == nil || b == nil {
		return nil
	}
	shift := b.After - a.After
	aligned := slices.Clone(told)
	for i := range aligned {
		aligned[i].After += shift
	}
	return aligned
}

// The event that both sides know.
const (
	toldAnnouncement = "first_announcement"
	seenAnnouncement = "announcement"
)

func flowOf(f *flow.Flow, at, end int64) *result.Flow {
	g := f.Gap(at, end)
	r := &result.Flow{Gap: int64(g.Longest), Open: g.Open, Sent: g.Sent, Lost: g.Lost, Duplicates: g.Duplicates,
		SenderGap: int64(g.SenderGap), Interval: int64(f.Interval)}
	if g.End != 0 {
		r.Start, r.End = g.Start-at, g.End-at
	}
	return r
}

// others are the members that the traffic is not on.
func (a *arena) others() (list []*lab.Member) {
	for _, m := range a.Members {
		if m != a.active {
			list = append(list, m)
		}
	}
	return list
}

// arm the other members' counters: what they count from now on is the failover's.
func (a *arena) arm() error {
	for _, m := range a.others() {
		if err := m.Port.Reset(faults.From, faults.Announced, faults.IP(faults.Data)); err != nil {
			return err
		}
	}
	return nil
}

// moved tells whether another member has spoken for the data address since arm.
func (a *arena) moved() (bool, error) {
	for _, m := range a.others() {
		for _, slot := range []faults.Slot{faults.IP(faults.Data), faults.Announced} {
			c, err := m.Port.Count(faults.From, slot)
			if err != nil || c.Packets > 0 {
				return true, err
			}
		}
	}
	return false, nil
}

// wire is what the switch saw since arm: which other members spoke for the data address, and when first.
func (a *arena) wire(s *result.Sample, at int64) error {
	first := map[string]int64{}
	for _, m := range a.others() {
		moved := false
		for name, slot := range map[string]faults.Slot{"outbound on another member": faults.IP(faults.Data), seenAnnouncement: faults.Announced} {
			c, err := m.Port.Count(faults.From, slot)
			if err != nil {
				return err
			}
			if c.Packets == 0 {
				continue
			}
			moved = true
			if old, ok := first[name]; !ok || c.First-at < old {
				first[name] = c.First - at
			}
		}
		if moved {
			s.Moves++
		}
	}
	if f := s.Inbound; f != nil && f.Lost > 0 && !f.Open {
		first["inbound again"] = f.End
	}
	if f := s.Outbound; f != nil && f.Lost > 0 && !f.Open {
		first["outbound again"] = f.End
	}
	for _, name := range []string{"outbound on another member", seenAnnouncement, "outbound again", "inbound again"} {
		if after, ok := first[name]; ok {
			s.Events = append(s.Events, result.Event{Name: name, After: after})
		}
	}
	return nil
}

// revert repairs with fix and waits until all is as before.
func (a *arena) revert(fix func() error) (*result.Reversion, error) {
	from := faults.Now()
	if err := fix(); err != nil {
		return nil, err
	}
	if err := a.home(); err != nil {
		return nil, err
	}
	to := faults.Now()
	if a.entrant.Detects {
		return &result.Reversion{Nanos: to - from}, nil
	}
	in, out := a.inbound.Gap(from, to), a.outbound.Gap(from, to)
	return &result.Reversion{Nanos: to - from, LostInbound: in.Lost, LostOutbound: out.Lost}, nil
}
