// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/group"
	"github.com/ipmpd/ipmpd/test/fakehost"
)

// TestEngineOnAnyHost: whatever happens to members and host, in whatever order, operations fail, whole
// messages and their answers are lost, others change what is ours, and verdicts come in the middle of an
// Apply. An address that is somewhere stays somewhere at each step. When all is heard and tried again, each
// data address is on exactly one usable member wherever there is one, BPF knows the same, test addresses and
// what others have are untouched, and nothing is left to do. What failed is known until it is done. The
// batch of a verdict alone brings the addresses to where the group wants them.
func TestEngineOnAnyHost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			failures := w.h.Failures
			w.act()
			w.visible(failures)
		}
		w.settle()
	})
}

// act lets one thing happen.
func (w *world) act() {
	t, e := w.t, w.e
	u := rapid.SampledFrom(e.units).Draw(t, "unit")
	m := rapid.SampledFrom(u.members).Draw(t, "member")
	family := rapid.IntRange(0, 1).Draw(t, "family")
	switch rapid.SampledFrom([]string{"verdict", "verdict", "repair", "repair", "cable", "cable", "trouble", "trouble",
		"strike", "strike", "offline", "online", "reload", "driver", "foreign", "settle", "hear"}).Draw(t, "what") {
	case "verdict":
		w.kernelVerdict(u, m, family)
		w.maybeHear()
	case "repair":
		w.hear()
		if m.ifindex != 0 && m.link != group.LinkDown {
			_ = e.step(u, group.HealthChanged{Member: m.index, Family: group.Family(family), Health: group.OK, Cause: group.CauseProbe}, nil)
		}
	case "cable":
		w.cable(u, m)
		w.maybeHear()
	case "trouble":
		w.quiet = false
		w.trouble = rapid.IntRange(1, 30).Draw(t, "trouble")
		w.fault = rapid.SampledFrom([]fakehost.Fault{fakehost.Refused, fakehost.Lost, fakehost.Unsent, fakehost.Cut}).Draw(t, "fault")
		w.h.Refusal = rapid.SampledFrom([]unix.Errno{unix.EBUSY, unix.ENOBUFS, unix.ENOMEM}).Draw(t, "errno")
	case "strike":
		w.quiet = false
		// Something that asks for an Apply, in which the verdict comes.
		w.strike = rapid.IntRange(1, 8).Draw(t, "strike")
		slot, number := u.slot, m.number
		w.struck = func() {
			if u, m := e.find(slot, number); m != nil {
				w.kernelVerdict(u, m, family)
			}
		}
		other := rapid.SampledFrom(u.members).Draw(t, "other")
		rapid.SampledFrom([]func(){
			func() { w.cable(u, other) },
			func() { w.meddle(u, other); w.hostChanged() },
			func() { w.meddle(rapid.SampledFrom(e.units).Draw(t, "other unit"), other); w.hostChanged() },
			func() { w.meddle(u, m); w.hostChanged() },
			func() { w.driver(other) },
			func() { w.kernelVerdict(u, other, 1-family) },
			func() {
				_ = e.step(u, group.HealthChanged{Member: other.index, Family: group.Both, Health: group.OK, Cause: group.CauseProbe}, nil)
			},
			func() { other.offline = e.step(u, group.Offline{Member: other.index}, nil) == nil },
		}).Draw(t, "cause")()
		w.maybeHear()
	case "offline":
		w.hear()
		m.offline = e.step(u, group.Offline{Member: m.index, Force: rapid.Bool().Draw(t, "force")}, nil) == nil
	case "online":
		w.hear()
		m.offline = false
		_ = e.step(u, group.Online{Member: m.index}, nil)
	case "reload":
		w.reload(slices.Index(e.units, u))
	case "driver":
		w.driver(m)
	case "foreign":
		w.meddle(u, m)
	case "settle":
		w.settle()
	case "hear":
		w.hear()
	}
}

// maybeHear: the engine may be late.
func (w *world) maybeHear() {
	if rapid.Bool().Draw(w.t, "heard") {
		w.hear()
	}
}

// cable is pulled or put in again.
func (w *world) cable(u *unit, m *member) {
	if m.ifindex == 0 {
		return
	}
	links := w.h.Observed().Links
	up := !links[slices.IndexFunc(links, func(l addr.HostLink) bool { return l.Index == m.ifindex })].Carrier
	fresh := !up && w.fresh(u)
	for f := range bpf.Families {
		word := bpf.ReadWord(&w.e.tracks[bpf.TrackNumber(u.slot, f)]).Usable
		fresh = fresh && word&(1<<m.bit) != 0 && word != 1<<m.bit // else nothing is fired
	}
	w.happened, w.unheard = w.happened+1, true // the watcher hears of it too
	w.h.SetCarrier(m.ifindex, up)
	then, failures := u.inUse(u.state.Contingency(m.index, group.Both).Owners), w.h.Failures
	w.firing = true
	if n, _ := w.e.carrier(m.number, m.ifindex, up, true, monotonic()); n != nil {
		w.passedOn(u, n.fired)
		n.fired.finish()
		w.e.events <- n
	}
	w.firing = false
	if fresh {
		require.Equal(w.t, failures, w.h.Failures, "what was prepared for a loss of the link was refused")
		w.moved(u, then, group.IPv4)
		w.moved(u, then, group.IPv6)
	}
}

// driver is unloaded, or loaded again: another interface of the same name, with fresh sysctls.
func (w *world) driver(m *member) {
	w.hear()
	w.quiet = false
	if m.ifindex != 0 {
		was := m.ifindex
		for _, a := range w.h.Observed().Addresses {
			if a.Link == was {
				w.there[a.Prefix.Addr()] = len(w.h.Where(a.Prefix.Addr())) > 1
			}
		}
		w.h.Remove(was)
		w.foreign = w.theirs()
	}
	if m.ifindex == 0 || rapid.Bool().Draw(w.t, "loaded again") {
		w.h.Appear(w.link(m.cfg.Name), w.freshSysctls(m.cfg.Name))
	}
	w.hostChanged()
	w.hear()
}

// meddle with what is ours, and add what is not.
func (w *world) meddle(u *unit, m *member) {
	w.quiet, w.unheard = false, true
	o := w.h.Observed()
	a := rapid.SampledFrom(u.cfg.Addresses).Draw(w.t, "address")
	ip := a.Prefix.Addr()
	switch rapid.SampledFrom([]string{"delete", "copy", "test", "route", "nexthop", "sysctl", "neighbour"}).Draw(w.t, "meddle") {
	case "delete":
		for _, link := range w.h.Where(ip) {
			w.h.By(addr.Op{Kind: addr.DeleteAddress, Link: link, Prefix: a.Prefix})
		}
		w.there[ip] = false
	case "copy":
		if m.ifindex != 0 {
			w.h.Add(m.ifindex, a.Prefix)
		}
	case "test":
		if m.ifindex != 0 {
			w.h.By(addr.Op{Kind: addr.DeleteAddress, Link: m.ifindex, Prefix: rapid.SampledFrom(m.cfg.Test).Draw(w.t, "test")})
		}
	case "route":
		for _, r := range o.Routes {
			if r.Protocol == addr.Protocol {
				w.h.By(addr.Op{Kind: addr.DeleteRoute, Prefix: r.To, Table: r.Table, Metric: r.Metric, Protocol: addr.Protocol, ID: r.NHID})
			}
		}
	case "nexthop":
		if len(o.Nexthops) > 0 {
			w.h.By(addr.Op{Kind: addr.DeleteNexthop, ID: rapid.SampledFrom(o.Nexthops).Draw(w.t, "nexthop").ID})
		}
	case "sysctl":
		for key := range w.freshSysctls(m.cfg.Name) {
			w.h.By(addr.Op{Kind: addr.SetSysctl, Key: key, Value: "0"})
		}
	case "neighbour":
		if m.ifindex != 0 {
			w.h.By(addr.Op{Kind: addr.AddNeighbor, Link: m.ifindex, IP: netip.MustParseAddr(gateways[0]), MAC: addr.MAC{2, 9, 9}})
		}
	}
	if rapid.Bool().Draw(w.t, "seen") {
		w.hostChanged()
	}
}
