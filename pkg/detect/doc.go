// SPDX-License-Identifier: Apache-2.0

// Package detect decides whether a member is usable, as far as that is decided in Go: how many
// misses make a suspect, when a member is armed, good again or hopeless, which targets are asked,
// how fast, and what detection time that allows.
//
//	probe.Snapshot ─► Sample ─► Tracker.Observe ─► []Finding ─► engine
//	kernel verdicts ─────────► Tracker.Verdict, Tracker.Last ─┘
//
// Everything in this package is pure: no I/O, no goroutines, no clock. Times are CLOCK_MONOTONIC
// nanoseconds, given by the caller. A value may be used by one goroutine at a time. The prober
// thread, frames, sockets and the ring-buffer reader are in detect/probe. It never knows about data
// addresses, and it never decides where they go.
package detect
