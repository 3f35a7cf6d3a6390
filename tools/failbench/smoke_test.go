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

// TestInterruptAndGoOn: an interrupted run keeps what is finished and leaves no namespace; the next one adds
// what is missing, and a cell that cannot run says why.
func TestInterruptAndGoOn(t *testing.T) {
	binary, out := built(t), t.TempDir()
	path := filepath.Join(out, "cells", "ipmpd-tcx-icmp-1ms.silent.json")
	once := func(ctx context.Context, n int) error {
		return benchmark(ctx, options{binary: binary, out: out, only: `^ipmpd-tcx-icmp-1ms\.silent$`, n: n, turnLen: n}, &bytes.Buffer{})
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- once(ctx, 1000) }()
	require.Eventually(t, func() bool { _, err := os.Stat(path); return err == nil }, time.Minute, time.Millisecond)
	cancel()
	require.ErrorContains(t, <-ended, "interrupted")
	spaces, err := os.ReadDir("/run/netns")
	require.NoError(t, err)
	for _, s := range spaces {
		require.False(t, strings.HasPrefix(s.Name(), fmt.Sprintf("ipmplab-%d-", os.Getpid())), "%s is left", s.Name())
	}
	first, err := result.Load(path)
	require.NoError(t, err)
	require.NotEmpty(t, first.Samples)
	require.Empty(t, first.NotRun)

	want := len(first.Samples) + 1
	require.NoError(t, once(t.Context(), want))
	c, err := result.Load(path)
	require.NoError(t, err)
	require.Len(t, c.Samples, want)
	require.Equal(t, first.Samples, c.Samples[:want-1], "what was there is kept")
	for _, s := range c.Samples {
		require.False(t, s.Unrecovered)
		require.Positive(t, s.Inbound.Lost)
		require.Positive(t, s.Outbound.Lost)
		require.GreaterOrEqual(t, s.Outbound.Gap, int64(2*time.Millisecond), "three rounds of 1 ms have to be missed")
		require.Less(t, s.Outbound.Start, s.Outbound.End)
		require.LessOrEqual(t, s.Outbound.Start, int64(time.Millisecond), "the gap begins with the cut")
		require.Positive(t, s.Moves)
	}
	text, err := os.ReadFile(filepath.Join(out, "report.md"))
	require.NoError(t, err)
	require.Regexp(t, regexp.MustCompile(fmt.Sprintf(`\| ipmpd-tcx-icmp-1ms \| %d \| [1-9]`, want)), string(text))
	require.FileExists(t, filepath.Join(out, "plots", "cdf-silent-inbound.svg"))
	require.FileExists(t, filepath.Join(out, "configs", "ipmpd-tcx-icmp-1ms", "ipmpd.yaml"))
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
