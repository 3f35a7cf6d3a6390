// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
)

// needRoot skips on a laptop and fails in CI.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("needs root")
	}
	t.Skip("needs root")
}

func loadForTest(t testing.TB, opt Options) *Objects {
	t.Helper()
	needRoot(t)
	o, err := Load(opt)
	var verifier *ebpf.VerifierError
	if errors.As(err, &verifier) {
		t.Fatalf("%+v", verifier)
	}
	require.NoError(t, err)
	t.Cleanup(o.Close)
	require.NoError(t, o.loadPrograms())
	return o
}

func TestLoadBothConfirmers(t *testing.T) {
	for _, without := range []bool{false, true} {
		t.Run(fmt.Sprintf("without timer %v", without), func(t *testing.T) {
			o := loadForTest(t, Options{WithoutTimer: without})
			if !without && isRealtime() {
				require.False(t, o.Timer)
				t.Skip("needs a kernel without PREEMPT_RT: bpf_timer; the object without it was loaded in its place")
			}
			require.Equal(t, !without, o.Timer)
			require.Len(t, o.Instances(), Instances)
			require.Len(t, o.Tracks(), Tracks)
		})
	}
}
