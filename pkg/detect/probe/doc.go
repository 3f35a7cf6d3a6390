// SPDX-License-Identifier: Apache-2.0

// Package probe sends the rounds and hears the verdicts: the prober thread, its frames and its
// socket, the ring-buffer reader, and the thread that asks for carriers.
//
//	Plan ─► Prober (FIFO thread) ─► sendmmsg ─► targets
//	           │  rounds, sent                    │ replies
//	           ▼                                  ▼
//	        bpf maps "tracks", "instances" ◄── bpf/ ingress ─► ring buffer ─► Reader (FIFO thread)
//	           │ refused sends
//	           ▼
//	        Questions ─► Asker (FIFO thread) ─► is there carrier?
//
// Of the shared memory the Prober writes Track.Newest, Track.Round[] (but for what the kernel
// answers), Slot.Sent, Instance.Newest and Instance.RecentMissed; Plan.Publish writes what describes
// tracks and instances; Limit, Flags and Word belong to the engine. All times are CLOCK_MONOTONIC ns.
//
// The Prober's thread runs outside Go's scheduler (outside.go); what it calls is go:nosplit.
// A Watch hears what became of each probe, when its round is closed; it never holds the prober up.
//
// A Census asks everybody on a link who is there, for those who have nobody to ask.
//
// Update, Watch, Snapshot, TrackSnapshot, RTT and TargetRTT may be called by any goroutine, Update by one at a time.
// Nothing here decides who is usable: that is package detect.
package probe
