// SPDX-License-Identifier: Apache-2.0

// Package addr knows where addresses are and where they should be, and moves them.
//
//	Desired, Observed ──► Plan ──► []Op ──► Apply        the engine's way, complete
//	                        │
//	                        └────► Prepare ──► *Batch    the fast way: the same operations, encoded
//	                                             │       ahead for the failure of one member
//	                            verdict ──► Batch.Fire   announcements first, then the messages
//
// Release plans the way back, from what Undo remembers of the host before us.
//
// Plan and Release are pure; Apply, Fire and the announcer write to the kernel, one at a time, under one lock.
// The package never decides which member is usable, and reads rtnetlink only for the answers to
// its own messages (pkg/netstate reads the state of the host).
package addr
