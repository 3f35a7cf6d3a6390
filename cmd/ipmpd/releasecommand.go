// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipmpd/ipmpd/pkg/control"
)

// endPatience is how long a daemon that has released everything may take to end.
const endPatience = 10 * time.Second

func newReleaseCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "release [GROUP]",
		Short: "take everything ipmpd put on the host off again",
		Long: "Takes everything ipmpd put on the host off again: programs, pins, addresses that it added, routes and\n" +
			"sysctls back as they were; adopted addresses go back to where they were found. What others have changed\n" +
			"meanwhile stays. The daemon forgets the group until reload or restart, and without GROUP it ends. Without a\n" +
			"daemon the state file and the pins say what there is to undo, also after a crash.",
		Args:                  argsBetween(0, 1),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			group := ""
			if len(args) == 1 {
				if group = args[0]; group == "" {
					return usageError("release: GROUP is empty; leave it out to release all groups")
				}
			}
			return release(cmd.Context(), globalsOf(cmd), group, cmd.ErrOrStderr())
		},
	}
}

// release by the daemon, else without one. A daemon that is just starting or ending is waited for.
func release(ctx context.Context, g globals, group string, warn io.Writer) error {
	until := time.Now().Add(endPatience)
	for {
		err := g.client().Release(ctx, group)
		var none *control.NoDaemonError
		if err == nil && group == "" {
			awaitEnd(ctx, g.client())
		}
		if !errors.As(err, &none) {
			return err
		}
		err = releaseAlone(g, group, warn)
		var other *control.InUseError
		if !errors.As(err, &other) || time.Now().After(until) {
			return err
		}
	}
}

// awaitEnd returns when the daemon no longer answers.
func awaitEnd(ctx context.Context, client *control.Client) {
	ctx, cancel := context.WithTimeout(ctx, endPatience)
	defer cancel()
	for ctx.Err() == nil {
		var none *control.NoDaemonError
		if _, err := client.Version(ctx); errors.As(err, &none) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
