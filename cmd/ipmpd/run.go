// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func newRunCommand() *cobra.Command {
	var from source
	cmd := &cobra.Command{
		Use:                   "run [--config FILE | --solaris ROOT]",
		Short:                 "the daemon, in the foreground",
		Args:                  argsBetween(0, 0),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := from.settle(cmd); err != nil {
				return err
			}
			cfg, warnings, err := from.loadForHost(hostLinks)
			if err != nil {
				return err
			}
			accepted, err := checkLastAddress(cfg, peekJournal(globalsOf(cmd).State))
			if err != nil {
				return advised(err)
			}
			warnings = append(warnings, accepted...)
			hangup := make(chan os.Signal, 1)
			signal.Notify(hangup, syscall.SIGHUP)
			defer signal.Stop(hangup)
			tell := make(chan os.Signal, 1)
			signal.Notify(tell, syscall.SIGUSR1)
			defer signal.Stop(tell)
			level := &slog.LevelVar{}
			level.Set(cfg.LogLevel)
			log := newLogger(cmd.ErrOrStderr(), level, stderrIsJournal())
			for _, w := range warnings {
				log.Warn(w.String())
			}
			if err := checkRights(); err != nil {
				return err
			}
			d, err := openDaemon(cfg, globalsOf(cmd), log)
			if err != nil {
				return advised(err)
			}
			defer d.close()
			d.reloader = newReloader(d, from, level, hangup)
			d.dumper = &dumper{signal: tell, status: d.engine.Status, log: log}
			if err := d.run(cmd.Context()); err != nil {
				return advised(err)
			}
			return nil
		},
	}
	from.flags(cmd)
	return cmd
}
