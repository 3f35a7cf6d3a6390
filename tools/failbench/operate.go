// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"time"

	"github.com/ipmpd/ipmpd/test/lab/faults"
	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// reporter is a contender that says which detection time it can hold now, ns.
type reporter interface {
	Reported() (int64, error)
}

// operated is a contender whose operator takes a member out of service and puts it back.
type operated interface {
	Offline(member string) error
	Online(member string) error
}

// mortal is a contender with a daemon that can be killed and started again.
type mortal interface {
	Kill() error
	Restart() error
}

// firstLost loses the first announcements of each failover at the switch, all that come within 5 ms.
type firstLost struct{ cut }

func (f *firstLost) Strike(a *arena) (result.Sample, error) {
	for _, m := range a.others() {
		if err := m.Port.Set(faults.Burst(faults.From, faults.Announcement(), 5*time.Millisecond)); err != nil {
			return result.Sample{}, err
		}
	}
	return a.fail(func() (int64, error) { return silent(a, a.active) })
}

// flap pulls the active member's cable and plugs it in again, five times.
type flap struct{ cut }

func (f *flap) Strike(a *arena) (result.Sample, error) {
	m := a.active
	return a.fail(func() (int64, error) {
		first, err := carrier(a, m)
		for i := 0; i < 5 && err == nil; i++ {
			if i > 0 {
				_, err = carrier(a, m)
			}
			if err == nil {
				err = a.pause(50 * time.Millisecond)
			}
			if err == nil {
				err = m.Repair()
			}
			if err == nil {
				err = a.pause(50 * time.Millisecond)
			}
		}
		return first, err
	})
}

// planned takes the active member out of service. Going back is the sample's reversion.
type planned struct {
	cut
	member string
}

func (p *planned) Strike(a *arena) (result.Sample, error) {
	o, ok := a.contender.(operated)
	if !ok {
		return result.Sample{}, errors.New("no command takes one of its members out of service")
	}
	p.member = a.active.Name
	return a.fail(func() (int64, error) {
		at := faults.Now()
		return at, o.Offline(p.member)
	})
}

func (p *planned) Clear(a *arena) error {
	o, ok := a.contender.(operated)
	if !ok {
		return nil
	}
	return o.Online(p.member)
}

// killed ends the daemon as a crash does, cuts, and starts it again.
type killed struct{ cut }

func (k *killed) Strike(a *arena) (result.Sample, error) {
	d, ok := a.contender.(mortal)
	if !ok {
		return result.Sample{}, errors.New("it has no daemon that could be killed")
	}
	if err := d.Kill(); err != nil {
		return result.Sample{}, err
	}
	var early bool
	var back int64
	s, err := a.fail(func() (int64, error) {
		at, err := silent(a, a.active)
		if err == nil {
			err = a.pause(100 * time.Millisecond)
		}
		if err == nil {
			early, err = a.moved()
		}
		back = faults.Now() - at
		return at, errors.Join(err, d.Restart())
	})
	if err == nil && early {
		err = errors.New("something moved while the daemon was dead")
	}
	s.Events = append(s.Events, result.Event{Name: "daemon started again", After: back})
	return s, err
}
