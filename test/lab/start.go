// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"os"
	"testing"
	"time"
)

// Start builds a lab for a test, which is skipped without root, but fails under CI=true. The lab
// goes with the test, and tells its state when the test has failed.
func Start(t testing.TB, opts Options) *Lab {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	l, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(l.Dump())
		}
		if err := l.Close(); err != nil {
			t.Errorf("close lab: %v", err)
		}
	})
	return l
}

// Require is [Lab.Wait] for a test: it ends the test when the limit passes.
func (l *Lab) Require(t testing.TB, what string, limit time.Duration, ok func() (bool, error)) {
	t.Helper()
	if err := l.Wait(what, limit, ok); err != nil {
		t.Fatal(err)
	}
}
