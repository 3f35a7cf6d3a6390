// SPDX-License-Identifier: Apache-2.0

package detect

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	minute    = int64(time.Minute)
	leastGood = int64(100 * time.Millisecond) // after carrier up or the last miss
	leastHang = int64(100 * time.Millisecond)
	leastDead = int64(2 * time.Second)
	// quiet is how long an interface that appears may take until it answers for the first time: ports of
	// switches do, and nothing is on it yet. The first answer ends it (spec 2.5, with 40 s).
	quiet = int64(time.Second)
)

// Tracker keeps what is known about the members of one group, and decides what the kernel does not:
// arming, repair, group failure, and everything that needs no hurry. The zero value is not usable.
type Tracker struct {
	settings  Settings
	instances map[key]*instance
	order     []*instance // by member, then family

	aliveAt     int64 // ns, when some member last answered, or had link where that is all
	begun       bool
	groupFailed bool
}

// NewTracker of a group.
func NewTracker(s Settings) *Tracker {
	t := &Tracker{instances: map[key]*instance{}}
	t.Configure(s)
	return t
}

// Configure changes the settings; what is known stays.
func (t *Tracker) Configure(s Settings) {
	s.Misses = max(s.Misses, 1)
	s.Repair = max(s.Repair, 1)
	if s.Interval == 0 {
		s.Interval = s.DetectionTime / time.Duration(s.Misses+1)
	}
	t.settings = s
}

// Observe judges all the instances of the group, at least every 100 ms and after every event.
// Instances that are not among the samples are forgotten. Findings come in the order in which
// they are to be carried out.
func (t *Tracker) Observe(now int64, samples []Sample) []Finding {
	out := t.take(now, samples)
	out = append(out, t.arm(now)...)
	out = append(out, t.hangs(now)...)
	out = append(out, t.lastResort(now)...)
	out = append(out, t.repairs(now)...)
	out = append(out, t.unknowns(now)...)
	return append(out, t.judgeGroup(now)...)
}

// Verdict records a verdict of the kernel, or any other failure by probes that the caller has
// already carried out.
func (t *Tracker) Verdict(now int64, member int, family Family, both bool) {
	for f := range Family(families) {
		if i := t.instances[key{member, f}]; i != nil && (both || f == family || family == Both) {
			i.fail(now, CauseProbe, "")
		}
	}
}

// Last is EVENT_LAST of the kernel: a member misses its rounds but no other is usable. Where one that
// counts as failed answers, it takes over at once.
func (t *Tracker) Last(now int64, samples []Sample) []Finding {
	return append(t.take(now, samples), t.lastResort(now)...)
}

// Meet an instance that has come since the last Observe, with the link that it had until now: Link has nothing that it
// could record for one that nobody has met. One that is known already is left as it is.
func (t *Tracker) Meet(now int64, s Sample) {
	if t.instances[key{s.Member, s.Family}] == nil {
		t.takeOne(now, s)
		t.sort()
	}
}

// Link records what a member's carrier is (IFLA_CARRIER). Down is a failure of both families.
func (t *Tracker) Link(now int64, member int, up bool) []Finding {
	link := LinkDown
	if up {
		link = LinkUp
	}
	var out []Finding
	for f := range Family(families) {
		if i := t.instances[key{member, f}]; i != nil {
			out = append(out, t.setLink(now, i, link)...)
		}
	}
	return out
}

// take the samples in; carriers that changed are findings.
func (t *Tracker) take(now int64, samples []Sample) (out []Finding) {
	if !t.begun {
		t.begun, t.aliveAt = true, now
	}
	seen := make(map[key]bool, len(samples))
	for _, s := range samples {
		seen[key{s.Member, s.Family}] = true
		out = append(out, t.takeOne(now, s)...)
	}
	for k := range t.instances {
		if !seen[k] {
			delete(t.instances, k)
		}
	}
	t.sort()
	return out
}

func (t *Tracker) takeOne(now int64, s Sample) []Finding {
	k := key{s.Member, s.Family}
	i := t.instances[k]
	if i == nil {
		i = &instance{sample: Sample{Member: s.Member, Family: s.Family, Epoch: s.Epoch}}
		t.instances[k] = i
	}
	link := s.Link
	s.Link = i.sample.Link
	i.take(s)
	return t.setLink(now, i, link)
}

func (t *Tracker) sort() {
	t.order = t.order[:0]
	for _, i := range t.instances {
		t.order = append(t.order, i)
	}
	slices.SortFunc(t.order, func(a, b *instance) int {
		return cmp.Or(cmp.Compare(a.sample.Member, b.sample.Member), cmp.Compare(a.sample.Family, b.sample.Family))
	})
}

// setLink of one instance. The finding is for the member, and comes with the first family only.
func (t *Tracker) setLink(now int64, i *instance, link Link) []Finding {
	old := i.sample.Link
	i.sample.Link = link
	if link == old {
		return nil
	}
	if link == LinkUp && old == LinkDown {
		i.linkUpAt = now
		i.armedFrom = i.sample.Answered
	}
	if link != LinkDown || (i.state == Failed && i.cause == CauseLink) {
		return nil
	}
	last := i.sample.LastReply
	i.fail(now, CauseLink, DetailCarrier)
	if other := t.instances[key{i.sample.Member, 1 - i.sample.Family}]; other != nil && other.cause == CauseLink {
		return nil
	}
	return []Finding{{
		Kind: FindFailed, Member: i.sample.Member, Family: Both, Cause: CauseLink,
		Detail: DetailCarrier, LastReply: last, Why: "no carrier",
	}}
}

// arm sets the limits. A member is armed after `repair` answered rounds in the maps' generation: that
// nothing is acknowledged yet is no verdict. What was missed without a link is no evidence against the
// member once it has one. detection.md section 1.
func (t *Tracker) arm(now int64) (out []Finding) {
	for _, i := range t.order {
		limit := uint32(0)
		i.hopeless = false
		if i.probed() && !i.sample.Disabled && i.sample.Link != LinkDown && !i.comingUp(now) &&
			i.sample.Answered-i.armedFrom >= uint64(t.settings.Repair) {
			n, can := Limit(t.settings.Misses, i.loss(), RoundsPerDay(t.settings.Interval))
			i.hopeless = !can
			limit = uint32(n)
		}
		if limit == i.limit {
			continue
		}
		why := fmt.Sprintf("limit %d at %.1f%% loss", limit, 100*i.loss())
		if limit == 0 {
			why = "disarmed"
		}
		i.limit = limit
		out = append(out, Finding{
			Kind: FindLimit, Member: i.sample.Member, Family: i.sample.Family, Limit: limit, Why: why,
		})
	}
	return out
}

// loss is the instance's share of misses. A share of a few rounds says little: one of two is not
// half of them.
func (i *instance) loss() float64 {
	const enough = 100
	return i.sample.Share * float64(i.sample.Judged) / float64(max(i.sample.Judged, enough))
}

// State is what probes and link say of an instance: the JSON words probe, cause and detail.
func (t *Tracker) State(member int, family Family) (State, Cause, string) {
	i := t.effective(member, family)
	own := t.instances[key{member, family}]
	switch {
	case i == nil:
		return Unknown, CauseNone, ""
	case i.sample.Disabled:
		return Disabled, CauseNone, ""
	case own != nil && own != i && own.targetless() && i.state != Failed:
		return Unknown, CauseNone, "" // usable as the other is, but nobody was asked
	case i.state != Failed && i.sample.Kind == KindLink:
		return Disabled, CauseNone, ""
	default:
		return i.state, i.cause, i.detail
	}
}

// Usable reports whether an instance may carry data: ok, or unknown with link.
func (t *Tracker) Usable(member int, family Family) bool {
	i := t.effective(member, family)
	return i != nil && i.usable()
}

// GroupFailed reports whether the group has failed: nobody answers. Where a member is judged alone, it
// says the same of any of its families.
func (t *Tracker) GroupFailed() bool {
	return t.groupFailed || t.settings.Alone && slices.ContainsFunc(t.order, func(i *instance) bool {
		return i.state == Failed && i.cause == CauseProbe
	})
}

// Limit in effect; 0: not armed.
func (t *Tracker) Limit(member int, family Family) int {
	if i := t.instances[key{member, family}]; i != nil {
		return int(i.limit)
	}
	return 0
}

// Note is the JSON word of that name: what an operator should know about how the instance is judged.
func (t *Tracker) Note(member int, family Family) string {
	i := t.effective(member, family)
	if own := t.instances[key{member, family}]; own != nil && own.targetless() {
		i = own
	}
	if i == nil || i.sample.Disabled {
		return ""
	}
	var notes []string
	if i.probed() && i.sample.Targets == 1 {
		notes = append(notes, "single target")
	}
	if i.sample.Kind == KindARP {
		notes = append(notes, "arp (unauthenticated)")
	}
	if i.targetless() {
		notes = append(notes, "no target")
	}
	if i.hopeless {
		notes = append(notes, "loss too high to judge")
	}
	if i.flapWait {
		notes = append(notes, "repair waits for the flap limit")
	}
	return strings.Join(notes, ", ")
}

// effective instance of a family: one that has no probes, or nobody to send them to, follows the
// member's other family.
func (t *Tracker) effective(member int, family Family) *instance {
	own, other := t.instances[key{member, family}], t.instances[key{member, 1 - family}]
	switch {
	case own == nil:
		return other
	case other == nil || other.sample.Kind == KindNone:
		return own
	case own.sample.Kind == KindNone, own.targetless() && other.asks():
		return other
	}
	return own
}
