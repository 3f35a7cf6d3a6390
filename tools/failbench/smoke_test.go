// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/flow"
	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

func TestMain(m *testing.M) {
	flow.Child()
	burn()
	os.Exit(m.Run())
}

// built is the daemon from the source as it is.
func built(t *testing.T) string {
	if os.Geteuid() != 0 {
		lab.Start(t, lab.Options{}) // says that it needs root
	}
	binary := filepath.Join(t.TempDir(), "ipmpd")
	build := exec.Command("go", "build", "-o", binary, "../../cmd/ipmpd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return binary
}

// long is for what does not fit into the ten minutes of `make test`: `make ci` runs it after that.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("LONG") == "" {
		t.Skip("LONG=1: `make ci` runs it")
	}
}

// bench is a cell that is measured into a directory.
type bench struct {
	t           *testing.T
	binary, out string
}

func (b *bench) measure(ctx context.Context, n int) error {
	return benchmark(ctx, options{binary: b.binary, out: b.out, only: `^ipmpd-tcx-icmp-1ms\.silent$`, n: n, turnLen: n}, &bytes.Buffer{})
}

func (b *bench) path() string { return filepath.Join(b.out, "cells", "ipmpd-tcx-icmp-1ms.silent.json") }

// interrupt the measurement when the first sample is there, and tell what is kept.
func (b *bench) interrupt() *result.Cell {
	ctx, cancel := context.WithCancel(b.t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- b.measure(ctx, 1000) }()
	require.Eventually(b.t, func() bool { _, err := os.Stat(b.path()); return err == nil }, time.Minute, time.Millisecond)
	cancel()
	require.ErrorContains(b.t, <-ended, "interrupted")
	c, err := result.Load(b.path())
	require.NoError(b.t, err)
	return c
}

// TestInterrupt: an interrupted run keeps what is finished and leaves no namespace.
func TestInterrupt(t *testing.T) {
	b := &bench{t, built(t), t.TempDir()}
	c := b.interrupt()
	require.NotEmpty(t, c.Samples)
	require.Empty(t, c.NotRun)
	for _, s := range c.Samples {
		require.False(t, s.Unrecovered)
		require.Positive(t, s.Inbound.Lost)
		require.Positive(t, s.Outbound.Lost)
		require.GreaterOrEqual(t, s.Outbound.Gap, int64(2*time.Millisecond), "three rounds of 1 ms have to be missed")
		require.Less(t, s.Outbound.Start, s.Outbound.End)
		require.LessOrEqual(t, s.Outbound.Start, int64(time.Millisecond), "the gap begins with the cut")
		require.Positive(t, s.Moves)
	}
	spaces, err := os.ReadDir("/run/netns")
	require.NoError(t, err)
	for _, s := range spaces {
		require.False(t, strings.HasPrefix(s.Name(), fmt.Sprintf("ipmplab-%d-", os.Getpid())), "%s is left", s.Name())
	}
	text, err := os.ReadFile(filepath.Join(b.out, "report.md"))
	require.NoError(t, err)
	require.Regexp(t, regexp.MustCompile(fmt.Sprintf(`\| ipmpd-tcx-icmp-1ms \| %d \| [1-9]`, len(c.Samples))), string(text))
	require.FileExists(t, filepath.Join(b.out, "plots", "box-silent.svg"))
	require.FileExists(t, filepath.Join(b.out, "configs", "ipmpd-tcx-icmp-1ms", "ipmpd.yaml"))
}

// TestGoOn: a second run adds what is missing.
func TestGoOn(t *testing.T) {
	long(t)
	b := &bench{t, built(t), t.TempDir()}
	first := b.interrupt()
	want := len(first.Samples) + 1
	require.NoError(t, b.measure(t.Context(), want))
	c, err := result.Load(b.path())
	require.NoError(t, err)
	require.Len(t, c.Samples, want)
	require.Equal(t, first.Samples, c.Samples[:want-1], "what was there is kept")
}

func TestMissingContender(t *testing.T) {
	out := t.TempDir()
	o := options{binary: filepath.Join(out, "no-such"), out: out, only: `^ipmpd-link\.carrier$`}
	require.NoError(t, benchmark(t.Context(), o, &bytes.Buffer{}))
	c, err := result.Load(filepath.Join(out, "cells", "ipmpd-link.carrier.json"))
	require.NoError(t, err)
	require.Contains(t, c.NotRun, "no-such")
	text, err := os.ReadFile(filepath.Join(out, "report.md"))
	require.NoError(t, err)
	require.Contains(t, string(text), "ipmpd-link.carrier: not run: ")
	o.strict = true
	require.ErrorContains(t, benchmark(t.Context(), o, &bytes.Buffer{}), "did not run")
}
