// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/ipmpd/ipmpd/pkg/netstate"
)

const (
	// settle is how long changes of the host are collected before they are looked at.
	settle = 2 * time.Millisecond
	// After a look, neighbours alone bring the next one when so many times its length have passed, or that time: a
	// machine that stood still meanwhile is no reason to look away for long.
	neighborShare = 9
	longestRest   = time.Second
)

// gathering says when the host is looked at. Changes come in crowds, not least those that we make ourselves. What is
// known of neighbours only prepares for a failure, and each of thousands changes its state every few seconds: they
// may not take more than a tenth of the engine's time.
type gathering struct {
	due  <-chan time.Time // nil: nothing has changed
	at   time.Time
	rest time.Time // for neighbours not before
}

// heard of a change.
func (g *gathering) heard(c netstate.Change, now time.Time) {
	at := now.Add(settle)
	if c&^netstate.Neighbors == 0 && g.rest.After(at) {
		at = g.rest
	}
	if g.due == nil || at.Before(g.at) {
		g.at, g.due = at, time.After(at.Sub(now))
	}
}

// looked from then until now: all that was heard of is known.
func (g *gathering) looked(begun, now time.Time) {
	g.due, g.rest = nil, now.Add(min(neighborShare*now.Sub(begun), longestRest))
}
