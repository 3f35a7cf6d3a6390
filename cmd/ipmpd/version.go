// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/control"
)

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "version, commit, and the kernel features that the daemon uses",
		Args:  argsBetween(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			g := globalsOf(cmd)
			daemon, err := g.client().Version(cmd.Context())
			return writeVersion(cmd.OutOrStdout(), g.Socket, ownVersion(nil), daemon, err)
		},
	}
}

// ownVersion is the version of this program, with the kernel features that the
// caller has found in use.
func ownVersion(features []string) control.Version {
	return control.Version{Version: version, Commit: ownCommit(), Go: runtime.Version(), Kernel: kernelRelease(), Features: features}
}

// ownCommit falls back on what the Go toolchain noted, for `go install`.
func ownCommit() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// writeVersion also says so when the daemon that runs is another version: that
// is what one sees after an update without a restart.
func writeVersion(w io.Writer, socket string, own control.Version, daemon *control.Version, err error) error {
	t := newTable("")
	t.add("ipmpd", own.Version)
	t.add("commit", orDash(own.Commit))
	t.add("go", own.Go)
	t.add("kernel", orDash(own.Kernel))
	var none *control.NoDaemonError
	switch {
	case errors.As(err, &none):
		t.add("daemon", "none at "+socket)
	case err != nil:
		t.add("daemon", oneLine(err))
	case daemon.Version != own.Version || daemon.Commit != own.Commit:
		t.add("daemon", strings.TrimSpace(fmt.Sprintf("%s %s at %s (restart it to run this version)", daemon.Version, daemon.Commit, socket)))
	default:
		t.add("daemon", "the same, at "+socket)
	}
	if daemon != nil && err == nil {
		t.add("kernel features in use", orDash(strings.Join(daemon.Features, ", ")))
	}
	return t.write(w)
}
