// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ipmpd/ipmpd/bpf"
)

const (
	watchLength = 4096
	// shownEvery is between two answered probes of an instance that are told: 100 a second.
	shownEvery = int64(10 * time.Millisecond)
)

// Outcome is what became of one probe, told when its round is closed.
type Outcome struct {
	Group, Name string // of the plan
	Track       int
	Round       uint32
	Target      netip.Addr // invalid: it is no target any more
	BegunNs     int64      // CLOCK_MONOTONIC
	Acked       bool
	RTT         time.Duration // acked only
	// Average and Deviation are the instance's smoothed ones at that time; 0: no reply yet.
	Average, Deviation time.Duration
}

// Watch is one who wants to see probes. C has every lost one, and at most 100 answered ones a second
// of an instance. The prober never waits: what C has no room for is counted.
type Watch struct {
	C     <-chan Outcome
	c     chan Outcome
	lost  atomic.Uint64
	shown [bpf.Instances]int64 // thread only: BegunNs of the last answered one told
}

// Lost is how many outcomes were dropped since it was asked last.
func (w *Watch) Lost() uint64 { return w.lost.Swap(0) }

// Watch from now on, until Unwatch. While nobody does, it costs the prober a load a tick.
func (p *Prober) Watch() *Watch {
	c := make(chan Outcome, watchLength)
	w := &Watch{C: c, c: c}
	p.changeWatches(func(list []*Watch) []*Watch { return append(list, w) })
	return w
}

// Unwatch ends a watch. C stays open.
func (p *Prober) Unwatch(w *Watch) {
	p.changeWatches(func(list []*Watch) []*Watch {
		return slices.DeleteFunc(list, func(other *Watch) bool { return other == w })
	})
}

// watching are those who watch; nil: nobody.
func (p *Prober) watching() []*Watch {
	if list := p.watches.Load(); list != nil {
		return *list
	}
	return nil
}

// changeWatches gives the thread another list; it never sees one that changes.
func (p *Prober) changeWatches(change func([]*Watch) []*Watch) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	var list []*Watch
	if old := p.watches.Load(); old != nil {
		list = slices.Clone(*old)
	}
	if list = change(list); len(list) == 0 {
		p.watches.Store(nil)
	} else {
		p.watches.Store(&list)
	}
	p.ring()
}

// tell what became of round n on each member that it went out on. A round that nobody answered was
// lost on all of them.
func (t *compiledTrack) tell(watches []*Watch, n uint32, round *bpf.Round) {
	o := Outcome{Group: t.name, Track: t.number, Round: n, BegunNs: int64(atomic.LoadUint64(&round.BegunNs))}
	if i := int(round.Target); i < len(t.targets) {
		o.Target = t.targets[i]
	}
	for i := range t.members {
		m := &t.members[i]
		slot := &m.shared.Slot[n&bpf.WindowMask]
		if atomic.LoadUint32(&slot.Sent) != n {
			continue
		}
		o.Name = m.name
		if o.Acked = atomic.LoadUint32(&slot.Acked) == n; o.Acked {
			o.RTT = time.Duration(atomic.LoadUint32(&slot.RttNs))
		} else {
			o.RTT = 0
		}
		o.Average = time.Duration(atomic.LoadUint32(&m.shared.RttNs))
		o.Deviation = time.Duration(atomic.LoadUint32(&m.shared.RttDevNs))
		instance := bpf.InstanceNumber(m.number, t.number%bpf.Families)
		for _, w := range watches {
			w.put(instance, &o)
		}
	}
}

func (w *Watch) put(instance int, o *Outcome) {
	if o.Acked {
		if o.BegunNs-w.shown[instance] < shownEvery {
			return
		}
		w.shown[instance] = o.BegunNs
	}
	select {
	case w.c <- *o:
	default:
		w.lost.Add(1)
	}
}
