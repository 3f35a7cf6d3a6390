// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// since tells whether this kernel is of a version or newer.
func since(t testing.TB, major, minor int) bool {
	t.Helper()
	var name unix.Utsname
	require.NoError(t, unix.Uname(&name))
	var is [2]int
	_, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &is[0], &is[1])
	require.NoError(t, err)
	return is[0] > major || is[0] == major && is[1] >= minor
}

// isRealtime: a PREEMPT_RT kernel.
func isRealtime() bool {
	text, err := os.ReadFile("/sys/kernel/realtime")
	return err == nil && strings.TrimSpace(string(text)) == "1"
}

// hasTCX: a kernel that should have it and has not fails the test.
func hasTCX(t testing.TB) bool {
	t.Helper()
	_, err := queryTCX(loopback, ebpf.AttachTCXIngress)
	if errors.Is(err, ebpf.ErrNotSupported) {
		require.False(t, since(t, 6, 6), "no TCX here")
		return false
	}
	require.NoError(t, err)
	return true
}

// needModes skips, in words that the kernel matrix lists, what this kernel is too old for.
func needModes(t testing.TB, modes ...Mode) {
	t.Helper()
	for _, m := range modes {
		if m == ModeTCX && !hasTCX(t) {
			t.Skip("needs Linux 6.6: tcx")
		}
	}
}
