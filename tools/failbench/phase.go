// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// How long a failure goes unnoticed depends on where between two rounds it happens. Failures at moments of chance
// would make a median of twelve uncertain by a tenth of a round, and differ after a change that has nothing to do
// with it. So they are spread evenly: the k-th comes at the fraction k * 0.618… of a round, counted from a moment
// that is the same for all. Wherever the contender's rounds begin, its failures then lie evenly among them.

// phase of the k-th failure in an interval.
func phase(k int, interval time.Duration) time.Duration {
	_, fraction := math.Modf(float64(k) * (math.Sqrt(5) - 1) / 2)
	return time.Duration(fraction * float64(interval))
}

// atPhase is the first moment from now on, CLOCK_MONOTONIC ns, that is a phase of an interval.
func atPhase(now int64, phase, interval time.Duration) int64 {
	at := now - now%int64(interval) + int64(phase)
	if at < now {
		at += int64(interval)
	}
	return at
}

// spread waits for the moment of the next failure. A contender without rounds has none to wait for.
func (a *arena) spread() error {
	interval := a.entrant.Interval
	if interval == 0 {
		return nil
	}
	// What an ordinary sleep may be late by would draw all failures to the next interrupt, which is the prober's.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("timer slack: %w", err)
	}
	const soon = int64(200 * time.Microsecond) // to get there in time
	at := unix.NsecToTimespec(atPhase(faults.Now()+soon, phase(a.failures, interval), interval))
	a.failures++
	for {
		if err := unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &at, nil); err != unix.EINTR {
			return err
		}
	}
}
