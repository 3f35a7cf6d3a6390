// SPDX-License-Identifier: Apache-2.0

// Package scenario runs the real daemon in the lab, breaks something and judges from the other side
// of the wire: the promises of docs/contract.md section 1 and docs/detection.md, a scenario each.
//
//	stage(t, setup{…})        a lab, a configuration, a daemon whose members are all ok
//	s.traffic()               UDP both ways at 10 kHz, one TCP connection, an uncut reference
//	s.Members[0].CutSilent()  what goes wrong
//	s.expect("failover hme0") the history since the last word, and nothing else in it
//	s.at("hme1", lab.Data)    who has the address, in the kernel and for the peer
//
// A history entry that no scenario has expected fails its test at the end. Limits of waiting are
// there to end a lost cause, never to judge speed: the benchmark does that. SOAK=60 lets what must
// never cause a failover go on for a minute each, in place of 3 s.
//
// There is nothing to import here.
package scenario
