// SPDX-License-Identifier: Apache-2.0

// Package control is the daemon's socket: the JSON that users and programs
// see, the server that hands it out and the client that asks for it.
//
//	engine ── Backend ──► Server ──► unix socket ──► Client ── ipmpd status …
//	   └──── Publish ──► Broadcaster ──► one bounded queue per reader
//
// It holds the wire types of docs/contract.md section 4 and nothing of what
// they mean: the engine fills them in, the command line draws them.
//
// Everybody may connect whom the mode of the socket file lets in (its owner
// and its group); only a peer whose uid is 0 may change something.
//
// Server, Client and Broadcaster may be used from several goroutines at once.
// Publish never waits for a reader: one that is too slow loses events and is
// told how many by a gap event. Backend is called from many goroutines.
package control
