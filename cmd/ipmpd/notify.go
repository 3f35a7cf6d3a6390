// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// notifier tells systemd how the daemon is. Without systemd it says nothing.
type notifier struct {
	// healthy is asked before every sign of life to the watchdog; while it is
	// false there is none, and systemd starts the daemon again. Called from
	// Run only.
	healthy func() bool
	log     *slog.Logger
}

// Ready says that the daemon does its work, and in a few words which.
func (n *notifier) Ready(status string) { n.send(systemd.SdNotifyReady + "\nSTATUS=" + status) }

// Status replaces those words.
func (n *notifier) Status(status string) { n.send("STATUS=" + status) }

// Stopping says that the end is on purpose.
func (n *notifier) Stopping() { n.send(systemd.SdNotifyStopping) }

func (n *notifier) send(state string) {
	if _, err := systemd.SdNotify(false, state); err != nil {
		n.log.Warn("systemd was not notified", "state", state, "error", err)
	}
}

// Run keeps the watchdog content until ctx ends, twice in its interval. It
// does nothing where the unit has no WatchdogSec.
func (n *notifier) Run(ctx context.Context) error {
	interval, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("read the watchdog's interval: %w", err)
	}
	if interval == 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	was := true
	for {
		is := n.healthy()
		if is {
			n.send(systemd.SdNotifyWatchdog)
		}
		if is != was {
			n.log.Warn("health changed", "healthy", is)
		}
		was = is
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
