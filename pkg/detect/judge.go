// SPDX-License-Identifier: Apache-2.0

package detect

import (
	"fmt"
	"time"
)

// hangs fails members that take no probe any more although they have carrier: our own queue is full
// and never drains. While the transmit counter moves it is load, and load must never cause a
// failover. detection.md section 1, "Send errors".
func (t *Tracker) hangs(now int64) (out []Finding) {
	patience := max(10*t.settings.DetectionTime.Nanoseconds(), leastHang)
	for _, i := range t.order {
		s := &i.sample
		if s.Refused == 0 || now-s.Refused < patience || s.TxPackets != i.txFrom ||
			!i.usable() || !t.otherUsable(s.Member, s.Family) {
			continue
		}
		for f := range Family(families) {
			if both := t.instances[key{s.Member, f}]; both != nil {
				both.fail(now, CauseProbe, DetailTxHang)
			}
		}
		out = append(out, Finding{
			Kind: FindFailed, Member: s.Member, Family: Both, Cause: CauseProbe, Detail: DetailTxHang,
			LastReply: s.LastReply,
			Why:       fmt.Sprintf("no probe accepted for %v", time.Duration(now-s.Refused)),
		})
	}
	return out
}

// lastResort: the usable members of a family miss their rounds while a failed one answers them. No
// hysteresis holds it back: a host with one answering member is reachable.
func (t *Tracker) lastResort(now int64) (out []Finding) {
	for f := range Family(families) {
		var silent []*instance
		var rescue *instance
		answering := false
		for _, i := range t.order {
			switch {
			case i.sample.Family != f || i.sample.Disabled || i.sample.Kind == KindNone:
			case i.usable() && i.misses():
				silent = append(silent, i)
			case i.usable():
				answering = true
			case rescue == nil && i.probed() && !i.byLink() && i.answers(&t.settings):
				rescue = i
			}
		}
		if answering || rescue == nil || len(silent) == 0 {
			continue
		}
		rescue.repair(now)
		out = append(out, t.repaired(rescue, "it alone answers"))
		for _, i := range silent {
			i.fail(now, CauseProbe, DetailLast)
			if other := t.follower(i); other != nil {
				other.fail(now, CauseProbe, DetailLast)
			}
			out = append(out, Finding{
				Kind: FindFailed, Member: i.sample.Member, Family: t.reach(i), Cause: CauseProbe,
				Detail: DetailLast, LastReply: i.sample.LastReply,
				Why: fmt.Sprintf("%d rounds missed that member %d answered", i.sample.Missing, rescue.sample.Member),
			})
		}
	}
	return out
}

// misses: a suspect by section 1, if it is armed.
func (i *instance) misses() bool {
	return i.limit > 0 && i.sample.Missing >= int(i.limit)
}

// repairs finds instances that are good again, and unknown ones that answer.
func (t *Tracker) repairs(now int64) (out []Finding) {
	for _, i := range t.order {
		s := &i.sample
		if s.Disabled || s.Link == LinkDown || t.effective(s.Member, s.Family) != i {
			continue
		}
		switch {
		case i.state == Unknown && i.probed() && !i.byLink() && i.answers(&t.settings):
			i.state = OK
			out = append(out, Finding{Kind: FindAnswering, Member: s.Member, Family: t.reach(i), Why: "answers its probes"})
		case i.state != Failed:
		case !t.settings.Alone && !t.otherUsable(s.Member, s.Family):
			if i.answers(&t.settings) && !(i.byLink() && t.groupFailed && i.cause == CauseProbe) {
				i.repair(now)
				out = append(out, t.repaired(i, "no other member is usable"))
			}
		case t.settings.Alone && i.silentYet():
		case i.byLink() && t.otherFailed(i):
		case i.good(now, &t.settings):
			i.repair(now)
			out = append(out, t.repaired(i, fmt.Sprintf("%d answered rounds in a row", s.Streak)))
		case i.flapWait && !i.flapTold:
			i.flapTold = true
			out = append(out, Finding{Kind: FindWaits, Member: s.Member, Family: t.reach(i),
				Why: fmt.Sprintf("repair waits, %d in the last minute are enough", len(i.repairs))})
		}
	}
	return out
}

// otherFailed: nothing of this family was ever answered, as its targets have only just been found, say, and the
// member's other family is probed and has failed. What the link says is no proof then that the way is good.
func (t *Tracker) otherFailed(i *instance) bool {
	if t.settings.Alone || !i.probed() {
		return false
	}
	other := t.instances[key{i.sample.Member, 1 - i.sample.Family}]
	return other != nil && !other.sample.Disabled && other.state == Failed && !other.byLink()
}

// unknowns finds instances that were ok and have had nobody to ask for a while, and one that is alone and
// not probed any more. A reload with other targets leaves them without any for a moment, which is nothing to talk of.
func (t *Tracker) unknowns(now int64) (out []Finding) {
	for _, i := range t.order {
		s := &i.sample
		switch {
		case t.settings.Alone && !s.Disabled && !i.probed() && i.state == OK && t.effective(s.Member, s.Family) == i:
			i.state, i.noTargetAt = Unknown, 0
			out = append(out, Finding{Kind: FindUnknown, Member: s.Member, Family: t.reach(i), Why: "not probed any more"})
		case s.Disabled || !i.probed() || s.Targets > 0:
			i.noTargetAt = 0
		case i.noTargetAt == 0:
			i.noTargetAt = now
		case i.state == OK && now-i.noTargetAt >= leastDead:
			i.state = Unknown
			out = append(out, Finding{Kind: FindUnknown, Member: s.Member, Family: t.reach(i), Why: "no target"})
		}
	}
	return out
}

func (t *Tracker) repaired(i *instance, why string) Finding {
	if other := t.follower(i); other != nil {
		other.state, other.cause, other.detail = Unknown, CauseNone, ""
	}
	return Finding{Kind: FindRepaired, Member: i.sample.Member, Family: t.reach(i), Why: why}
}

// reach of a finding about an instance: it takes the member's other family with it where that follows.
func (t *Tracker) reach(i *instance) Family {
	if t.effective(i.sample.Member, 1-i.sample.Family) == i {
		return Both
	}
	return i.sample.Family
}

// follower of an instance: the member's other family, where that is judged by this one. nil: none.
func (t *Tracker) follower(i *instance) *instance {
	if t.reach(i) != Both {
		return nil
	}
	return t.instances[key{i.sample.Member, 1 - i.sample.Family}]
}

// otherUsable: may a sibling of this member carry the family?
func (t *Tracker) otherUsable(member int, family Family) bool {
	for _, i := range t.order {
		if i.sample.Member != member && t.Usable(i.sample.Member, family) {
			return true
		}
	}
	return false
}

// judgeGroup: the group has failed when no member has answered, or none had link, for a while: the
// judgement without hurry, for where there is nothing to compare with and nowhere to move to.
func (t *Tracker) judgeGroup(now int64) []Finding {
	if t.settings.Alone {
		return t.judgeAlone(now)
	}
	carrier, judged := false, false
	last := int64(0)
	for _, i := range t.order {
		s := &i.sample
		if s.Disabled || t.effective(s.Member, s.Family) != i {
			continue
		}
		judged = true
		last = max(last, s.LastReply)
		if s.Link == LinkDown {
			continue
		}
		carrier = true
		if !i.probed() || s.Targets == 0 {
			t.aliveAt = now
		}
		t.aliveAt = max(t.aliveAt, s.LastReply)
	}
	if !judged {
		t.aliveAt = now
	}
	dead := now-t.aliveAt >= t.patience()
	switch {
	case dead && !t.groupFailed:
		return []Finding{t.failGroup(now, carrier, last)}
	case !dead && t.groupFailed && t.anyUsable():
		t.groupFailed = false
		return []Finding{{Kind: FindGroupRepaired, Member: -1, Family: Both, Why: "a member answers"}}
	}
	return nil
}

// failGroup takes all members for failed; nothing moves.
func (t *Tracker) failGroup(now int64, carrier bool, last int64) Finding {
	t.groupFailed = true
	f := Finding{
		Kind: FindGroupFailed, Member: -1, Family: Both, Cause: CauseLink, Detail: DetailCarrier,
		LastReply: last, Why: "no member has link",
	}
	if carrier {
		f.Cause, f.Detail, f.Why = CauseProbe, DetailSilent, "no member answers"
	}
	for _, i := range t.order {
		if !i.sample.Disabled && i.state != Failed {
			i.fail(now, f.Cause, f.Detail)
		}
	}
	return f
}

func (t *Tracker) anyUsable() bool {
	for _, i := range t.order {
		if t.Usable(i.sample.Member, i.sample.Family) {
			return true
		}
	}
	return false
}
