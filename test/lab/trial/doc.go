// SPDX-License-Identifier: Apache-2.0

// Package trial cuts cables under traffic, again and again, and measures: the core of the demo,
// of the failover tests and of the benchmark.
//
//	home ──► cut ──► traffic on another member ──► window ends ──► repair ──► home …
//	  │       └ stamped by the kernel               └ gaps, verdict, frames on the wire
//	  └ group ok, address and both directions of traffic on the first member
//
// What counts is seen from the peer's side and at the switch; only the verdict is taken from the
// daemon's history. A Trial is for one goroutine.
package trial
