// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// script stands for a daemon: it tells where it runs, leaves something in the bpffs, and ends
// with exit code 7 on SIGTERM if its configuration says so.
const script = `#!/bin/sh
echo "args $*"
echo "ns $(readlink /proc/self/ns/net)"
echo "links $(ls /sys/class/net | tr '\n' ' ')"
echo "pins $(ls /sys/fs/bpf | tr '\n' ' ')"
mkdir -p /sys/fs/bpf/pinned
trap "exit $(cat "$7")" TERM
echo up
while :; do sleep 0.01; done
`

func TestDaemonLivesInTheHost(t *testing.T) {
	l := Start(t, Options{})
	binary := filepath.Join(t.TempDir(), "daemon")
	require.NoError(t, os.WriteFile(binary, []byte(script), 0o700))
	d, err := l.Daemon(binary, "0")
	require.NoError(t, err)
	read := func() string {
		log, err := os.ReadFile(d.Log)
		require.NoError(t, err)
		return string(log)
	}
	ups := func(n int) func() (bool, error) {
		return func() (bool, error) { return strings.Count(read(), "up\n") == n, nil }
	}
	l.Require(t, "start", 5*time.Second, ups(1))
	require.False(t, d.Ended())
	var host unix.Stat_t
	require.NoError(t, unix.Stat(filepath.Join(netnsDir, l.Host.Name), &host))
	require.Contains(t, read(), "ns net:["+strconv.FormatUint(host.Ino, 10)+"]")
	require.Contains(t, read(), "links hme0 hme1 lo")
	require.Contains(t, read(), "--socket "+d.Socket+" --state "+d.State)
	require.NotContains(t, read(), " pinned")

	require.NoError(t, d.Kill())
	require.True(t, d.Ended())
	require.NoError(t, d.Start())
	l.Require(t, "start after a crash", 5*time.Second, ups(2))
	require.Contains(t, read(), " pinned", "pins outlive the daemon")

	require.NoError(t, d.Stop())
	require.NoError(t, d.Configure("7"))
	require.NoError(t, d.Start())
	l.Require(t, "start after a stop", 5*time.Second, ups(3))
	require.ErrorContains(t, d.Stop(), "exit status 7")
	_, err = os.Stat("/sys/fs/bpf/pinned")
	require.ErrorIs(t, err, os.ErrNotExist, "the machine's own bpffs is not touched")
}

func TestWaitTellsTheState(t *testing.T) {
	l := Start(t, Options{})
	err := l.Wait("nothing", time.Millisecond, func() (bool, error) { return false, os.ErrInvalid })
	require.ErrorIs(t, err, os.ErrInvalid)
	require.ErrorContains(t, err, "192.0.2.1/24")
	require.ErrorContains(t, err, l.Host.Name)
	begun := time.Now()
	require.Error(t, l.Wait("a lost cause", time.Hour, func() (bool, error) { return false, Fatal(os.ErrInvalid) }))
	require.Less(t, time.Since(begun), time.Minute)
}
