// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// niceness of the daemon's ordinary threads. The real-time threads meet them at the locks of Go's
// scheduler and when its collector stops the world: were they kept off the CPU then by other
// people's load, the prober would be late by their time slices.
const niceness = -20

// beNice raises the priority of every thread that there is; those to come inherit it.
func beNice() error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("list threads: %w", err)
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if err := unix.Setpriority(unix.PRIO_PROCESS, tid, niceness); err != nil {
			return fmt.Errorf("set niceness %d: %w", niceness, err)
		}
	}
	return nil
}
