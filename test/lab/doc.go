// SPDX-License-Identifier: Apache-2.0

// Package lab builds a small network out of namespaces on this machine, breaks it on purpose and
// judges from the other side of the wire.
//
//	┌ host ───────────┐   ┌ switch0 ────────────┐     ┌ router ──────────────┐   ┌ far ──────────┐
//	│ hme0 .11 (test) ╪═══╪ hme0 ┐      ┌ router ╪═════╪ eth0 192.0.2.1       │   │               │
//	│      .10 (data) │   │      ├ br ──┤        │     │      2001:db8::1     │   │ 198.51.100.100│
//	│ hme1 .12 (test) ╪═══╪ hme1 ┘      └ peer ┐ │     │ eth1 198.51.100.1    ╪═══╪ eth0          │
//	└─────────────────┘   └────────────────────┼─┘     └──────────────────────┘   └───────────────┘
//	      ═══ veth, same ifindex at both ends, └═══════ peer eth0 192.0.2.100, 2001:db8::100
//	      or a pair of TAPs with a pump between
//
// With Options.SecondSwitch = M the last M members hang on switch1, which a trunk joins to
// switch0. On every switch port sit the fault programs of package faults. Nothing of the root
// namespace is touched; [Lab.Close] leaves nothing behind, and [Sweep] removes what a killed
// process left. A person looks inside with `ip netns exec NAME …`.
//
// A Lab may be used by several goroutines, except that New and Close are called once.
package lab
