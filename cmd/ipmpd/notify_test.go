// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeSystemd listens where NOTIFY_SOCKET points.
func fakeSystemd(t *testing.T) (next func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() string {
		buf := make([]byte, 1024)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
		n, err := conn.Read(buf)
		require.NoError(t, err)
		return string(buf[:n])
	}
}

func TestNotify(t *testing.T) {
	next := fakeSystemd(t)
	n := &notifier{log: slog.New(slog.DiscardHandler)}
	n.Ready("1 group")
	require.Equal(t, "READY=1\nSTATUS=1 group", next())
	n.Status("1 group, degraded")
	require.Equal(t, "STATUS=1 group, degraded", next())
	n.Stopping()
	require.Equal(t, "STOPPING=1", next())
}

func TestWatchdog(t *testing.T) {
	next := fakeSystemd(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", "")
	var healthy atomic.Bool
	healthy.Store(true)
	asked := make(chan struct{}, 1000)
	n := &notifier{log: slog.New(slog.DiscardHandler), healthy: func() bool {
		asked <- struct{}{}
		return healthy.Load()
	}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	require.Equal(t, "WATCHDOG=1", next())
	require.Equal(t, "WATCHDOG=1", next())

	// While it is not healthy it is asked, and says nothing.
	healthy.Store(false)
	for len(asked) > 0 {
		<-asked
	}
	for range 3 {
		<-asked
	}
	n.Status("now")
	for seen := next(); seen != "STATUS=now"; seen = next() {
		require.Equal(t, "WATCHDOG=1", seen, "sent before it fell ill")
	}
	for range 3 {
		<-asked
	}
	n.Status("later")
	require.Equal(t, "STATUS=later", next(), "and nothing between")

	healthy.Store(true)
	require.Equal(t, "WATCHDOG=1", next())
	cancel()
	require.NoError(t, <-ended)
}

func TestNoWatchdog(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	n := &notifier{log: slog.New(slog.DiscardHandler), healthy: func() bool { t.Error("nobody asked"); return true }}
	n.Ready("x")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, n.Run(ctx))
	t.Setenv("WATCHDOG_USEC", "soon")
	require.ErrorContains(t, n.Run(ctx), "read the watchdog's interval")
}
