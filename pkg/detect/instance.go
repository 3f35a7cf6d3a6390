// SPDX-License-Identifier: Apache-2.0

package detect

import "slices"

type key struct {
	member int
	family Family
}

// instance is one family of one member, as the Tracker remembers it.
type instance struct {
	sample Sample
	state  State // Unknown, OK or Failed
	cause  Cause
	detail string

	armedFrom  uint64  // Sample.Answered when the present epoch began
	limit      uint32  // in effect; 0: not armed
	hopeless   bool    // probes cannot judge: too much is lost
	failedAt   int64   // ns
	failedFrom uint64  // Sample.Answered at the failure: what was good before counts for nothing
	linkUpAt   int64   // ns, last time that carrier came
	aliveAt    int64   // ns, where it is judged alone: last answer, or when there was nobody to ask
	heard      bool    // it has answered, be it before the prober counted from 0 again
	noTargetAt int64   // ns, since when there is no target; 0: there is one, or there are no probes
	txFrom     uint64  // Sample.TxPackets when sends began to be refused
	repairs    []int64 // ns, of the last minute
	flapWait   bool    // only the flap limit holds it
	flapTold   bool    // and that is told
}

// take a new sample over the last one.
func (i *instance) take(s Sample) {
	old := i.sample
	i.sample = s
	i.heard = i.heard || s.LastReply != 0
	back := old.Disabled && !s.Disabled
	switch {
	case s.Answered < old.Answered:
		// Another interface, or it was not probed meanwhile: the prober counts from 0.
		i.armedFrom, i.failedFrom = 0, 0
	case s.Epoch != old.Epoch || back:
		i.armedFrom, i.failedFrom = s.Answered, s.Answered
	}
	if back && i.state == OK {
		i.state = Unknown
	}
	if s.Refused == 0 || old.Refused != s.Refused {
		i.txFrom = s.TxPackets
	}
}

// comingUp: the interface has appeared a moment ago, and not answered yet.
func (i *instance) comingUp(now int64) bool {
	from := i.sample.Appeared
	return from != 0 && i.sample.LastReply <= from && now-from < quiet
}

func (i *instance) probed() bool { return i.sample.Kind == KindICMP || i.sample.Kind == KindARP }

// byLink: there are no probes, or nobody ever answered one, so its link is all there is to go by.
func (i *instance) byLink() bool {
	if !i.probed() {
		return true
	}
	return i.sample.Targets == 0 || !i.heard && i.sample.Answered == 0
}

// targetless: it would be probed, but there is nobody to ask.
func (i *instance) targetless() bool { return i.probed() && i.sample.Targets == 0 }

func (i *instance) asks() bool { return i.probed() && i.sample.Targets > 0 }

// unprovable: it missed its probes, and now there is nobody to ask whether it is good again. Its link
// says nothing then: it was there all the time (spec section 1.3).
func (i *instance) unprovable() bool {
	return i.targetless() && i.cause == CauseProbe
}

func (i *instance) usable() bool {
	if i.sample.Disabled || i.sample.Link == LinkDown {
		return false
	}
	return i.state != Failed
}

func (i *instance) fail(now int64, cause Cause, detail string) {
	i.state, i.cause, i.detail = Failed, cause, detail
	i.failedAt = now
	i.failedFrom = i.sample.Answered
}

func (i *instance) repair(now int64) {
	i.state, i.cause, i.detail = OK, CauseNone, ""
	if i.byLink() {
		i.state = Unknown
	}
	i.flapWait, i.flapTold = false, false
	i.repairs = append(i.lastMinute(now), now)
}

// lastMinute drops what is older than a minute.
func (i *instance) lastMinute(now int64) []int64 {
	i.repairs = slices.DeleteFunc(i.repairs, func(at int64) bool { return now-at >= minute })
	return i.repairs
}

// good reports whether repair hysteresis lets a failed instance be good again: answered rounds in a
// row, time since the last sign of trouble, repairs a minute. detection.md section 3.
func (i *instance) good(now int64, s *Settings) bool {
	i.flapWait = false
	if i.unprovable() {
		return false
	}
	trouble := max(i.linkUpAt, i.failedAt)
	if !i.byLink() {
		trouble = max(trouble, i.sample.LastMiss)
		if min(i.sample.Streak, i.sample.Answered-i.failedFrom) < uint64(s.Repair) {
			return false
		}
	}
	if now-trouble < max(leastGood, s.HoldDown.Nanoseconds()) {
		return false
	}
	i.flapWait = s.FlapLimit > 0 && len(i.lastMinute(now)) >= s.FlapLimit
	return !i.flapWait
}

// answers reports whether the instance answers now, without any hysteresis.
func (i *instance) answers(s *Settings) bool {
	if i.sample.Disabled || i.sample.Link == LinkDown {
		return false
	}
	if i.byLink() {
		return true
	}
	// Where all rounds since are void, the newest answered ones are those from before the failure.
	since := i.state != Failed || i.sample.LastReply > i.failedAt
	return since && i.sample.Answering >= s.Misses
}
