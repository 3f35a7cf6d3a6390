// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"sync/atomic"

	"github.com/ipmpd/ipmpd/bpf"
)

// trackState is what the prober knows about a track. The prober thread writes, anybody reads the
// atomic fields.
type trackState struct {
	next     int64  // thread only: when the next round is due
	closed   uint32 // thread only: newest closed round
	begunAny bool   // thread only: closed is valid

	interval              atomic.Int64
	begun, answered, void atomic.Uint64
	ticks, skipped, late  atomic.Uint64
	lateness              ring
	voidRun               [bpf.Targets]atomic.Uint32
}

// schedule says whether a round is due now, and sets when the next one is. Ticks stay multiples of
// the interval, so that tracks of one interval share their wake-ups. A late prober skips ticks:
// rounds are never nearer than interval/2, because a burst after a stall would make misses of
// replies that are merely queued. detection.md section 1.
//
//go:nosplit
//go:norace
func (t *trackState) schedule(now, interval int64) bool {
	if t.interval.Load() != interval {
		t.interval.Store(interval)
		t.next = now - now%interval + interval
		return false
	}
	if now < t.next {
		return false
	}
	late := now - t.next
	t.lateness.add(late)
	ticks := 1 + late/interval
	if late%interval > interval/2 {
		ticks++
	}
	t.next += ticks * interval
	t.ticks.Add(uint64(ticks))
	t.skipped.Add(uint64(ticks - 1))
	if ticks > 1 {
		t.late.Add(1)
	}
	return true
}
