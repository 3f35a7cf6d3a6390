// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/group"
	"github.com/ipmpd/ipmpd/test/fakehost"
)

// What a world does by itself, and what it is held to.

// faults of the host, while there is trouble.
func (w *world) faults(*addr.Op) fakehost.Fault {
	if w.trouble == 0 {
		return fakehost.None
	}
	w.trouble--
	return w.fault
}

// done looks at the host after each operation: an address that was somewhere is somewhere, and no batch
// brings one to a member that is out.
func (w *world) done(op *addr.Op) {
	require.False(w.t, w.overtaken && !w.firing, "%s on %s after the Apply was overtaken", op.Kind, op.LinkName)
	// What a batch leaves to the Apply: it is no message, or has to wait for the kernel.
	left := op.Kind == addr.SetSysctl || op.Kind == addr.DeleteAddress && op.Prefix.Addr().Is6()
	require.False(w.t, w.prepared && !w.firing && !left, "%+v was not prepared", op)
	if op.Kind != addr.DeleteAddress && op.Kind != addr.AddAddress {
		return
	}
	ip := op.Prefix.Addr()
	if u, _, _ := w.data(ip); u == nil {
		return
	}
	if u, m := w.e.findLink(op.Link); w.firing && op.Kind == addr.AddAddress {
		word := bpf.ReadWord(&w.e.tracks[bpf.TrackNumber(u.slot, op.Family())])
		require.NotZero(w.t, word.Usable&(1<<m.bit), "a batch puts %s on %s, which is out", ip, m.cfg.Name)
	}
	here := len(w.h.Where(ip)) > 0
	require.True(w.t, here || !w.there[ip], "%s is nowhere after %s from %s: %s", ip, op.Kind, op.LinkName, op.Why)
	w.there[ip] = here
}

// kernelVerdict is what the BPF programs do when a member has missed its rounds, and what the reader's
// thread does when it hears of it: all but tell the engine, which hears of it later.
func (w *world) kernelVerdict(u *unit, m *member, family int) {
	e := w.e
	w.happened++
	before, ok := bpf.TakeOut(&e.tracks[bpf.TrackNumber(u.slot, family)], m.bit)
	if !ok {
		return // the last one, or it is out already
	}
	ev := &bpf.Event{Kind: bpf.EventVerdict, Group: uint16(u.slot), Member: uint16(m.number), Family: uint8(family), Bit: uint8(m.bit),
		Generation: before.Generation, Usable: before.Usable &^ (1 << m.bit), LastReplyNs: 1, VerdictNs: 1}
	f := group.Family(family)
	then := u.inUse(u.state.Contingency(m.index, f).Owners)
	fresh := w.fresh(u)
	failures := w.h.Failures
	firing := w.firing
	w.firing = true // its operations are not an Apply's
	fired := e.fast.verdict(ev)
	fired.finish()
	w.firing = firing
	w.passedOn(u, fired)
	prepared := false
	if fresh {
		require.NotNil(w.t, fired, "nothing was prepared for %s %v", m.cfg.Name, f)
		require.False(w.t, fired.result.Stale)
		if w.h.Failures == failures {
			w.moved(u, then, f)
			prepared = true
		}
	}
	happened := w.happened
	e.events <- func() { // as engine.verdict does
		e.heardOf(fired)
		u, m := e.find(int(ev.Group), int(ev.Member))
		if m == nil {
			return
		}
		m.published[family] = false
		w.prepared = prepared && w.quiet && w.happened == happened
		_ = e.step(u, group.HealthChanged{Member: m.index, Family: f, Health: group.Failed, Cause: group.CauseProbe, Detail: "both"},
			&origin{from: 1, verdict: 1, fired: fired})
		w.prepared = false
	}
}

// passedOn: what was announced is of members that are usable by the words, and nobody else is taken for the
// owner of an address by who announces next.
func (w *world) passedOn(u *unit, fired *firing) {
	var words [bpf.Families]uint32
	for f := range words {
		words[f] = bpf.ReadWord(&w.e.tracks[bpf.TrackNumber(u.slot, f)]).Usable
	}
	if fired != nil {
		for _, a := range fired.announced {
			_, m := w.e.findLink(a.Link)
			require.NotZero(w.t, words[familyOfIP(a.Address)]&(1<<m.bit), "%s was announced on %s, which is out", a.Address, m.cfg.Name)
		}
	}
	r := w.e.fast.relays[u.slot].Load()
	for i, a := range u.cfg.Addresses {
		word := words[familyOfIP(a.Prefix.Addr())]
		if owner := r.succession.Owner(i); word != 0 {
			require.True(w.t, owner >= 0 && word&(1<<u.members[owner].bit) != 0, "%s is left with %d, usable %b", a.Prefix, owner, word)
		}
	}
}

// fresh: what is prepared for a group is of now, and nobody has meddled with the host since.
func (w *world) fresh(u *unit) bool {
	return w.quiet && !w.unheard && u.prepared != nil && u.prepared.steps == u.steps && len(w.e.events) == 0 && w.strike == 0
}

// moved: the batch alone has brought the addresses of a family to where the group will want them.
func (w *world) moved(u *unit, owners []int, f group.Family) {
	for i, owner := range owners {
		ip := u.cfg.Addresses[i].Prefix.Addr()
		if owner >= 0 && group.FamilyOf(u.cfg.Addresses[i].Prefix) == f {
			on := w.h.Where(ip)
			if ip.Is6() { // the copy that it comes from stays a little longer
				require.LessOrEqual(w.t, len(on), 2)
				on = slices.DeleteFunc(slices.Clone(on), func(link int) bool { return link != u.members[owner].ifindex })
			}
			require.Equal(w.t, []int{u.members[owner].ifindex}, on, "%s, by the contingency alone", ip)
		}
	}
}

// hear the news that wait, as the loop does.
func (w *world) hear() {
	for {
		if w.e.unprepared {
			w.e.prepareAll()
		}
		select {
		case ev := <-w.e.events:
			w.e.handle(ev)
			if _, link := ev.(*linkNews); link {
				w.unheard = true // the watcher waits a little before it tells
			}
		default:
			return
		}
	}
}

// hostChanged is the engine's, without programs and probes.
func (w *world) hostChanged() {
	w.unheard = false
	e, s := w.e, w.Snapshot()
	for _, u := range e.units {
		for _, m := range u.members {
			if was := m.ifindex; m.look(s) && was != m.ifindex {
				w.replaced(u, m, was)
			}
		}
	}
	s = w.Snapshot()
	e.refuse(s)
	e.adopt(s)
	e.apply()
	e.prepareAll()
}

// replaced is engine.replaceMember, without programs and probes.
func (w *world) replaced(u *unit, m *member, was int) {
	e := w.e
	if was != 0 {
		_ = e.step(u, group.PresenceChanged{Member: m.index}, &origin{from: 1, verdict: 1})
	}
	e.carriers[m.number].Store(upness(m.link == group.LinkUp))
	e.seatAll()
	if m.ifindex == 0 {
		return
	}
	_ = e.step(u, group.PresenceChanged{Member: m.index, Exists: true}, nil)
	_ = e.step(u, group.LinkChanged{Member: m.index, Link: m.link}, nil)
}

// settle lets everything be heard and tried again, without more trouble, and then holds the host to what
// it should be.
func (w *world) settle() {
	w.trouble, w.strike = 0, 0
	if w.hear(); w.unheard {
		w.hostChanged()
	}
	for range 20 {
		w.hear()
		w.e.drift.contests = nil // the pauses of a quarrel have tests of their own
		if w.e.retryAt.IsZero() && w.e.drift.again == 0 {
			break
		}
		w.e.retryAt = time.Time{} // as housekeeping does when the time has come
		w.e.apply()
		w.e.prepareAll()
	}
	w.dismiss()
	w.settled()
}

// settled: the host is as it should be.
func (w *world) settled() {
	e, o := w.e, w.h.Observed()
	require.Empty(w.t, e.unfinished)
	require.True(w.t, e.retryAt.IsZero())
	require.Empty(w.t, addr.Plan(e.desired(), e.observed(e.desired())), "more to do")
	require.Equal(w.t, w.foreign, w.theirs(), "what is foreign")
	require.Empty(w.t, e.leaving)
	on := map[netip.Addr][]int{}
	for _, a := range o.Addresses {
		if u, _, _ := w.data(a.Prefix.Addr()); u == nil && !w.test(a.Prefix.Addr()) {
			require.NotEqual(w.t, uint8(addr.Protocol), a.Proto, "%s is left over", a.Prefix)
		}
		on[a.Prefix.Addr()] = append(on[a.Prefix.Addr()], a.Link)
	}
	for _, u := range e.units {
		w.dataSettled(u, on)
		for _, m := range u.members {
			for _, p := range m.cfg.Test {
				if m.ifindex != 0 {
					require.Equal(w.t, []int{m.ifindex}, on[p.Addr()], "test address %s", p)
				}
			}
		}
	}
	w.quiet = true
}

func (w *world) dataSettled(u *unit, on map[netip.Addr][]int) {
	e := w.e
	for f := range bpf.Families {
		word, set := bpf.ReadWord(&e.tracks[bpf.TrackNumber(u.slot, f)]), e.fast.groups[u.slot].Load()
		require.Equal(w.t, u.usable(f), word.Usable, "the word of family %d", f)
		require.Equal(w.t, word, bpf.Word{Generation: set.generation[f], Usable: set.usable[f]}, "what is prepared is of another time")
	}
	for i, a := range u.cfg.Addresses {
		ip, f := a.Prefix.Addr(), group.FamilyOf(a.Prefix)
		usable, owner := u.state.Usable(f), u.placed()[i]
		if usable == 0 {
			require.LessOrEqual(w.t, len(on[ip]), 2, "%s is on %v", ip, on[ip])
			continue
		}
		require.True(w.t, owner >= 0 && usable&(1<<owner) != 0, "%s belongs to %d, usable %b", ip, owner, usable)
		require.Equal(w.t, []int{u.members[owner].ifindex}, on[ip], "%s belongs on %s", ip, u.members[owner].cfg.Name)
		if ip.Is4() {
			require.Equal(w.t, u.members[owner].number, w.owners[ip], "who answers ARP for %s", ip)
		}
		w.there[ip] = true
	}
}

// visible: what has come to nothing is tried again, and told.
func (w *world) visible(failures int) {
	if len(w.e.unfinished) == 0 {
		return
	}
	require.False(w.t, w.e.retryAt.IsZero(), "nobody tries again: %v", w.e.unfinished)
	if w.h.Failures > failures && !w.e.overtaken() {
		require.False(w.t, w.e.quiet)
	}
}
