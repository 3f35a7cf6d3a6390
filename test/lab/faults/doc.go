// SPDX-License-Identifier: Apache-2.0

// Package faults makes a cable bad. A [Port] is a pair of BPF programs on the switch's side of a
// cable: it drops frames by rule and counts what goes past, so that a test can judge from the
// wire. The moment of a cut is stamped in the kernel, by the program that drops.
//
//	far end ==cable== switch port ── From (tcx ingress) ──► switch
//	                              ◄── To  (tcx egress)  ──
//
// A Port is safe for concurrent use. It never touches anything but the one interface that it was
// attached to, and is gone when it is closed or its process dies.
package faults
