// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"sync/atomic"
	"time"

	"github.com/ipmpd/ipmpd/bpf"
)

// begin the next round of a track: make its frames and publish it. 0: there is nobody to ask.
//
//go:nosplit
//go:norace
func (p *Prober) begin(t *compiledTrack) (n uint32, now int64) {
	if len(t.asked) == 0 {
		return 0, 0
	}
	n = nextRound(atomic.LoadUint32(&t.shared.Newest))
	if !t.state.begunAny {
		// After an adoption: what was sent before us was not counted by us.
		t.state.closed = n - 1
		t.state.begunAny = true
	}
	target := &t.asked[n%uint32(len(t.asked))]
	p.rounded++
	nonce := p.key.nonce(p.rounded)
	for i := range target.frames {
		target.frames[i].patch(n, nonce)
	}
	now = nowNs()
	slot := &t.shared.Round[n&bpf.WindowMask]
	atomic.StoreUint64(&slot.BegunNs, uint64(now))
	atomic.StoreUint64(&slot.Nonce, nonce)
	slot.Target = target.index
	atomic.StoreUint32(&slot.Round, n)
	atomic.StoreUint32(&t.shared.Newest, n)
	t.state.begun.Add(1)
	return n, now
}

// nextRound number. Rounds start at bpf.Window, also after all 32 bits are used up (5 days at
// 100 us), because 0 stands for none. Slots stay in order.
//
//go:nosplit
//go:norace
func nextRound(newest uint32) uint32 {
	if n := newest + 1; n >= uint32(bpf.Window) {
		return n
	}
	return uint32(bpf.Window)
}

// first is the member that sends first: one that has missed the newest answered round, else the next
// in rotation. A policer on the way drops what comes last, and that must not be the same member three
// times in a row; a member whose way is dead loses nothing by going first.
//
//go:nosplit
//go:norace
func (t *compiledTrack) first(n uint32, now int64) int {
	next := t.order(n)
	newest := t.newestAnswered(n)
	if newest == 0 {
		return next
	}
	for i := range t.members {
		if at := (next + i) % len(t.members); t.members[at].missed(newest, t.shared, now) {
			return at
		}
	}
	return next
}

// order rotates by one each round. After a cycle it slips by one, or each target would see only some
// of the orders.
//
//go:nosplit
//go:norace
func (t *compiledTrack) order(n uint32) int {
	return int((n + n/t.cycle) % uint32(len(t.members)))
}

// lookBack is how many rounds before the present one are looked at for an answer: rounds in flight
// at an RTT of so many intervals.
const lookBack = 16

// newestAnswered round before round n; 0: none of the last few.
//
//go:nosplit
//go:norace
func (t *compiledTrack) newestAnswered(n uint32) uint32 {
	for r := n - 1; r != n-1-lookBack; r-- {
		slot := &t.shared.Round[r&bpf.WindowMask]
		if atomic.LoadUint32(&slot.Round) == r && atomic.LoadUint32(&slot.Answered) == r {
			return r
		}
	}
	return 0
}

// missed reports whether round r, which somebody has answered, was sent here and its reply is overdue.
//
//go:nosplit
//go:norace
func (m *compiledMember) missed(r uint32, t *bpf.Track, now int64) bool {
	slot := &m.shared.Slot[r&bpf.WindowMask]
	return atomic.LoadUint32(&slot.Sent) == r && atomic.LoadUint32(&slot.Acked) != r &&
		now-int64(atomic.LoadUint64(&t.Round[r&bpf.WindowMask].BegunNs)) >= dueAfter(m.shared)
}

// closeAfter is the least age at which a round is judged for the statistics: the kernel's verdicts
// have been taken by then, and replies that were merely queued have come.
//
//go:nosplit
//go:norace
func closeAfter(interval int64) int64 {
	return min(32*interval, int64(10*time.Millisecond))
}

// closeRounds judges the rounds that are old enough, for statistics, repair and loss; verdicts are
// not taken here.
//
//go:nosplit
//go:norace
func (p *Prober) closeRounds(t *compiledTrack, watches []*Watch) {
	if !t.state.begunAny {
		return
	}
	now := nowNs()
	patience := closeAfter(t.interval)
	for i := range t.members {
		patience = max(patience, dueAfter(t.members[i].shared))
	}
	newest := atomic.LoadUint32(&t.shared.Newest)
	for t.state.closed != newest {
		n := nextRound(t.state.closed)
		slot := &t.shared.Round[n&bpf.WindowMask]
		// The slot is used again soon: judge it, whatever its age.
		forced := newest-n >= uint32(bpf.Window)-2
		if !forced && now-int64(atomic.LoadUint64(&slot.BegunNs)) < patience {
			return
		}
		t.state.closed = n
		if atomic.LoadUint32(&slot.Round) == n {
			t.closeRound(n, slot, now)
			if watches != nil {
				t.tell(watches, n, slot)
			}
		}
	}
}

//go:nosplit
//go:norace
func (t *compiledTrack) closeRound(n uint32, slot *bpf.Round, now int64) {
	target := slot.Target % uint16(bpf.Targets)
	if atomic.LoadUint32(&slot.Answered) != n {
		t.state.void.Add(1)
		t.state.voidRun[target].Add(1)
		return
	}
	t.state.answered.Add(1)
	t.state.voidRun[target].Store(0)
	for i := range t.members {
		m := &t.members[i]
		here := &m.shared.Slot[n&bpf.WindowMask]
		if atomic.LoadUint32(&here.Sent) != n {
			continue
		}
		m.state.targetAnswered[target].Add(1)
		if atomic.LoadUint32(&here.Acked) == n {
			rtt := atomic.LoadUint32(&here.RttNs)
			m.state.targetAcked[target].Add(1)
			m.state.targetRTT[target].add(rtt)
			m.state.acknowledged(rtt, atomic.LoadUint32(&m.shared.Limit))
		} else {
			m.state.miss(now)
		}
		atomic.StoreUint32(&m.shared.RecentMissed, uint32(m.state.recent.Load()))
	}
}
