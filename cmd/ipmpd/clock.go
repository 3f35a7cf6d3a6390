// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/detect/probe"
)

// monotonic is CLOCK_MONOTONIC in ns, the clock of the kernel's stamps.
func monotonic() int64 { return probe.NowNs() }

// boottime is CLOCK_BOOTTIME in ns, which goes on while the machine sleeps.
func boottime() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return ts.Nano()
}

// wall is the wall-clock time of a monotonic stamp.
func wall(stamp int64) time.Time {
	return time.Now().Add(-time.Duration(monotonic() - stamp))
}
