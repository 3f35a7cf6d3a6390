// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/detect"
	"github.com/ipmpd/ipmpd/pkg/detect/probe"
)

// probes is a control.ProbeSource: what the prober tells, in the form of the wire. The engine has no
// part in it.
func probes(p *probe.Prober) control.ProbeSource {
	return func(ctx context.Context, f func(control.Probe) error) error {
		w := p.Watch()
		defer p.Unwatch(w)
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case o := <-w.C:
				if err := f(probeOf(&o, time.Now(), monotonic())); err != nil {
					return err
				}
				if lost := w.Lost(); lost > 0 {
					if err := f(control.Probe{Time: time.Now(), State: control.ProbeGap, Lost: lost}); err != nil {
						return err
					}
				}
			}
		}
	}
}

// probeOf an outcome; clock and now are the same moment.
func probeOf(o *probe.Outcome, now time.Time, clock int64) control.Probe {
	p := control.Probe{
		Time: now.Add(time.Duration(o.BegunNs - clock)), Group: o.Group, Interface: o.Name,
		Family: detect.Family(o.Track % bpf.Families).String(), Probe: o.Round, State: control.ProbeLost,
		RTTAvgNS: known(o.Average), RTTDevNS: known(o.Deviation),
	}
	if o.Target.IsValid() {
		p.Target = o.Target.String()
	}
	if o.Acked {
		p.State, p.RTTNS = control.ProbeAcked, new(o.RTT.Nanoseconds())
	}
	return p
}

// known is nil for what has not been measured.
func known(d time.Duration) *int64 {
	if d == 0 {
		return nil
	}
	return new(d.Nanoseconds())
}
