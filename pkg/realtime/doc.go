// SPDX-License-Identifier: Apache-2.0

// Package realtime lets a SCHED_FIFO thread of a Go process wait, and be woken at the end. What a thread does while it runs is not
// its business, nor which priority it has (pkg/detect/probe).
package realtime
