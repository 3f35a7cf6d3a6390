// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/ipmpd/ipmpd/test/lab/faults"
	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// watch something that should move nothing.
type watch struct {
	do    func(a *arena) error
	times int // in a row, judged each for itself, as the flows' logs hold 26 s; 0 means once
}

func watching(do func(a *arena) error) func() scenario {
	return func() scenario { return &watch{do: do} }
}

// minute in which nothing is done.
func minute() watch {
	return watch{do: func(a *arena) error { return a.pause(20 * time.Second) }, times: 3}
}

func quietMinute() scenario {
	w := minute()
	return &w
}

func (*watch) Prepare(*arena) error { return nil }

// Strike does it, as often as is asked for, and judges.
func (w *watch) Strike(a *arena) (result.Sample, error) {
	whole := a.sample()
	if err := a.arm(); err != nil {
		return whole, err
	}
	for i := range max(w.times, 1) {
		s, err := w.once(a)
		if err != nil {
			return whole, err
		}
		if i == 0 {
			whole = s
		} else {
			whole.Add(&s)
		}
	}
	return whole, nil
}

// once does it and judges until 200 ms after it has ended.
func (w *watch) once(a *arena) (result.Sample, error) {
	s := a.sample()
	at := faults.Now()
	if err := w.do(a); err != nil {
		return s, err
	}
	if r, ok := a.contender.(reporter); ok {
		var err error
		if s.Reported, err = r.Reported(); err != nil {
			return s, err
		}
	}
	end := faults.Now() + int64(200*time.Millisecond)
	err := a.judge(&s, at, end)
	if d, ok := a.contender.(detector); ok {
		if in, out := d.Down(at); in != 0 || out != 0 {
			s.Moves++ // it has taken the other end for gone
		}
	}
	s.Reference = nil // the router, to which that flow goes, may be what was struck
	return s, err
}

func (*watch) Clear(a *arena) error {
	if err := a.RouterPort.Heal(); err != nil {
		return err
	}
	return repairAll(a)
}

func (*watch) Finish(*arena) error { return nil }

// pause until a moment passes, or the run ends.
func (a *arena) pause(d time.Duration) error {
	select {
	case <-a.ctx.Done():
		return a.ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func targetDies(a *arena) error {
	if err := a.RouterPort.Cut(); err != nil {
		return err
	}
	if err := a.pause(500 * time.Millisecond); err != nil {
		return err
	}
	return a.RouterPort.Heal()
}

func stall(d time.Duration) func(*arena) error {
	return func(a *arena) error { return a.Stall(d) }
}

// lossFor is how long frames are lost by chance: a thousand rounds of the slower contender.
const lossFor = time.Second

func lossOnAll(percent int) func(*arena) error {
	return func(a *arena) error {
		for _, m := range a.Members {
			if err := m.Port.Set(faults.Both(lossOf(percent), faults.Any())...); err != nil {
				return err
			}
		}
		return a.pause(lossFor)
	}
}

// lossOnOne ends when the traffic has moved.
func lossOnOne(percent int) func(*arena) error {
	return func(a *arena) error {
		if err := a.active.Port.Set(faults.Both(lossOf(percent), faults.Any())...); err != nil {
			return err
		}
		end := faults.Now() + int64(lossFor)
		return a.wait("a move, or the end of the loss", 2*lossFor, func() (bool, error) {
			moved, err := a.moved()
			return moved || faults.Now() > end, err
		})
	}
}

func lossOf(percent int) func(faults.Direction, faults.Match) faults.Rule {
	return func(d faults.Direction, m faults.Match) faults.Rule {
		return faults.Random(d, m, float64(percent)/100)
	}
}

// loadedMinute is one with all processors busy.
type loadedMinute struct {
	watch
	loops []*process
}

func (l *loadedMinute) Prepare(a *arena) (err error) {
	l.loops, err = burners(a.Dir)
	return err
}

func (l *loadedMinute) Finish(*arena) error { return stopAll(l.loops) }
