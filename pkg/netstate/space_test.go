// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// space is a network namespace: a thread that lives in it and works for the test. It has no name,
// so it cannot be left behind.
type space struct {
	t    *testing.T
	tid  int
	work chan func()
}

func newSpace(t *testing.T) *space {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("network namespaces need root")
		}
		t.Skip("network namespaces need root")
	}
	s := &space{t: t, work: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		s.tid = unix.Gettid()
		ready <- unix.Unshare(unix.CLONE_NEWNET)
		for fn := range s.work {
			fn()
		}
	}()
	require.NoError(t, <-ready)
	t.Cleanup(func() { close(s.work) })
	return s
}

// do runs fn on the namespace's thread.
func (s *space) do(fn func() error) {
	s.t.Helper()
	done := make(chan error)
	s.work <- func() { done <- fn() }
	require.NoError(s.t, <-done)
}

// ip runs one ip(8) command in the namespace.
func (s *space) ip(args ...string) {
	s.t.Helper()
	s.do(func() error {
		out, err := exec.Command("ip", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
		return nil
	})
}

// eventually polls a condition with a deadline.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 10*time.Second, 2*time.Millisecond, what)
}
