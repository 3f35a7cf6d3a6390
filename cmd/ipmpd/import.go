// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ipmpd/ipmpd/pkg/config"
)

func newImportCommand() *cobra.Command {
	var root string
	cmd := &cobra.Command{
		Use:   "import [--root DIR]",
		Short: "print the ipmpd.yaml that means what the Solaris files say",
		Long: "Reads etc/hostname.IF, etc/hostname6.IF, etc/hosts, etc/netmasks and etc/default/mpathd below DIR and\n" +
			"prints the equivalent ipmpd.yaml, with a comment where each line comes from. Nothing is guessed: a word\n" +
			"that ipmpd has nothing for is an error with its place. What is left out is said on stderr. `ipmpd run\n" +
			"--solaris DIR` runs the same without a file in between.",
		Args:                  argsBetween(0, 0),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, warnings, err := config.ImportSolaris(root)
			if err != nil {
				return err
			}
			for _, w := range warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "ipmpd: warning: %s\n", w)
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	cmd.Flags().StringVar(&root, "root", "/", "folder `DIR` that holds etc")
	return cmd
}
