// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/lab"
)

// hostState is everything in the lab's host that ipmpd could touch, as text.
func hostState(t *testing.T, l *lab.Lab) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, l.InHost(func() error {
		commands := []string{"ip addr", "ip -d -4 route show table all", "ip -d -6 route show table all",
			"ip -d nexthop", "ip neigh", "ip rule", "ip maddr", "tc qdisc"}
		for _, m := range l.Members {
			commands = append(commands, "ip -d link show dev "+m.Name,
				"tc filter show dev "+m.Name+" ingress", "tc filter show dev "+m.Name+" egress")
		}
		for _, c := range commands {
			words := strings.Fields(c)
			out, err := exec.Command(words[0], words[1:]...).Output()
			if err != nil {
				return fmt.Errorf("%s: %w", c, err)
			}
			fmt.Fprintf(&b, "# %s\n%s", c, out)
		}
		for _, dir := range []string{"/proc/sys/net/ipv4", "/proc/sys/net/ipv6", "/sys/fs/bpf", l.Dir} {
			if err := files(&b, dir); err != nil {
				return err
			}
		}
		return nil
	}))
	// Entries age by themselves.
	return regexp.MustCompile(` (REACHABLE|STALE|DELAY|PROBE) ?\n`).ReplaceAllString(b.String(), "\n")
}

// files below a folder with what they say, where they say it in a line.
func files(b *strings.Builder, dir string) error {
	return filepath.WalkDir(dir, func(path string, f fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "%s", path)
		if strings.HasPrefix(path, "/proc/sys/") && !f.IsDir() {
			if value, err := os.ReadFile(path); err == nil { // some are for writing only
				fmt.Fprintf(b, " = %s", bytes.TrimSpace(value))
			}
		}
		b.WriteString("\n")
		return nil
	})
}

// settled waits for what a new lab does by itself: link-local addresses, and the routes with them.
func settled(t *testing.T, l *lab.Lab) {
	t.Helper()
	last := ""
	l.Require(t, "a host that rests", 20*time.Second, func() (bool, error) {
		now := hostState(t, l)
		same := now == last && !strings.Contains(now, "tentative") && strings.Count(now, "inet6 fe80::") >= len(l.Members)
		last = now
		return same, nil
	})
}

// inHost runs the binary in the lab's host without some capabilities.
func inHost(t *testing.T, l *lab.Lab, binary string, without []uintptr, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := l.InHost(func() error {
		// The thread ends with this function; its child has what it has.
		for _, c := range without {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
				return fmt.Errorf("drop capability %d: %w", c, err)
			}
		}
		return cmd.Run()
	})
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	require.NoError(t, ctx.Err(), "ipmpd went on:\n%s", errs.String())
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}
