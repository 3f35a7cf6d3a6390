// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/control"
)

func newStatusCommand() *cobra.Command {
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use:                   "status [GROUP] [--json] [--watch]",
		Short:                 "groups, members, addresses and routes at a glance",
		Args:                  argsBetween(0, 1),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, out := globalsOf(cmd).client(), cmd.OutOrStdout()
			show := func(ctx context.Context) error {
				s, err := client.Status(ctx)
				if err != nil {
					return err
				}
				if len(args) == 1 {
					if err := onlyGroup(s, args[0]); err != nil {
						return err
					}
				}
				if asJSON {
					return writeJSON(out, s)
				}
				if watch {
					fmt.Fprint(out, screenTop(out, time.Now()))
				}
				return writeStatus(out, s)
			}
			if watch {
				return watchStatus(cmd.Context(), client, show)
			}
			return show(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	cmd.Flags().BoolVar(&watch, "watch", false, "again on every event, and every second")
	return cmd
}

// onlyGroup leaves one group in s.
func onlyGroup(s *control.Status, name string) error {
	i := slices.IndexFunc(s.Groups, func(g control.Group) bool { return g.Name == name })
	if i < 0 {
		var names []string
		for _, g := range s.Groups {
			names = append(names, g.Name)
		}
		if len(names) == 0 {
			return fmt.Errorf("no group %q; the daemon has none", name)
		}
		return fmt.Errorf("no group %q; there are: %s", name, strings.Join(names, ", "))
	}
	s.Groups, s.Monitor = s.Groups[i:i+1], nil
	return nil
}

// watchStatus shows now, after every event and every second, until ctx ends
// (no error) or the daemon does.
func watchStatus(ctx context.Context, client *control.Client, show func(context.Context) error) error {
	inner, cancel := context.WithCancel(ctx)
	changed, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		ended <- client.Watch(inner, func(control.Event) error {
			select {
			case changed <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		err := show(inner)
		if err == nil {
			select {
			case <-tick.C:
				continue
			case <-changed:
				continue
			case err = <-ended:
				ended <- err
			}
		}
		cancel()
		<-ended
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
}

// screenTop is what goes before a repeated status: on a terminal it clears the
// screen, elsewhere it is a dated line.
func screenTop(w io.Writer, now time.Time) string {
	if f, ok := w.(*os.File); ok {
		if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil {
			return "\x1b[H\x1b[2J"
		}
	}
	return "── " + now.Format("2006-01-02 "+clockFormat) + "\n"
}
