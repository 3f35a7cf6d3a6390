// SPDX-License-Identifier: Apache-2.0

package detect

import (
	"net/netip"
	"slices"
	"time"
)

const (
	aside        = int64(30 * time.Second) // before a dead target is tried again
	slowAside    = int64(time.Minute)      // the same for a slow one
	slowFor      = int64(time.Second)      // on end: a machine that stood still made some slow rounds
	fastOthers   = 3                       // at least, to do without a slow one
	leastDeadRun = 10                      // void rounds
	silentFor    = int64(500 * time.Millisecond)
	askEvery     = int64(30 * time.Second)
	askAtMost    = int64(100 * time.Millisecond)
	askUnknown   = int64(time.Second)
)

// TargetState is how one target of a track does.
type TargetState struct {
	Addr    netip.Addr
	VoidRun uint32        // rounds in a row that nobody answered; 0 while it is not in rotation
	Unknown bool          // its MAC is not known, so that echoes cannot be sent
	RTT     time.Duration // average and four deviations, on the member where they are most; 0: not known
}

// Rotation keeps dead targets out of the rounds: with one of two dead, every other round is void and
// detection takes twice as long. It keeps slow ones out too: a round to one is due later. The zero
// value is ready.
type Rotation struct {
	out   map[netip.Addr]setAside
	asked map[netip.Addr]int64 // ns, MAC last asked for

	slow       netip.Addr // suspected to be; invalid: none
	slowFrom   int64      // ns
	silent     bool       // nobody answers for a while
	silentFrom int64      // ns; 0: somebody answers
}

type setAside struct {
	until int64 // ns
	why   string
}

// InRotation is those of the targets that are to be asked at now (ns), in rounds of an interval. One
// is set aside for 30 s after many void rounds, but only while another one answers: if none does, it
// is not the targets. One that is slow where all others are fast is for 60 s.
func (r *Rotation) InRotation(now int64, misses int, interval time.Duration, targets []TargetState) []netip.Addr {
	if r.out == nil {
		r.out = map[netip.Addr]setAside{}
	}
	for a, o := range r.out {
		if now >= o.until {
			delete(r.out, a)
		}
	}
	answering := slices.ContainsFunc(targets, func(t TargetState) bool {
		return !r.Aside(t.Addr) && t.VoidRun < uint32(misses)
	})
	r.findSlow(now, interval, targets)
	dead := uint32(max(2*misses, leastDeadRun))
	silent := len(targets) > 0
	var in []netip.Addr
	for _, t := range targets {
		if answering && t.VoidRun >= dead {
			r.out[t.Addr] = setAside{now + aside, "dead"}
		}
		if !r.Aside(t.Addr) || !answering {
			in = append(in, t.Addr)
		}
		silent = silent && t.VoidRun >= dead
	}
	r.fellSilent(now, silent)
	return in
}

// findSlow sets a target aside that takes longer than a round where all others, at least three, take
// no more than half of one. Spec section 2.8, "exceptional target".
func (r *Rotation) findSlow(now int64, interval time.Duration, targets []TargetState) {
	var slow netip.Addr
	fast := 0
	for _, t := range targets {
		switch {
		case r.Aside(t.Addr):
		case t.RTT > interval && !slow.IsValid():
			slow = t.Addr
		case t.RTT == 0 || t.RTT > interval/2:
			r.slow = netip.Addr{}
			return
		default:
			fast++
		}
	}
	if !slow.IsValid() || fast < fastOthers {
		r.slow = netip.Addr{}
		return
	}
	if slow != r.slow {
		r.slow, r.slowFrom = slow, now
	}
	if now-r.slowFrom >= slowFor {
		r.out[slow] = setAside{now + slowAside, "slow"}
		r.slow = netip.Addr{}
	}
}

// Aside reports whether a target was set aside when InRotation was last asked.
func (r *Rotation) Aside(a netip.Addr) bool {
	_, out := r.out[a]
	return out
}

// Why a target was set aside, for the log: dead, slow.
func (r *Rotation) Why(a netip.Addr) string { return r.out[a].why }

// Silent reports whether none of the targets had answered for half a second when InRotation was last
// asked: longer than a stall, and shorter than it takes the group to fail.
func (r *Rotation) Silent() bool { return r.silent }

func (r *Rotation) fellSilent(now int64, silent bool) {
	switch {
	case !silent:
		r.silentFrom = 0
	case r.silentFrom == 0:
		r.silentFrom = now
	}
	r.silent = silent && now-r.silentFrom >= silentFor
}

// AskAgain is the targets whose MAC is to be asked for now: after `misses` void rounds (at most ten
// times a second), every second while it is not known (there are no rounds then; at a start the
// first question may go out before the interface can be answered) and every 30 s. A gateway may
// have got another one. detection.md section 3.
func (r *Rotation) AskAgain(now int64, misses int, targets []TargetState) (ask []netip.Addr) {
	if r.asked == nil {
		r.asked = map[netip.Addr]int64{}
	}
	for _, t := range targets {
		last, ever := r.asked[t.Addr]
		wait := askEvery
		switch {
		case t.VoidRun >= uint32(misses):
			wait = askAtMost
		case t.Unknown:
			wait = askUnknown
		}
		if !ever || now-last >= wait {
			r.asked[t.Addr] = now
			ask = append(ask, t.Addr)
		}
	}
	return ask
}
