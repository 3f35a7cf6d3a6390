// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// notBuilt refuses a feature of the contract that this release does not have.
func notBuilt(what string) error {
	return fmt.Errorf("%s is not built yet; it comes with a later release", what)
}

// notBuiltCommands are the commands of the contract that come later. They are
// known by name, so that nobody takes the refusal for a typing error.
func notBuiltCommands() []*cobra.Command {
	var commands []*cobra.Command
	for _, name := range []string{"calibrate"} {
		commands = append(commands, &cobra.Command{
			Use:                name,
			Short:              "not built yet",
			Hidden:             true,
			DisableFlagParsing: true,
			RunE:               func(*cobra.Command, []string) error { return notBuilt(name) },
		})
	}
	return commands
}
