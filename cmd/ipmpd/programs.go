// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/detect"
)

const (
	// lookEvery is how often all programs are looked for: the kernel does not tell when somebody
	// takes them off, and an egress program is missed only when it is needed.
	lookEvery = 10 * time.Second
	// firstReattach and lastReattach are the pauses between two attempts against somebody who takes
	// them off again and again.
	firstReattach = time.Second
	lastReattach  = time.Minute
	// contested is how many repairs in a row are one too many to be somebody's mistake.
	contested = 3
)

// attachmentLook is what is known of a member's programs, in CLOCK_MONOTONIC ns.
type attachmentLook struct {
	at       int64 // last looked at
	repaired int64 // last attached again
	pause    time.Duration
	repairs  int // in a row
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
		look := &m.looked
		if (!silent && now-look.at < lookEvery.Nanoseconds()) || now-look.repaired < look.pause.Nanoseconds() {
			continue
		}
		look.at = now
		if m.attachment.Attached() {
			if now-look.repaired > lastReattach.Nanoseconds() {
				look.repairs, look.pause = 0, 0
			}
			continue
		}
		e.reattach(u, m, now)
	}
}

func (e *engine) reattach(u *unit, m *member, now int64) {
	look := &m.looked
	look.repaired = now
	look.repairs++
	look.pause = min(max(2*look.pause, firstReattach), lastReattach)
	err := e.objects.Restore(m.attachment)
	ev := control.Event{Event: control.EventDriftRepaired, Group: u.cfg.Name, Interface: m.cfg.Name,
		Detail: "somebody took the programs off; they are on again"}
	switch {
	case err != nil:
		ev.Event, ev.Detail = control.EventStepFailed, "somebody took the programs off: "+err.Error()
	case look.repairs >= contested:
		ev.Event, ev.Detail = control.EventStepFailed, "somebody takes the programs off again and again; find out who: `bpftool net`"
	}
	e.event(ev)
}
