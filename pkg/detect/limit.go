// SPDX-License-Identifier: Apache-2.0

package detect

import (
	"math"
	"time"
)

const (
	// window is IPMP_WINDOW; a run of misses must fit into it twice over.
	window = 128
	// falseADay is how many false verdicts random loss may cause in a day: 1 in 1,000 days.
	falsePerDay = 1.0 / 1000
	// hopeless is the share of misses at which probes cannot judge any more.
	hopeless = 0.5
)

// Limit is how many misses in a row make a suspect, for a member that misses share p of its rounds
// anyhow (0 .. 1): max(misses, k), so that random loss makes a false verdict in 1,000 days.
// At half of the probes lost, and where the limit would not fit into the window of rounds, probes
// cannot judge: canJudge is false and the limit 0. detection.md section 1.
func Limit(misses int, p, roundsPerDay float64) (limit int, canJudge bool) {
	if p >= hopeless {
		return 0, false
	}
	limit = misses
	if p > 0 && roundsPerDay > 0 {
		k := math.Ceil(math.Log10(roundsPerDay/falsePerDay) / -math.Log10(p))
		limit = max(limit, int(k))
	}
	if limit > window/2 {
		return 0, false
	}
	return limit, true
}

// RoundsPerDay at an interval.
func RoundsPerDay(interval time.Duration) float64 {
	if interval <= 0 {
		return 0
	}
	return float64(24*time.Hour) / float64(interval)
}

// Achievable is the detection time that loss, round-trip time and this host allow now: limit in
// effect x interval + p99.9 of RTT + p99.9 of the prober's lateness. detection.md section 3.
func Achievable(limit int, interval, rttP999, latenessP999 time.Duration) time.Duration {
	return time.Duration(limit)*interval + rttP999 + latenessP999
}
