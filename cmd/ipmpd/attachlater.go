// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"
)

const (
	// attachFirst is how many members get their programs before addresses are placed, and attachFor
	// how long others do beyond them. The kernel takes two grace periods for each (20 ms and more), with
	// its configuration locked; those of a former run, which are there already, cost next to nothing.
	attachFirst = 8
	attachFor   = 200 * time.Millisecond
)

// attachAll puts the programs on all members, as long as there is time. The others wait: they are
// watched by their links, and carry what the group gives them, as those do that cannot have any. It
// returns whether there are such.
func (e *engine) attachAll() (blind bool) {
	from, n := time.Now(), 0
	for _, u := range e.units {
		for _, m := range u.members {
			switch {
			case m.ifindex == 0:
			case n < attachFirst || time.Since(from) < attachFor:
				e.attach(u, m)
				n++
			default:
				m.waits = true
				e.waiting = append(e.waiting, m)
			}
			blind = blind || m.blind()
		}
	}
	return blind
}

// always is a channel that has something to say.
var always = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// attaching says, by a channel, whether members wait for their programs.
func (e *engine) attaching() <-chan struct{} {
	if len(e.waiting) == 0 {
		return nil
	}
	return always
}

// attachNext of those that wait, if the configuration still has it.
func (e *engine) attachNext() {
	m := e.waiting[0]
	e.waiting = e.waiting[1:]
	u, is := e.findName(m.cfg.Name)
	if is != m || !m.waits {
		return
	}
	if m.attachment == nil && m.ifindex != 0 {
		e.attach(u, m)
	}
	m.waits = false
	for _, other := range u.members {
		if other.waits {
			return
		}
	}
	// Rounds begin, and peers that asked before the programs were there are told again.
	e.updateProbing()
	e.announcer.Announce(e.announcements(u, translated(e.watcher.Snapshot()), u.nowhere(), u.placed())...)
	if len(e.waiting) == 0 {
		e.log.Info("all members have their programs")
	}
}

// nowhere is a placement of nothing.
func (u *unit) nowhere() []int {
	list := make([]int, len(u.cfg.Addresses))
	for i := range list {
		list[i] = -1
	}
	return list
}
