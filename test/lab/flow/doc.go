// SPDX-License-Identifier: Apache-2.0

// Package flow sends traffic through a lab and tells what became of it: sequence-numbered UDP at a
// steady rate, stamped by the kernel where it arrives, and one long TCP download whose bytes are
// compared at the end.
//
//	child process (no garbage collection)              this process
//	  sender thread, SCHED_FIFO ──► tx log ─┐ shared
//	  receiver thread ────────────► rx log ─┴ memory ──► Flow.Gap, Flow.Totals
//
// Both threads run in a child of the same binary: main and TestMain call [Child] first. A late
// sender sends once and goes on with its clock, it never catches up in a burst, and a pause of the
// sender is not reported as one of the network. All times are CLOCK_MONOTONIC in ns: one machine,
// one clock.
package flow
