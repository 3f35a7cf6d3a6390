// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"

	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/notify"
)

// programPath is where programs of `notify` find others.
const programPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// newNotifyPrograms subscribes the programs of `notify` to events, as one more reader that is lost
// some when it is too slow. What is published from now on is queued, before Run too.
func newNotifyPrograms(events *control.Broadcaster, socket string, log *slog.Logger) *notify.Runner {
	queue := events.Subscribe(notify.QueueLength)
	return &notify.Runner{
		Next: func(ctx context.Context) (notify.Event, error) {
			ev, err := queue.Next(ctx)
			return notify.Event{Name: ev.Event, Value: ev}, err
		},
		Lost: queue.Lost,
		// So that a program can ask this daemon, of several.
		Env: []string{"PATH=" + programPath, "IPMPD_SOCKET=" + socket},
		Log: log,
	}
}

// programPaths of a configuration, in its order.
func programPaths(list []config.Program) []string {
	paths := make([]string, len(list))
	for i, p := range list {
		paths[i] = p.Path
	}
	return paths
}
