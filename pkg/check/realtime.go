// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"time"
)

// RealtimeFacts are what the prober's threads may do.
type RealtimeFacts struct {
	// Priority and CPUs as configured; 0 and none: off.
	Priority int
	CPUs     []int
	// Refused is what a trial thread met; empty: everything was permitted.
	Refused []string
	// Nice: the process has CAP_SYS_NICE. Limit is RLIMIT_RTPRIO.
	Nice  bool
	Limit uint64
	// Runtime of real-time threads in each Period (kernel.sched_rt_*_us); negative: all of it.
	// Known: both could be read.
	Runtime, Period time.Duration
	Known           bool
}

// enough is the share of the CPU that real-time threads should have. Two members at 100 us rounds
// cost the prober 14 % of a core (detection.md section 5), with the softirqs that its sending runs;
// a reader and a fast link's softirqs come on top.
const enough = 0.5

// Realtime is whether the prober will be on time.
func Realtime(r RealtimeFacts) []Finding {
	const about = "real time"
	if r.Priority == 0 && len(r.CPUs) == 0 {
		return []Finding{note(about, "switched off in the file (realtime.priority: 0): other people's load makes detection late")}
	}
	var found []Finding
	for _, why := range r.Refused {
		f := warning(about, "%s: detection is late under load", why)
		switch {
		case r.Nice:
			f = f.do("with CAP_SYS_NICE at hand, look at the cgroup's cpu.rt_runtime_us, and at which CPUs are online and in its cpuset")
		default:
			f = f.do(fmt.Sprintf("give it CAP_SYS_NICE, or LimitRTPRIO=%d in its unit (now %d)", r.Priority, r.Limit))
		}
		found = append(found, f)
	}
	if len(r.Refused) == 0 {
		text := fmt.Sprintf("SCHED_FIFO %d is permitted", r.Priority)
		if r.Priority == 0 {
			text = "ordinary scheduling, as the file says"
		}
		if len(r.CPUs) > 0 {
			text += fmt.Sprintf(", on CPUs %v", r.CPUs)
		}
		found = append(found, ok(about, "%s", text))
	}
	if r.Priority == 0 || !r.Known || r.Runtime < 0 {
		return found
	}
	const key = "kernel.sched_rt_runtime_us"
	switch share := float64(r.Runtime) / float64(max(r.Period, 1)); {
	case r.Runtime == 0:
		found = append(found, warning(about, "%s is 0: real-time threads get no CPU time", key).
			do("sysctl -w "+key+"=950000, or realtime: {priority: 0} in the file"))
	case share < enough:
		found = append(found, warning(about, "%s gives real-time threads %.0f %% of the time: rounds stop for the rest of it, and no failure is seen meanwhile", key, share*100).
			do("sysctl -w "+key+"=950000"))
	}
	return found
}
