// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/detect/probe"
	"github.com/ipmpd/ipmpd/pkg/realtime"
)

// confirm is for kernels that refuse bpf_timer (PREEMPT_RT): it confirms suspicions once a round,
// on a real-time thread, for the case that no further answered round comes to do it
// (detection.md section 2). With timers it has nothing to do.
func (d *daemon) confirm(ctx context.Context) error {
	if d.objects.Timer {
		<-ctx.Done()
		return nil
	}
	instances := d.objects.Instances()
	return probe.RealtimeThread(d.realtime, d.warn, func() error {
		for ctx.Err() == nil {
			pace := d.engine.pace.Load()
			if err := realtime.Wait(-1, -1, pace.interval.Nanoseconds()); err != nil {
				return fmt.Errorf("wait for the next round: %w", err)
			}
			for i := range instances[:pace.instances] {
				if atomic.LoadUint32(&instances[i].Suspect) == 0 {
					continue
				}
				if err := d.objects.Confirm(i); err != nil {
					d.log.Error("a suspicion was not confirmed", "error", err)
				}
			}
		}
		return nil
	})
}

// pace at which suspicions are confirmed: the fastest group's, and how many instances there are.
type pace struct {
	interval  time.Duration
	instances int
}

func (e *engine) setPace() {
	p := &pace{interval: mostTick}
	for _, u := range e.units {
		p.interval = min(p.interval, u.cfg.Interval())
		for _, m := range u.members {
			p.instances = max(p.instances, bpf.InstanceNumber(m.number+1, 0))
		}
	}
	e.pace.Store(p)
}
