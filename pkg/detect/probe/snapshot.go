// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/bpf"
)

// Snapshot is a copy of what the prober knows about one instance. Counters are since the instance
// came into the plan with its present interface and source. Rounds nobody answered, and rounds
// not sent here, count nowhere but in Sent. Times are CLOCK_MONOTONIC ns, 0: never.
type Snapshot struct {
	Newest   uint32 // newest round sent here
	Sent     uint64 // rounds
	Answered uint64 // closed rounds, due here, that some member answered
	Missed   uint64 // those of them missed here
	Streak   uint64 // closed answered rounds acknowledged here in a row, up to the newest
	Run      uint64 // closed answered rounds missed here in a row, up to the newest

	// Share of misses among the last 1,000 closed answered rounds, without the current run and
	// without runs longer than the limit: those were failures, not loss. Judged is how many
	// rounds it is made of.
	Share        float64
	Judged       int
	RecentMissed int // of the last 100 closed answered rounds, counted in the same way

	// Of the rounds in the window, open ones too: the newest answered rounds acknowledged in a
	// row, or missed in a row. One of them is 0.
	Answering, Missing int

	LastMiss  int64
	LastReply int64
	Accepted  int64         // last send that the kernel accepted
	Refused   int64         // since when every send is refused with ENOBUFS or EAGAIN; 0: it is not
	SendError unix.Errno    // of the last send; 0: accepted
	RTT       time.Duration // smoothed; 0: no reply yet
	Deviation time.Duration

	Targets [bpf.Targets]TargetCount
}

// TargetCount is one target's rounds on one instance.
type TargetCount struct {
	Answered     uint64 // closed rounds to it, due here, that some member answered
	Acknowledged uint64 // those answered here
}

// TrackSnapshot is a copy of what the prober knows about one track.
type TrackSnapshot struct {
	Interval time.Duration // in effect
	Newest   uint32        // newest round begun
	Begun    uint64        // rounds
	Answered uint64        // closed rounds that some member answered
	Void     uint64        // closed rounds that nobody answered
	Ticks    uint64        // that were due, skipped ones too
	Skipped  uint64        // ticks left out because the prober was late
	Late     uint64        // rounds begun so late that ticks were left out before them
	// VoidRun is, by target, how many rounds in a row nobody answered.
	VoidRun [bpf.Targets]uint32
}

// Quantiles of up to 1,000 durations; all zero where there are none.
type Quantiles struct {
	N              int
	P50, P99, P999 time.Duration
}

// Snapshot of an instance; false where it is not in the plan. The prober thread is not disturbed:
// every number is read for itself.
func (p *Prober) Snapshot(instance int) (Snapshot, bool) {
	m := p.instanceOf(instance)
	if m == nil {
		return Snapshot{}, false
	}
	shared := &p.instances[instance]
	s := Snapshot{
		Newest:       atomic.LoadUint32(&shared.Newest),
		Sent:         m.sent.Load(),
		Answered:     m.answered.Load(),
		Missed:       m.missed.Load(),
		Streak:       m.streak.Load(),
		Run:          m.run.Load(),
		RecentMissed: int(m.recent.Load()),
		LastMiss:     m.lastMiss.Load(),
		LastReply:    int64(atomic.LoadUint64(&shared.LastReplyNs)),
		Accepted:     m.accepted.Load(),
		Refused:      m.refused.Load(),
		SendError:    unix.Errno(m.sendError.Load()),
		RTT:          time.Duration(atomic.LoadUint32(&shared.RttNs)),
		Deviation:    time.Duration(atomic.LoadUint32(&shared.RttDevNs)),
	}
	s.Share, s.Judged = m.share()
	s.Answering, s.Missing = openRuns(&p.tracks[m.track], shared, nowNs())
	for i := range s.Targets {
		s.Targets[i] = TargetCount{m.targetAnswered[i].Load(), m.targetAcked[i].Load()}
	}
	return s, true
}

// RTT quantiles of the instance's last 1,000 closed answered rounds, without the missed ones. It sorts them.
func (p *Prober) RTT(instance int) Quantiles {
	m := p.instanceOf(instance)
	if m == nil {
		return Quantiles{}
	}
	var values [ringSize]uint32
	n := 0
	for i := range m.ring {
		if v := m.ring[i].Load(); v != outcomeNone && v < outcomeOutage {
			values[n] = v
			n++
		}
	}
	return quantiles(values[:n])
}

// TrackSnapshot of a track; false where it is not in the plan.
func (p *Prober) TrackSnapshot(track int) (TrackSnapshot, bool) {
	t := p.trackOf(track)
	if t == nil {
		return TrackSnapshot{}, false
	}
	s := TrackSnapshot{
		Interval: time.Duration(t.interval.Load()),
		Newest:   atomic.LoadUint32(&p.tracks[track].Newest),
		Begun:    t.begun.Load(),
		Answered: t.answered.Load(),
		Void:     t.void.Load(),
		Ticks:    t.ticks.Load(),
		Skipped:  t.skipped.Load(),
		Late:     t.late.Load(),
	}
	for i := range s.VoidRun {
		s.VoidRun[i] = t.voidRun[i].Load()
	}
	return s, true
}

// Lateness of the track's last 1,000 ticks. It sorts them.
func (p *Prober) Lateness(track int) Quantiles {
	t := p.trackOf(track)
	if t == nil {
		return Quantiles{}
	}
	return t.lateness.quantiles()
}

// openRuns looks at the window from its newest round on: how many answered rounds in a row the
// instance acknowledged, or missed. A round is missed only when its reply is due: at least
// rtt + 4 dev ago. detection.md section 1.
func openRuns(t *bpf.Track, in *bpf.Instance, now int64) (answering, missing int) {
	newest := atomic.LoadUint32(&t.Newest)
	patience := dueAfter(in)
	for i := range uint32(bpf.Window - 1) {
		n := newest - i
		round := &t.Round[n&bpf.WindowMask]
		slot := &in.Slot[n&bpf.WindowMask]
		if atomic.LoadUint32(&round.Round) != n || atomic.LoadUint32(&round.Answered) != n ||
			atomic.LoadUint32(&slot.Sent) != n {
			continue
		}
		switch {
		case atomic.LoadUint32(&slot.Acked) == n:
			if missing > 0 {
				return 0, missing
			}
			answering++
		case now-int64(atomic.LoadUint64(&round.BegunNs)) < patience:
			// It may still come.
		default:
			if answering > 0 {
				return answering, 0
			}
			missing++
		}
	}
	return answering, missing
}

// dueAfter is how long a reply to this instance may take, in ns.
//
//go:nosplit
//go:norace
func dueAfter(in *bpf.Instance) int64 {
	return int64(atomic.LoadUint32(&in.RttNs)) + 4*int64(atomic.LoadUint32(&in.RttDevNs))
}
