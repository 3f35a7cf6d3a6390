// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/cobra"

	"github.com/ipmpd/ipmpd/pkg/config"
)

// defaultConfig is the file that run and check read when told no other.
const defaultConfig = "/etc/ipmpd/ipmpd.yaml"

// source is where a configuration is read from, each time anew: a file, or the Solaris files below a root.
type source struct {
	file, solaris string
}

// flags of a command that reads a configuration.
func (s *source) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.file, "config", defaultConfig, "configuration `FILE`")
	cmd.Flags().StringVar(&s.solaris, "solaris", "", "read the Solaris files below `ROOT` in its place")
}

// settle what the command line left open.
func (s *source) settle(cmd *cobra.Command) error {
	if !cmd.Flags().Changed("solaris") {
		return nil
	}
	if cmd.Flags().Changed("config") {
		return usageError("%s: --config and --solaris exclude each other; usage: %s", cmd.Name(), cmd.UseLine())
	}
	if s.solaris == "" {
		return usageError("%s: --solaris names no folder; usage: %s", cmd.Name(), cmd.UseLine())
	}
	return nil
}

func (s *source) load() (*config.Config, []config.Warning, error) {
	if s.solaris != "" {
		return config.LoadSolaris(s.solaris)
	}
	cfg, err := config.Load(s.file)
	return cfg, nil, err
}

// loadForHost reads a configuration and judges it by the links and programs of the host.
// What is wrong with either is a *config.Error; the first in file order.
func (s *source) loadForHost(links func() ([]config.HostLink, error)) (*config.Config, []config.Warning, error) {
	cfg, said, err := s.load()
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
	warnings = append(warnings, config.CheckPrograms(cfg, hostPrograms(cfg.Notify))...)
	return cfg, append(said, warnings...), nil
}
