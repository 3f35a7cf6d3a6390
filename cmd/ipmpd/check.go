// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ipmpd/ipmpd/pkg/check"
	"github.com/ipmpd/ipmpd/pkg/config"
)

func newCheckCommand() *cobra.Command {
	var from source
	cmd := &cobra.Command{
		Use:                   "check [--config FILE | --solaris ROOT]",
		Short:                 "tell whether `run` would run; changes nothing",
		Args:                  argsBetween(0, 0),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := from.settle(cmd); err != nil {
				return err
			}
			cfg, warnings, err := from.loadForHost(hostLinks)
			if err != nil {
				return err
			}
			g := globalsOf(cmd)
			accepted, err := checkLastAddress(cfg, peekJournal(g.State))
			if err != nil {
				return advised(err)
			}
			warnings = append(warnings, accepted...)
			found, err := examine(cmd.Context(), cfg, "/")
			if err != nil {
				return advised(err)
			}
			if daemon, err := g.client().Version(cmd.Context()); err == nil {
				found = append(found, check.Daemon(g.Socket, daemon.Version))
			}
			if err := writeChecked(cmd.OutOrStdout(), cfg, warnings, found); err != nil {
				return err
			}
			return verdict(found)
		},
	}
	from.flags(cmd)
	return cmd
}

// writeChecked ends with `FILE: ok` only where `run` would run.
func writeChecked(w io.Writer, cfg *config.Config, warnings []config.Warning, found []check.Finding) error {
	out := &errWriter{w: w}
	for _, warning := range warnings {
		fmt.Fprintf(out, "warning: %s\n", warning)
	}
	if err := writeFindings(out, found); err != nil {
		return err
	}
	if firstError(found) != nil {
		return out.err
	}
	interfaces, addresses := 0, 0
	for _, g := range cfg.Groups {
		interfaces += len(g.Interfaces)
		addresses += len(g.Addresses)
	}
	monitored := ""
	if n := len(cfg.Monitor); n > 0 {
		monitored = fmt.Sprintf(", %d monitored", n)
	}
	fmt.Fprintf(out, "%s: ok: %s, %s, %s%s\n", cfg.File, counted(len(cfg.Groups), "group", "groups"),
		counted(interfaces, "interface", "interfaces"), counted(addresses, "address", "addresses"), monitored)
	return out.err
}

// writeFindings in aligned columns, advice below.
func writeFindings(w io.Writer, found []check.Finding) error {
	width := 0
	for _, f := range found {
		width = max(width, len(f.About))
	}
	for _, f := range found {
		if _, err := fmt.Fprintf(w, "%-*s %-*s  %s\n", levelWidth, f.Level.String()+":", width, f.About, f.Text); err != nil {
			return err
		}
		for _, line := range f.Advice {
			if _, err := fmt.Fprintf(w, "%*s  %s\n", levelWidth+1+width, "", line); err != nil {
				return err
			}
		}
	}
	return nil
}

// levelWidth is that of the longest, "warning:".
const levelWidth = 8

func firstError(found []check.Finding) *check.Finding {
	for i := range found {
		if found[i].Level == check.Error {
			return &found[i]
		}
	}
	return nil
}

// verdict is the error that `run` would end with, as far as it can be told: missing rights come first
// there and are said in its words.
func verdict(found []check.Finding) error {
	f := firstError(found)
	if f == nil {
		return nil
	}
	if err := checkRights(); err != nil {
		return err
	}
	return fmt.Errorf("%s: %s; %s", f.About, f.Text, strings.Join(f.Advice, ", "))
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
