// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newRunCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "the daemon, in the foreground",
		Args:  argsBetween(0, 0),
		RunE:  func(*cobra.Command, []string) error { return errors.New("run: the engine is not wired yet") },
	}
}
