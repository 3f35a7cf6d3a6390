// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ipmpd/ipmpd/pkg/config"
)

// defaultConfig is the file that run and check read when told no other.
const defaultConfig = "/etc/ipmpd/ipmpd.yaml"

func newCheckCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:                   "check [--config FILE]",
		Short:                 "tell whether `run` would run; changes nothing",
		Args:                  argsBetween(0, 0),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, warnings, err := loadForHost(file, hostLinks)
			if err != nil {
				return err
			}
			return writeChecked(cmd.OutOrStdout(), cfg, warnings)
		},
	}
	cmd.Flags().StringVar(&file, "config", defaultConfig, "configuration `FILE`")
	return cmd
}

// loadForHost reads a configuration and judges it by the links of the host.
// What is wrong with either is a *config.Error; the first in file order.
func loadForHost(file string, links func() ([]config.HostLink, error)) (*config.Config, []config.Warning, error) {
	cfg, err := config.Load(file)
	if err != nil {
		return nil, nil, err
	}
	host, err := links()
	if err != nil {
		return nil, nil, err
	}
	errs, warnings := config.CheckHost(cfg, host)
	if len(errs) > 0 {
		return nil, nil, errs[0]
	}
	return cfg, warnings, nil
}

func writeChecked(w io.Writer, cfg *config.Config, warnings []config.Warning) error {
	out := &errWriter{w: w}
	for _, warning := range warnings {
		fmt.Fprintf(out, "warning: %s\n", warning)
	}
	interfaces, addresses := 0, 0
	for _, g := range cfg.Groups {
		interfaces += len(g.Interfaces)
		addresses += len(g.Addresses)
	}
	fmt.Fprintf(out, "%s: ok: %s, %s, %s\n", cfg.File, counted(len(cfg.Groups), "group", "groups"),
		counted(interfaces, "interface", "interfaces"), counted(addresses, "address", "addresses"))
	return out.err
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
