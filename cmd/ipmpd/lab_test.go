// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/notify"
	"github.com/ipmpd/ipmpd/test/lab"
)

// asDaemon in the environment makes this test binary ipmpd itself, for tests in a lab.
const asDaemon = "IPMPD_TEST_BINARY_IS_IPMPD"

func TestMain(m *testing.M) {
	// A daemon's helper has no environment that would say so.
	if os.Getenv(asDaemon) != "" || os.Args[0] == notify.HelperName {
		retryDuplicate = time.Second
		main()
	}
	os.Exit(m.Run())
}

// startLab with a daemon's binary, this one.
func startLab(t *testing.T, opts lab.Options) (*lab.Lab, string) {
	t.Helper()
	l := lab.Start(t, opts)
	t.Setenv(asDaemon, "1")
	binary, err := os.Executable()
	require.NoError(t, err)
	return l, binary
}

// startDaemon in the lab's host.
func startDaemon(t *testing.T, l *lab.Lab, binary, config string) *lab.Daemon {
	t.Helper()
	d, err := l.Daemon(binary, config)
	require.NoError(t, err)
	return d
}

func logOf(t *testing.T, d *lab.Daemon) string {
	t.Helper()
	text, err := os.ReadFile(d.Log)
	require.NoError(t, err)
	return string(text)
}

// until a condition of the daemon's status holds.
func until(t *testing.T, l *lab.Lab, d *lab.Daemon, what string, ok func(lab.GroupStatus) bool) {
	t.Helper()
	l.Require(t, what, 20*time.Second, func() (bool, error) {
		if d.Ended() {
			return false, lab.Fatal(os.ErrProcessDone)
		}
		s, err := d.Status()
		if err != nil {
			return false, err
		}
		return len(s.Groups) == 1 && ok(s.Groups[0]), nil
	})
}

// addressesOf a status, in one line: ADDRESS STATE INTERFACE.
func addressesOf(g lab.GroupStatus) string {
	var list []string
	for _, a := range g.Addresses {
		list = append(list, strings.TrimSpace(a.Address+" "+a.State+" "+a.Interface))
	}
	return strings.Join(list, ", ")
}
