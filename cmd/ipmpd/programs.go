// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/detect"
)

const (
	// lookEvery is how often all programs are looked for: the kernel does not tell when somebody
	// takes them off, and an egress program is missed only when it is needed.
	lookEvery = 10 * time.Second
)

// attachmentLook is what is known of a member's programs.
type attachmentLook struct {
	at      int64 // last looked at, CLOCK_MONOTONIC ns
	contest contest
}

// lookAtPrograms puts programs that somebody has taken off a member on again: at once where the
// member does not answer, as its replies are not seen then, else within lookEvery.
func (e *engine) lookAtPrograms(u *unit, now int64, samples []detect.Sample) {
	for i, m := range u.members {
		if m.attachment == nil || m.ifindex == 0 {
			continue
		}
		silent := false
		for f := range bpf.Families {
			s := &samples[i*bpf.Families+f]
			silent = silent || u.probed(m)[f] && !s.Disabled && s.Answering == 0
		}
		if silent || now-m.looked.at >= lookEvery.Nanoseconds() {
			e.lookAtProgramsOf(u, m, now)
		}
	}
}

// lookAtProgramsOf a member now: it costs two questions to the kernel.
func (e *engine) lookAtProgramsOf(u *unit, m *member, now int64) {
	if m.attachment == nil || m.ifindex == 0 {
		return
	}
	m.looked.at = now
	switch {
	case m.attachment.Attached():
		m.looked.contest.right()
	case m.looked.contest.due(now):
		e.reattach(u, m, now)
	}
}

func (e *engine) reattach(u *unit, m *member, now int64) {
	err := e.objects.Restore(m.attachment)
	if errors.Is(err, unix.ENODEV) {
		return // the interface is gone, as will be heard
	}
	said := m.looked.contest.repaired(now)
	ev := control.Event{Event: control.EventDriftRepaired, Group: u.cfg.Name, Interface: m.cfg.Name,
		Detail: "somebody took the programs off; they are on again"}
	switch {
	case said == wordNothing:
		return
	case err != nil:
		ev.Event, ev.Detail = control.EventStepFailed, "somebody took the programs off: "+err.Error()
	case said == wordContested:
		ev.Event = control.EventStepFailed
		ev.Detail = "somebody takes the programs off again and again; they are put on again at growing pauses, up to a minute; find out who: `bpftool net`"
	}
	e.event(ev)
}
