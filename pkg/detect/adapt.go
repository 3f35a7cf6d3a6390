// SPDX-License-Identifier: Apache-2.0

package detect

import "time"

const (
	overloadShare  = 0.5 // of rounds begun late: fewer cost less than rounds twice as long
	overloadWindow = int64(time.Second)
	overloadRounds = 10 // at least that many, whatever the window
	mostFactor     = 64

	calm      = int64(time.Minute)      // without overload, before the rounds are made faster
	calmShort = int64(10 * time.Second) // the same below shortInterval
	short     = 10 * time.Millisecond

	mostPoliced = 8                       // times slower for a policer
	policedRest = int64(10 * time.Minute) // before another rate is tried
	policedGain = 0.5                     // loss must fall below this share of what it was
	policedWait = 1000                    // rounds, before the gain is looked at
)

// AdaptEvent says why an interval changed, or would.
type AdaptEvent string

// Events of Adapt; the last word is that of the contract.
const (
	AdaptNone     AdaptEvent = ""
	AdaptOverload AdaptEvent = "overload"       // more than half of the rounds late over 1 s
	AdaptFaster   AdaptEvent = "faster"         // calm again
	AdaptPoliced  AdaptEvent = "target-policed" // slower rounds are lost less
)

// Load is what Adapt looks at: counters of probe.TrackSnapshot, and the loss of PolicedShare. One
// long stall (a virtual machine that does not run) leaves out many ticks but is one late round: no
// interval would have helped against it.
type Load struct {
	Rounds, Late uint64  // begun, and begun so late that ticks were left out; ever growing
	Policed      float64 // 0: not policed
}

// Adapt lengthens the rounds of one track while the prober cannot hold them, and no longer than
// that. detection.md section 3.
type Adapt struct {
	// Configured interval; Enabled false (`adapt: false`) says what would be done and does nothing.
	Configured time.Duration
	Enabled    bool

	overload        int // factor, 0 is 1
	since           int64
	rounds, late    uint64
	calmSince       int64
	policed         int // factor, 0 is 1
	policedBefore   float64
	policedUntil    int64 // when the rate on trial is judged
	policedKeptTill int64 // no trial before
	trial           bool
}

// Interval in effect.
func (a *Adapt) Interval() time.Duration {
	if !a.Enabled {
		return a.Configured
	}
	return a.Configured * time.Duration(max(a.overload, 1)*max(a.policed, 1))
}

// Observe the load at now (ns), at least once a second. An event that is not AdaptNone is to be
// reported. Interval may have changed in any case: rates on trial are no event.
func (a *Adapt) Observe(now int64, l Load) AdaptEvent {
	if ev := a.observeOverload(now, l); ev != AdaptNone {
		return ev
	}
	return a.observePolicing(now, l.Policed)
}

func (a *Adapt) observeOverload(now int64, l Load) AdaptEvent {
	if a.since == 0 || l.Rounds < a.rounds || l.Late < a.late {
		a.restart(now, l)
		a.calmSince = now
		return AdaptNone
	}
	rounds, late := l.Rounds-a.rounds, l.Late-a.late
	if now-a.since < overloadWindow || rounds < overloadRounds {
		return AdaptNone
	}
	a.restart(now, l)
	factor := max(a.overload, 1)
	if float64(late) > overloadShare*float64(rounds) {
		a.calmSince = now
		if factor >= mostFactor {
			return AdaptNone
		}
		if a.Enabled {
			a.overload = 2 * factor
		}
		return AdaptOverload
	}
	rest := calm
	if a.Interval() < short {
		rest = calmShort
	}
	if factor == 1 || now-a.calmSince < rest {
		return AdaptNone
	}
	a.calmSince = now
	a.overload = factor / 2
	return AdaptFaster
}

func (a *Adapt) restart(now int64, l Load) {
	a.since, a.rounds, a.late = now, l.Rounds, l.Late
}

// observePolicing tries slower rounds where all members lose the same share. If fewer are lost then,
// it was a policer and the rate stays; else it was loss, and slower rounds would only detect later.
func (a *Adapt) observePolicing(now int64, share float64) AdaptEvent {
	if !a.Enabled || now < a.policedUntil {
		return AdaptNone
	}
	factor := max(a.policed, 1)
	switch {
	case a.trial && share < policedGain*a.policedBefore:
		a.trial = false
		a.policedKeptTill = now + policedRest
		return AdaptPoliced
	case a.trial && factor < mostPoliced:
		a.try(now, 2*factor)
	case a.trial:
		a.trial, a.policed = false, 0
		a.policedKeptTill = now + policedRest
		return AdaptFaster
	case share > 0 && now >= a.policedKeptTill && factor < mostPoliced:
		a.trial, a.policedBefore = true, share
		a.try(now, 2*factor)
	case share == 0 && factor > 1 && now >= a.policedKeptTill:
		a.policed = factor / 2
		a.policedUntil = now + policedWait*a.Interval().Nanoseconds()
		return AdaptFaster
	}
	return AdaptNone
}

func (a *Adapt) try(now int64, factor int) {
	a.policed = factor
	a.policedUntil = now + policedWait*a.Interval().Nanoseconds()
}

// PolicedShare is the share that all members of one track lose alike, or 0: steady loss at one rate
// on all of them is a policer at the target or on the way to it, not a failure.
func PolicedShare(samples []Sample) float64 {
	const (
		least  = 0.05 // of rounds
		spread = 0.3  // of the mean, between the members
		enough = 900  // rounds
	)
	low, high, sum, n := 1.0, 0.0, 0.0, 0
	for _, s := range samples {
		if s.Disabled || s.Link == LinkDown || (s.Kind != KindICMP && s.Kind != KindARP) {
			continue
		}
		if s.Judged < enough {
			return 0
		}
		low, high, sum, n = min(low, s.Share), max(high, s.Share), sum+s.Share, n+1
	}
	if n < 2 || low < least || high-low > spread*sum/float64(n) {
		return 0
	}
	return sum / float64(n)
}
