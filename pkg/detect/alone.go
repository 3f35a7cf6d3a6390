// SPDX-License-Identifier: Apache-2.0

package detect

import (
	"fmt"
	"time"
)

// An interface that is in no group has nobody to be compared with, nothing moves off it, and nothing
// depends on it being good again. So each family fails by elapsed time, one without the other, and
// there is no group failure (spec section 2.7, "Anonymous group: always individual failure"). A repair
// has all of its hysteresis: nobody wants to be told of each answer on a path that flaps.

// patience is how long nobody answers before it counts, where there is nothing to compare with. ns.
func (t *Tracker) patience() int64 {
	return max(3*t.settings.DetectionTime.Nanoseconds(), leastDead)
}

// judgeAlone fails the families that have had no answer for a while.
func (t *Tracker) judgeAlone(now int64) (out []Finding) {
	for _, i := range t.order {
		s := &i.sample
		if s.Disabled || s.Link == LinkDown || !i.asks() || i.state == Failed || i.aliveAt == 0 || i.comingUp(now) {
			i.aliveAt = now
		}
		i.aliveAt = max(i.aliveAt, s.LastReply)
		if now-i.aliveAt < t.patience() || t.effective(s.Member, s.Family) != i {
			continue
		}
		i.fail(now, CauseProbe, DetailSilent)
		if other := t.follower(i); other != nil {
			other.fail(now, CauseProbe, DetailSilent)
		}
		out = append(out, Finding{
			Kind: FindFailed, Member: s.Member, Family: t.reach(i), Cause: CauseProbe, Detail: DetailSilent,
			LastReply: s.LastReply, Why: fmt.Sprintf("no answer for %v", time.Duration(now-i.aliveAt)),
		})
	}
	return out
}

// silentYet: it has failed for its silence, and never answered anybody; its link has been there all the
// time.
func (i *instance) silentYet() bool {
	return i.cause == CauseProbe && i.asks() && i.byLink()
}
