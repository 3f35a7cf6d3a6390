// SPDX-License-Identifier: Apache-2.0

package main

import "time"

const (
	// contested is how many repairs of one thing in a row are one too many to be somebody's mistake.
	contested = 3
	// firstPause and lastPause are between two repairs of a thing that is contested.
	firstPause = time.Second
	lastPause  = time.Minute
	// forgiven is how long a repair must have stood for what came before to be forgotten.
	forgiven = time.Minute
)

// contest is the quarrel with somebody else about one thing of ours: an address on an interface, a
// route, a sysctl, the programs of a member. The zero value is none. Times are CLOCK_MONOTONIC ns.
type contest struct {
	repairs int // in a row
	last    int64
	until   int64 // not repaired before
	undone  bool  // by others, since the last repair
}

// word is what there is to say of a repair.
type word uint8

const (
	wordRepaired  word = iota // said each time
	wordContested             // somebody does it again and again: said once
	wordNothing               // and then no more
)

// due says whether the thing, which is not as it should be now, may be repaired now.
func (c *contest) due(now int64) bool {
	if !c.undone {
		c.undone = true
		if c.repairs > 0 && now-c.last >= forgiven.Nanoseconds() {
			*c = contest{undone: true}
		}
	}
	return now >= c.until
}

// right: the thing is as it should be, whoever saw to it.
func (c *contest) right() { c.undone = false }

// repaired counts a repair, and sets the time before which there is no other.
func (c *contest) repaired(now int64) word {
	c.undone, c.last = false, now
	c.repairs++
	if c.repairs < contested {
		return wordRepaired
	}
	pause := lastPause
	if doublings := c.repairs - contested; doublings < 6 {
		pause = min(firstPause<<doublings, lastPause)
	}
	c.until = now + pause.Nanoseconds()
	if c.repairs == contested {
		return wordContested
	}
	return wordNothing
}

// over: nothing of it counts any more.
func (c *contest) over(now int64) bool { return !c.undone && now-c.last >= forgiven.Nanoseconds() }
