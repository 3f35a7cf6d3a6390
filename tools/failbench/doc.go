// SPDX-License-Identifier: Apache-2.0

// Command failbench measures how long traffic stops when a link fails: ipmpd and its peers, in one
// run, by the same flows.
//
//	contender (ipmpd, keepalived, …) ─ Setup, Ready, Teardown ─┐
//	scenario (carrier, silent, …) ──── Prepare, Strike, Clear ─┼─► cell ─► out/bench/cells/NAME.json
//	arena: lab, a flow each way, one that is not cut ──────────┘              │
//	                                              report.md, plots/*.svg ◄────┘
//
// A gap is judged at the receiving application, from sequence-numbered packets with the kernel's time
// stamps, never by what a contender says. The moment of a silent cut is stamped by the program that
// drops; that of a carrier cut is the last frame that passed. Contenders take turns, a few failures
// each, so that the machine's moods meet all of them. What is finished is kept: a second run goes on
// where the first one ended.
package main
