// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/ipmpd/ipmpd/test/lab/faults"
	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// detector is a contender that moves no traffic (entrant.Detects): it finds out.
type detector interface {
	// Down is when the end that sends inbound traffic, and the host's, first said after a moment that the
	// other one is gone, CLOCK_MONOTONIC ns; 0: not yet.
	Down(after int64) (inbound, outbound int64)
}

// detect makes the event happen and waits until both ends have found out. One that says nothing, as a host
// without carrier cannot, is not measured; when neither does, the event is unrecovered.
func (a *arena) detect(d detector, event event) (result.Sample, error) {
	s := a.sample()
	at, err := event()
	if err != nil {
		return s, err
	}
	// The first is waited for long, the second then as long again.
	first := a.wait("either end to find out", a.patience, func() (bool, error) {
		in, out := d.Down(at)
		return in != 0 || out != 0, nil
	})
	if a.ctx.Err() != nil {
		return s, a.ctx.Err()
	}
	if first != nil {
		s.Unrecovered, s.Patience = true, int64(a.patience)
	} else {
		_ = a.wait("the other one", time.Second, func() (bool, error) { // it need not
			in, out := d.Down(at)
			return in != 0 && out != 0, nil
		})
	}
	end := faults.Now()
	in, out := d.Down(at)
	s.Inbound, s.Outbound = found(in, at), found(out, at)
	s.Reference = flowOf(a.reference, at, end)
	return s, a.ctx.Err()
}

// found is the detection time as a gap without packets.
func found(down, at int64) *result.Flow {
	if down == 0 {
		return nil
	}
	return &result.Flow{Gap: down - at, End: down - at}
}
