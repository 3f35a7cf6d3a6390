// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ipmpd/ipmpd/pkg/control"
)

// globals are the flags that every command has.
type globals struct {
	Socket string
	State  string
}

// globalsOf reads them with their defaults filled in.
func globalsOf(cmd *cobra.Command) globals {
	// Both flags are defined by the root command, so there is no error.
	socket, _ := cmd.Flags().GetString("socket")
	state, _ := cmd.Flags().GetString("state")
	if state == "" {
		state = socket + ".state"
	}
	return globals{Socket: socket, State: state}
}

func (g globals) client() *control.Client { return control.NewClient(g.Socket) }

// addGlobals adds their flags.
func addGlobals(root *cobra.Command) {
	socket := control.DefaultSocket
	if s := os.Getenv("IPMPD_SOCKET"); s != "" {
		socket = s
	}
	root.PersistentFlags().String("socket", socket, "control `PATH` of the daemon (environment IPMPD_SOCKET)")
	root.PersistentFlags().String("state", "", "state `FILE` of the daemon (default: the socket's path with .state)")
}

// bySolarisName makes a command the whole program.
func bySolarisName(cmd *cobra.Command) *cobra.Command {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError("%w; usage: %s", err, cmd.UseLine())
	})
	addGlobals(cmd)
	return cmd
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "ipmpd",
		Short:         "IP network multipathing: when an interface fails, its addresses are on another in less than a millisecond",
		SilenceErrors: true, // run prints them
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          noCommand,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return usageError("%w; see `ipmpd --help`", err)
	})
	addGlobals(root)
	root.AddCommand(newRunCommand(), newCheckCommand(), newStatusCommand(), newWatchCommand(),
		newHistoryCommand(), newOfflineCommand(), newOnlineCommand(), newReloadCommand(), newReleaseCommand(), newImportCommand(), newStatCommand(),
		newIfconfigCommand(), newVersionCommand())
	root.AddCommand(notBuiltCommands()...)
	return root
}

// noCommand is what cobra runs when it recognises no command.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError("no command given; see `ipmpd --help`")
	}
	advice := "see `ipmpd --help`"
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		advice = fmt.Sprintf("did you mean %s?", strings.Join(like, " or "))
	}
	return usageError("unknown command %q; %s", args[0], advice)
}

// argsBetween is cobra.RangeArgs with our exit code.
func argsBetween(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least {
			return usageError("%s: an argument is missing; usage: %s", cmd.Name(), cmd.UseLine())
		}
		if len(args) > most {
			return usageError("%s: unexpected argument %q; usage: %s", cmd.Name(), args[most], cmd.UseLine())
		}
		return nil
	}
}
