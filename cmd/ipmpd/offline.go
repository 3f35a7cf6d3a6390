// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/spf13/cobra"

func newOfflineCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "offline IF [--force]",
		Short: "take an interface out of service, losing no packet",
		Long: "Takes an interface out of service: its addresses move to others of its group. It stays offline over\n" +
			"reload and restart until `ipmpd online` or the next boot. The last usable member of a group is refused\n" +
			"without --force.",
		Args:                  argsBetween(1, 1),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return globalsOf(cmd).client().Offline(cmd.Context(), args[0], force)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also when it is the last usable member of its group")
	return cmd
}

func newOnlineCommand() *cobra.Command {
	return &cobra.Command{
		Use:                   "online IF",
		Short:                 "take an interface back into service",
		Args:                  argsBetween(1, 1),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return globalsOf(cmd).client().Online(cmd.Context(), args[0])
		},
	}
}
