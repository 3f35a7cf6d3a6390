// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// scenario is what happens to a contender that is ready. One value serves one arena.
type scenario interface {
	// Prepare what lasts over all failures: load, bulk traffic.
	Prepare(a *arena) error
	// Strike once, with all traffic on a.active, and judge.
	Strike(a *arena) (result.Sample, error)
	// Clear what Strike did; the arena then waits until all is as before.
	Clear(a *arena) error
	// Finish ends what Prepare began.
	Finish(a *arena) error
}

// scene is a scenario that may be played.
type scene struct {
	Name  string // in the cells' names
	Title string
	Right string // the right answer
	// Silent: what looks at the carrier only does not find it.
	Silent bool
	// Basic: every contender plays it; the others are for those that are entrant.Full.
	Basic bool
	// Stays: the right answer is that nothing moves.
	Stays bool
	// Cost: what it takes while nothing happens.
	Cost bool
	// Long: a sample takes seconds.
	Long bool
	// Minutes: a sample takes one.
	Minutes bool
	// Kills the contender's daemon.
	Kills bool
	Stage stage
	New   func() scenario
}

// scenes are all scenarios, in the order of the report.
func scenes() []scene {
	const fails, stays = "the traffic goes on over another member", "nothing moves"
	list := []scene{
		{Name: "carrier", Title: "carrier cut", Right: fails, Basic: true, New: cutting(carrier)},
		{Name: "silent", Title: "silent cut both ways", Right: fails, Basic: true, Silent: true, New: cutting(silent)},
		{Name: "silent-tx", Title: "silent cut, transmit only", Right: fails, Basic: true, Silent: true, New: cutting(silentTx)},
		{Name: "cost", Title: "what it costs while nothing happens", Right: stays, Basic: true, Stays: true, Cost: true, New: func() scenario { return &cost{} }},
		{Name: "silent-rx", Title: "silent cut, receive only", Right: fails, Silent: true, New: cutting(silentRx)},
		{Name: "second", Title: "a second carrier cut within a second", Right: fails, Stage: stage{members: 3}, New: func() scenario { return &second{} }},
		{Name: "bulk", Title: "silent cut under bulk traffic (iperf3 both ways)", Right: fails, Silent: true, New: func() scenario { return &bulk{cut: cut{how: silent}} }},
		{Name: "busy", Title: "silent cut with two busy loops for each processor", Right: fails, Silent: true, New: func() scenario { return &busy{cut: cut{how: silent}} }},
	}
	for _, n := range []int{100, 1000} {
		list = append(list, scene{Name: fmt.Sprintf("addresses-%d", n), Title: fmt.Sprintf("silent cut with %d addresses", n), Right: fails, Silent: true,
			Stage: stage{addresses: n - 1}, New: cutting(silent)})
	}
	list = append(list,
		scene{Name: "routes-10000", Title: "silent cut with 10,000 routes", Right: fails, Silent: true, Stage: stage{routes: 10000}, New: cutting(silent)},
		scene{Name: "switch", Title: "a switch dies: two of four members lose their carrier", Right: fails, Stage: stage{members: 4}, New: cutting(several(carrier, pull))},
		scene{Name: "switch-silent", Title: "a switch goes on in silence: two of four members", Right: fails, Silent: true, Stage: stage{members: 4}, New: cutting(several(silent, silence))},
		scene{Name: "target-dies", Title: "the target dies for half a second", Right: stays, Stays: true, New: watching(targetDies)},
	)
	for _, d := range []time.Duration{5 * time.Millisecond, 50 * time.Millisecond, 500 * time.Millisecond} {
		list = append(list, scene{Name: "stall-" + d.String(), Title: fmt.Sprintf("the target stalls for %s", d), Right: stays, Stays: true, Long: true,
			Stage: stage{stall: true}, New: watching(stall(d))})
	}
	for _, percent := range []int{1, 10} {
		name := fmt.Sprintf("loss-all-%d", percent)
		list = append(list, scene{Name: name, Stage: stage{own: name}, Title: fmt.Sprintf("%d %% random loss on all members for a second", percent),
			Right: "nothing moves, and the longer time that can be held is told", Stays: true, Long: true, New: watching(lossOnAll(percent))})
	}
	for _, percent := range []int{5, 10, 20, 50, 80, 95} {
		name := fmt.Sprintf("loss-one-%d", percent)
		list = append(list, scene{Name: name, Stage: stage{own: name}, Title: fmt.Sprintf("%d %% random loss on the active member for a second", percent),
			Right: "told is from which loss on the traffic moves", Stays: true, Long: true, New: watching(lossOnOne(percent))})
	}
	return append(list,
		scene{Name: "first-lost", Title: "silent cut, the first announcements of the failover are lost", Right: fails, Silent: true, New: func() scenario { return &firstLost{} }},
		scene{Name: "flap", Title: "a link that flaps: five carrier cuts of 50 ms in half a second", Right: fails + ", and stays there until the link is quiet", New: func() scenario { return &flap{} }},
		scene{Name: "planned", Title: "offline and online by the operator", Right: "no packet is lost", New: func() scenario { return &planned{} }},
		scene{Name: "killed", Title: "the daemon is killed, the link fails, the daemon is started again 100 ms later", Kills: true,
			Right: "nothing moves until it is back; then as fast as ever", Silent: true, New: func() scenario { return &killed{} }},
		scene{Name: "idle", Title: "a quiet minute", Right: stays, Stays: true, Minutes: true, New: quietMinute},
		scene{Name: "loaded", Title: "a minute with two busy loops for each processor", Right: stays, Stays: true, Minutes: true, New: func() scenario { return &loadedMinute{watch: minute()} }},
	)
}
