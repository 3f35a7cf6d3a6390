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
	var file, solaris string
	cmd := &cobra.Command{
		Use:                   "run [--config FILE | --solaris ROOT]",
		Short:                 "the daemon, in the foreground",
		Args:                  argsBetween(0, 0),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if solaris != "" {
				return notBuilt("run --solaris")
			}
			cfg, warnings, err := loadForHost(file, hostLinks)
			if err != nil {
				return err
			}
			hangup := make(chan os.Signal, 1)
			signal.Notify(hangup, syscall.SIGHUP)
			defer signal.Stop(hangup)
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
			d.reloader = newReloader(d, file, level, hangup)
			if err := d.run(cmd.Context()); err != nil {
				return advised(err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "config", defaultConfig, "configuration `FILE`")
	cmd.Flags().StringVar(&solaris, "solaris", "", "read the Solaris files below `ROOT`")
	return cmd
}
