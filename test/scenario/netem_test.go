// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
)

// needsNetem skips where this kernel has no network emulator; under test/vm, whose kernels have one, it fails.
func needsNetem(t *testing.T) {
	t.Helper()
	l := lab.Start(t, lab.Options{Members: 1})
	err := l.Members[0].Netem("delay", "1ms")
	if err != nil && os.Getenv("IPMPD_BINARY") == "" {
		t.Skipf("make test-vm has netem; here: %v", err)
	}
	require.NoError(t, err)
}

// TestBadWays: what comes to the host is late, in disorder, twice or not at all, from the start on. No member
// fails for it. One that then goes silent does, its traffic comes back over the other one, and it is used again
// when it answers again.
func TestBadWays(t *testing.T) {
	needsNetem(t)
	for _, row := range []struct {
		name       string
		hme0, hme1 string
	}{
		{"delay of one", "delay 5ms", "delay 0ms"},
		{"delay and jitter of all", "delay 3ms 2ms", "delay 3ms 2ms"},
		{"reorder", "delay 2ms reorder 50% 50%", "delay 2ms reorder 50% 50%"},
		{"duplicate", "duplicate 50%", "duplicate 50%"},
		{"loss", "loss 10%", "loss 10%"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := stage(t, setup{detection: 10 * time.Millisecond, prepare: func(t *testing.T, s *scene) {
				for i, args := range []string{row.hme0, row.hme1} {
					require.NoError(t, s.Members[i].Netem(strings.Fields(args)...))
				}
			}})
			s.at("hme0", lab.Data)
			s.pass(soak(t))
			require.Empty(t, words(s.news()), "a bad way is no failure")
			require.NoError(t, s.Members[0].CutSilent())
			s.expect("failover hme0")
			s.at("hme1", lab.Data)
			require.NoError(t, s.Members[0].Repair())
			s.expect("repair hme0", "failback hme0")
			s.at("hme0", lab.Data)
		})
	}
}
