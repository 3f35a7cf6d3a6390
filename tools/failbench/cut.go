// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// cut is a member that fails.
type cut struct {
	how func(a *arena, m *lab.Member) (int64, error)
}

func cutting(how func(a *arena, m *lab.Member) (int64, error)) func() scenario {
	return func() scenario { return &cut{how} }
}

func (*cut) Prepare(*arena) error { return nil }

func (c *cut) Strike(a *arena) (result.Sample, error) {
	return a.fail(func() (int64, error) { return c.how(a, a.active) })
}

func (*cut) Clear(a *arena) error { return repairAll(a) }

func (*cut) Finish(*arena) error { return nil }

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

// several members fail at once, the one with the traffic first. The moment is that of the first; what another one
// does may be nothing, so that no frame of its is dropped.
func several(how func(*arena, *lab.Member) (int64, error), too func(*lab.Member) error) func(*arena, *lab.Member) (int64, error) {
	return func(a *arena, m *lab.Member) (int64, error) {
		at, err := how(a, m)
		if err != nil {
			return 0, err
		}
		return at, too(a.others()[0])
	}
}

func pull(m *lab.Member) error {
	_, err := m.CutCarrier()
	return err
}

func silence(m *lab.Member) error {
	return m.Port.Set(faults.Both(faults.Drop, faults.Any())...)
}
