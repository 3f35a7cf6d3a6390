// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
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
	Stage stage
	New   func() scenario
}

// scenes are all scenarios, in the order of the report.
func scenes() []scene {
	const fails = "the traffic goes on over another member"
	return []scene{
		{Name: "carrier", Title: "carrier cut", Right: fails, Basic: true, New: cutting(carrier)},
		{Name: "silent", Title: "silent cut both ways", Right: fails, Basic: true, Silent: true, New: cutting(silent)},
		{Name: "silent-tx", Title: "silent cut, transmit only", Right: fails, Basic: true, Silent: true, New: cutting(silentTx)},
		{Name: "silent-rx", Title: "silent cut, receive only", Right: fails, Silent: true, New: cutting(silentRx)},
	}
}

// cut is a member that fails.
type cut struct {
	how func(a *arena, m *lab.Member) (int64, error)
}

func cutting(how func(a *arena, m *lab.Member) (int64, error)) func() scenario {
	return func() scenario { return &cut{how} }
}

func (c *cut) Prepare(*arena) error { return nil }

func (c *cut) Strike(a *arena) (result.Sample, error) {
	return a.fail(func() (int64, error) { return c.how(a, a.active) })
}

func (c *cut) Clear(a *arena) error { return repairAll(a) }

func (c *cut) Finish(*arena) error { return nil }

func repairAll(a *arena) error {
	for _, m := range a.Members {
		if err := m.Repair(); err != nil {
			return err
		}
	}
	return nil
}

// carrier pulls the cable. The kernel may take its time before the port is down: the moment is that of the
// last frame that passed.
func carrier(_ *arena, m *lab.Member) (int64, error) {
	asked, err := m.CutCarrier()
	if err != nil {
		return 0, err
	}
	c, err := m.Port.Count(faults.From, faults.All)
	return max(asked, c.Last), err
}

func silent(a *arena, m *lab.Member) (int64, error) {
	return dropping(a, m, faults.Both(faults.Drop, faults.Any())...)
}

// silentTx loses what the host sends, silentRx what it should receive.
func silentTx(a *arena, m *lab.Member) (int64, error) {
	return dropping(a, m, faults.Drop(faults.From, faults.Any()))
}

func silentRx(a *arena, m *lab.Member) (int64, error) {
	return dropping(a, m, faults.Drop(faults.To, faults.Any()))
}

// dropping sets rules and tells when the first frame was dropped.
func dropping(a *arena, m *lab.Member, rules ...faults.Rule) (at int64, err error) {
	if err := m.Port.Set(rules...); err != nil {
		return 0, err
	}
	if err := a.wait("the first frame dropped", time.Second, func() (bool, error) {
		at, err = m.Port.CutAt()
		return at != 0, err
	}); err != nil {
		return 0, fmt.Errorf("the cut was not seen: %w", err)
	}
	return at, nil
}
