// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/netip"
	"time"

	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// carrierCuts pull the cable of the first group's first member.
func (b *bench) carrierCuts(ctx context.Context) error {
	return b.cuts(ctx, "carrier cut", func(m *lab.Member) error {
		_, err := m.CutCarrier()
		return err
	})
}

// silentCuts lose every frame of it.
func (b *bench) silentCuts(ctx context.Context) error {
	return b.cuts(ctx, "silent cut", (*lab.Member).CutSilent)
}

// times of one kind of failover.
type times struct {
	first, announced, routes, addresses []time.Duration // by the history, after the verdict
	seen, all                           []time.Duration // by the peer, after the verdict
}

func (b *bench) cuts(ctx context.Context, name string, cut func(*lab.Member) error) error {
	if err := b.running(); err != nil {
		return err
	}
	m := b.rack.Groups[0][0]
	moving := map[netip.Addr]bool{}
	for p := range b.want {
		if p.link == m.Name && p.address.Addr().Is4() {
			moving[p.address.Addr()] = true
		}
	}
	ear, err := b.listen("br0", moving)
	if err != nil {
		return err
	}
	defer ear.close()
	var t times
	for range b.n {
		if err := b.quiet(ctx); err != nil {
			return err
		}
		last, err := b.lastEntry(ctx)
		if err != nil {
			return err
		}
		ear.forget()
		from := faults.Now()
		if err := cut(m); err != nil {
			return err
		}
		entry, err := b.failover(ctx, last, m.Name)
		if err != nil {
			return err
		}
		if err := b.rack.Wait("all announcements at the peer", 60*time.Second, func() (bool, error) {
			return ear.heard() == len(moving), nil
		}); err != nil {
			return err
		}
		t.add(entry, ear, from)
		if err := m.Repair(); err != nil {
			return err
		}
		if err := b.rack.Wait("the addresses at home", 60*time.Second, func() (bool, error) {
			n, err := b.misplaced()
			return n == 0, err
		}); err != nil {
			return err
		}
		if err := b.running(); err != nil {
			return err
		}
	}
	b.row(name+": verdict to first announcement", t.first)
	b.row(name+": verdict to routes", t.routes)
	b.row(name+": verdict to addresses", t.addresses)
	b.row(name+": cut to first announcement, at the peer", t.seen)
	b.row(name+": first to last address, at the peer", t.all)
	return nil
}

func (t *times) add(e *control.HistoryEntry, ear *ear, from int64) {
	after := func(list *[]time.Duration, ns *int64) {
		if ns != nil && e.Timeline.Verdict != nil {
			*list = append(*list, time.Duration(*ns-*e.Timeline.Verdict))
		}
	}
	after(&t.first, e.Timeline.FirstAnnouncement)
	after(&t.announced, e.Timeline.Announced)
	after(&t.routes, e.Timeline.Routes)
	after(&t.addresses, e.Timeline.Addresses)
	first, last := ear.span()
	t.seen = append(t.seen, time.Duration(first-from))
	t.all = append(t.all, time.Duration(last-first))
}

func (b *bench) lastEntry(ctx context.Context) (uint64, error) {
	list, err := b.client.History(ctx)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return list[len(list)-1].ID, nil
}

// failover waits for the one of an interface in the history after an entry.
func (b *bench) failover(ctx context.Context, after uint64, ifname string) (found *control.HistoryEntry, err error) {
	err = b.rack.Wait("the failover of "+ifname, 60*time.Second, func() (bool, error) {
		list, err := b.client.History(ctx)
		for i := range list {
			if e := &list[i]; e.ID > after && e.Kind == "failover" && e.Interface == ifname {
				found = e
			}
		}
		return found != nil && found.Complete, err
	})
	return found, err
}

// quiet waits until the engine has nothing to do: it answers at once, several times.
func (b *bench) quiet(ctx context.Context) error {
	fast := 0
	return b.rack.Wait("a daemon at rest", 60*time.Second, func() (bool, error) {
		from := time.Now()
		if _, err := b.client.Version(ctx); err != nil {
			return false, err
		}
		if _, err := b.client.Status(ctx); err != nil {
			return false, err
		}
		if fast++; time.Since(from) > 100*time.Millisecond {
			fast = 0
		}
		return fast >= 20, nil
	})
}
