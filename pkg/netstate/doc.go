// SPDX-License-Identifier: Apache-2.0

// Package netstate is the only reader of rtnetlink: what links, addresses, routes, nexthops and
// neighbours the host has, and when that changes.
//
//	kernel ──► Watcher     subscribed first, then listed: Snapshot, and coalesced notices of change
//	       ──► LinkEvents  the fast path: link messages as they come, for a locked thread
//	       ◄─► Carrier     the fast path's question: has this interface carrier, now?
//
// It never writes, and never decides what a change means. Any error in reading (a full buffer, a
// message that does not parse, an interrupted dump) is answered by listing everything anew.
//
// Snapshots are values and safe to share. A Watcher's methods are safe for concurrent use, Run
// apart, which runs once. A Carrier and a LinkEvents belong to one goroutine each. All of them
// see the network namespace of the thread that opened them.
package netstate
