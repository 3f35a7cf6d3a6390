// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ipmpd/ipmpd/pkg/control"
)

func newReloadCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "let the daemon apply its configuration file anew",
		Long: "Lets the daemon read its configuration file again and apply what is different. Groups that are the\n" +
			"same lose no round. If anything is wrong with the file, it says where, and the old configuration\n" +
			"stays in force. SIGHUP does the same and answers in the log.",
		Args:                  argsBetween(0, 0),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer, err := globalsOf(cmd).client().Reload(cmd.Context())
			var refused *control.Error
			if errors.As(err, &refused) && refused.Status == control.WrongConfig {
				return &exitError{exitConfig, err}
			}
			if err != nil {
				return err
			}
			out := &errWriter{w: cmd.OutOrStdout()}
			for _, w := range answer.Warnings {
				fmt.Fprintf(out, "warning: %s\n", w)
			}
			fmt.Fprintln(out, answer.Summary)
			return out.err
		},
	}
}
