// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ipmpd/ipmpd/pkg/control"
)

func newWatchCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:                   "watch [--json]",
		Short:                 "the state now, then every change, one a line",
		Args:                  argsBetween(0, 0),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			err := globalsOf(cmd).client().Watch(cmd.Context(), func(e control.Event) error {
				if asJSON {
					return writeJSON(out, e)
				}
				return writeEvent(out, e)
			})
			if cmd.Context().Err() != nil {
				return nil // the operator has seen enough
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return cmd
}

// writeEvent prints an event as a line of a log: when, what, where, how.
func writeEvent(w io.Writer, e control.Event) error {
	where := strings.Join(nonEmpty(e.Group, e.Interface, e.Family, e.Address), " ")
	line := fmt.Sprintf("%s  %-22s  %-24s  %s", e.Time.Local().Format(clockFormat), e.Event, where, e.Detail)
	_, err := fmt.Fprintln(w, strings.TrimRight(line, " "))
	return err
}

// writeJSON prints v on one line.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
