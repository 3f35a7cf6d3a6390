// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/notify"
)

// Set by the linker (Makefile).
var (
	version = "devel"
	commit  = ""
)

func main() {
	os.Exit(run(os.Args, os.Stdout, os.Stderr))
}

// run is the whole program: args[0] is the name that it was called by. It
// returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	// However often the signal comes: every command ends with its context, and
	// the daemon's exit code stays 0.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return runContext(ctx, args, stdout, stderr)
}

// runContext is run for a program that ends with ctx.
func runContext(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := dispatch(ctx, args, stdout, stderr)
	if err == nil {
		return exitOK
	}
	name := programName(args[0])
	fmt.Fprintf(stderr, "%s: %s\n", name, oneLine(err))
	if name != "ipmpd" {
		return exitFailure // Solaris' commands have no other
	}
	return exitCode(err)
}

// programName by which the program was called; whatever is not Solaris' is ipmpd.
func programName(arg0 string) string {
	if name := filepath.Base(arg0); name == "ipmpstat" || name == "if_mpadm" {
		return name
	}
	return "ipmpd"
}

func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if args[0] == notify.HelperName {
		return notify.Serve(ctx, os.Stdin, stdout)
	}
	var root *cobra.Command
	switch programName(args[0]) {
	case "ipmpstat":
		root = newIpmpstatCommand()
	case "if_mpadm":
		root = newMpadmCommand()
	default:
		root = newRootCommand()
	}
	root.SetArgs(args[1:])
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}

// The exit codes of contract section 2.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
	exitConfig  = 3 // systemd must not restart
)

// exitError is an error that ends the program with a code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usageError is for a command line that is wrong.
func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

func exitCode(err error) int {
	var e *exitError
	if errors.As(err, &e) {
		return e.code
	}
	var c *config.Error
	if errors.As(err, &c) {
		return exitConfig
	}
	return exitFailure
}

// oneLine keeps the promise of one line, whatever the error brings along.
func oneLine(err error) string {
	lines := strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines, ", ")
}
