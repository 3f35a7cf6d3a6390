// SPDX-License-Identifier: Apache-2.0

// Command ipmpd is IPMP for Linux: the daemon and everything that an operator
// says to it. One file per command; run.go wires the daemon, engine.go is its
// one event loop, journal.go what it remembers over restarts, notify.go what
// it tells systemd.
//
// Commands return errors; only run (main.go) turns them into the one line on
// stderr and the exit code of docs/contract.md section 2.
package main
