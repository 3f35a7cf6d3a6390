// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"math"
	"sync/atomic"

	"github.com/ipmpd/ipmpd/bpf"
)

// What a place of the ring of outcomes holds: an RTT in ns, or one of these.
const (
	outcomeNone   uint32 = 0
	outcomeOutage uint32 = math.MaxUint32 - 1 // missed, in a run longer than the limit
	outcomeMissed uint32 = math.MaxUint32
)

const (
	recentRounds = 100
	// unarmedLimit is how long a run of misses is still loss while no limit is set.
	unarmedLimit = 50
)

// instanceState is what the prober knows about an instance. The prober thread writes, anybody reads.
type instanceState struct {
	identity
	track int

	sent, answered, missed, streak, run atomic.Uint64
	lastMiss, accepted, refused         atomic.Int64
	sendError                           atomic.Uint32
	targetAnswered, targetAcked         [bpf.Targets]atomic.Uint64
	targetRTT                           [bpf.Targets]smoothed

	// The last 1,000 closed answered rounds.
	next       uint64 // thread only: closed answered rounds ever
	ring       [ringSize]atomic.Uint32
	lost       atomic.Int32 // entries that are outcomeMissed
	counted    atomic.Int32 // entries that are neither none nor outage
	recent     atomic.Int32 // outcomeMissed in the last 100 entries
	askFrom    int64        // thread only: the first refused round; 0: the newest was accepted
	askNext    int64        // thread only: no link question before
	askBackoff int64        // thread only
}

// identity of what is probed: another one is another instance, whose history begins anew.
type identity struct {
	ifindex int
	mac     [6]byte
	kind    uint32
	source  [16]byte
}

// acknowledged: a closed round was answered here.
//
//go:nosplit
//go:norace
func (m *instanceState) acknowledged(rttNs, limit uint32) {
	if run := m.run.Load(); run > 0 {
		m.endRun(run, limit)
	}
	m.push(saturate(int64(rttNs)))
	m.answered.Add(1)
	m.streak.Add(1)
}

// miss: a closed round was answered by a sibling, not here.
//
//go:nosplit
//go:norace
func (m *instanceState) miss(now int64) {
	m.push(outcomeMissed)
	m.answered.Add(1)
	m.missed.Add(1)
	m.run.Add(1)
	m.streak.Store(0)
	m.lastMiss.Store(now)
}

// endRun of misses. A run longer than the limit was a failure: as loss it would keep the member
// from being judged (and from taking traffic) until it is 1,000 rounds ago.
//
//go:nosplit
//go:norace
func (m *instanceState) endRun(run uint64, limit uint32) {
	m.run.Store(0)
	if limit == 0 {
		limit = unarmedLimit
	}
	if run <= uint64(limit) {
		return
	}
	for i := uint64(1); i <= min(run, ringSize); i++ {
		if m.at(i).Load() != outcomeMissed {
			continue
		}
		m.at(i).Store(outcomeOutage)
		m.lost.Add(-1)
		m.counted.Add(-1)
		if i <= recentRounds {
			m.recent.Add(-1)
		}
	}
}

// at is the place of the i-th newest outcome, from 1 on.
//
//go:nosplit
//go:norace
func (m *instanceState) at(i uint64) *atomic.Uint32 { return &m.ring[(m.next-i)%ringSize] }

//go:nosplit
//go:norace
func (m *instanceState) push(outcome uint32) {
	place := &m.ring[m.next%ringSize]
	switch place.Load() {
	case outcomeMissed:
		m.lost.Add(-1)
		m.counted.Add(-1)
	case outcomeNone, outcomeOutage:
	default:
		m.counted.Add(-1)
	}
	if m.next >= recentRounds && m.at(recentRounds).Load() == outcomeMissed {
		m.recent.Add(-1)
	}
	place.Store(outcome)
	m.next++
	m.counted.Add(1)
	if outcome == outcomeMissed {
		m.lost.Add(1)
		m.recent.Add(1)
	}
}

// share of misses without the current run, and the rounds it is made of.
func (m *instanceState) share() (float64, int) {
	run := int32(min(m.run.Load(), ringSize))
	lost, counted := m.lost.Load()-run, m.counted.Load()-run
	// The two were read one after the other; the thread may have counted in between.
	if lost <= 0 || counted <= 0 {
		return 0, int(max(counted, 0))
	}
	return float64(min(lost, counted)) / float64(counted), int(counted)
}
