// SPDX-License-Identifier: Apache-2.0

package detect

import "time"

// State is the JSON word `probe` of an instance.
type State int

// Probe states (contract section 4).
const (
	Unknown State = iota // no verdict yet, or nothing to judge by
	OK
	Failed
	Disabled
)

// String is the JSON word.
func (s State) String() string {
	switch s {
	case OK:
		return "ok"
	case Failed:
		return "failed"
	case Disabled:
		return "disabled"
	default:
		return "unknown"
	}
}

// Cause is the JSON word `cause` of a failure.
type Cause string

// Causes that detection knows.
const (
	CauseNone  Cause = ""
	CauseProbe Cause = "probe"
	CauseLink  Cause = "link"
)

// Details of a failure: the JSON word `detail`.
const (
	DetailCarrier = "carrier"
	DetailTxHang  = "tx-hang"
	DetailSilent  = "silent" // nobody answers: elapsed time, nothing to compare with
	DetailLast    = "last"   // the last usable member misses what a failed one answers
)

// FindingKind says what a Finding is about.
type FindingKind int

// Kinds of findings. Who reads them:
const (
	// FindLimit: write Limit to the instance (Member, Family); 0 disarms it.
	FindLimit FindingKind = iota + 1
	// FindAnswering: an unknown instance answers its probes, it is ok now. Its usability is as before.
	FindAnswering
	// FindFailed: the instance is not usable from now on. Family Both: link loss, tx-hang.
	FindFailed
	// FindRepaired: the instance is usable again.
	FindRepaired
	// FindGroupFailed: no member answers, or none has link. All its members count as failed;
	// nothing moves.
	FindGroupFailed
	// FindGroupRepaired: at least one member is usable again; its own finding came before.
	FindGroupRepaired
	// FindUnknown: an instance that was ok has had no target for a while: there is nothing to judge it
	// by. Its usability is as before.
	FindUnknown
	// FindWaits: the instance is good again, and only the flap limit keeps it from being repaired; told
	// once for each failure.
	FindWaits
)

// Finding is one decision of a Tracker, with its reason. Family is Both where the member's other
// family has no probes and follows.
type Finding struct {
	Kind   FindingKind
	Member int // number; -1: the group
	Family Family
	Limit  uint32 // FindLimit
	Cause  Cause
	Detail string
	// LastReply is the last good reply before the failure, 0 where there was none. ns.
	LastReply int64
	// Why is for the log.
	Why string
}

// Settings of a group, from its configuration.
type Settings struct {
	DetectionTime time.Duration
	Misses        int           // 1 .. 50
	Repair        int           // 1 .. 10000 answered rounds
	HoldDown      time.Duration // good for at least this long
	FlapLimit     int           // repairs a minute; 0: no limit
	Interval      time.Duration // of the rounds, as adapted now; 0: DetectionTime / (Misses + 1)
	// Alone: the one member is an interface that is in no group, and is judged for itself.
	Alone bool
}
