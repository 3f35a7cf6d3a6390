// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/cobra"

	"github.com/ipmpd/ipmpd/pkg/solaris"
)

func newIfconfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ifconfig [-a]",
		Short: "members and their addresses as ifconfig of Solaris shows them",
		Long: "Prints the members of all groups with their data and test addresses in the form of `ifconfig -a` of\n" +
			"Solaris. Changes nothing. Other interfaces are not shown: `ip address` has them.",
		Args:                  argsBetween(0, 0),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			status, err := globalsOf(cmd).client().Status(cmd.Context())
			if err != nil {
				return err
			}
			return solaris.Ifconfig(cmd.OutOrStdout(), status)
		},
	}
	cmd.Flags().BoolP("all", "a", true, "all members, as without it")
	return cmd
}
