// SPDX-License-Identifier: Apache-2.0

// Package notify runs programs on events (contract section 3, `notify`): each event to each program,
// in the order of the file, one at a time.
//
//	queue ──► Runner (the daemon) ── pipe ──► Serve (the helper, a process of its own) ──► program
//	              ▲                               │
//	              └──────────── outcome ──────────┘
//
// The helper is there because starting a process stops the starter: Go holds one of its scheduler's
// places from the fork to the exec, and its collector waits for that. A program on a slow disk would
// keep the prober from its rounds. The daemon forks once, when the first event has a program, and is
// never in the way of a failover after that.
//
// The package knows no event by its meaning. It never waits for a program longer than Limit, and never
// makes who publishes events wait. Set may be called from any goroutine; Run is one task.
package notify
