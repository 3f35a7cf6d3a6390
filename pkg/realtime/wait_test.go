// SPDX-License-Identifier: Apache-2.0

package realtime

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func eventfd(t *testing.T) int {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func ring(t *testing.T, fd int) {
	_, err := unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	require.NoError(t, err)
}

// Either descriptor ends it, and so does the time.
func TestWait(t *testing.T) {
	a, b := eventfd(t), eventfd(t)
	require.NoError(t, Wait(a, b, 0))
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = Wait(a, b, 0) }))
	start := time.Now()
	require.NoError(t, Wait(a, -1, 2e6))
	require.GreaterOrEqual(t, time.Since(start), 2*time.Millisecond)
	for _, fd := range []int{a, b} {
		ended := make(chan error)
		go func() { ended <- Wait(a, b, Never) }()
		select {
		case <-ended:
			t.Fatal("nothing has happened")
		case <-time.After(5 * time.Millisecond):
		}
		ring(t, fd)
		require.NoError(t, <-ended)
		var left [8]byte
		_, err := unix.Read(fd, left[:])
		require.NoError(t, err)
	}
	require.NoError(t, Wait(1<<30, -1, Never), "one that is not open has an answer at once: whoever reads it hears of it")
}

// Go goes on while threads wait: collector, growing stacks, other goroutines.
func TestWaitersHinderNobody(t *testing.T) {
	var waiters sync.WaitGroup
	var turns atomic.Int64
	stop := eventfd(t)
	var stopped atomic.Bool
	for range 4 {
		fd := eventfd(t)
		waiters.Go(func() {
			runtime.LockOSThread()
			for !stopped.Load() {
				_ = Wait(fd, stop, 50_000)
				_ = make([]byte, 1<<12)
				turns.Add(1)
			}
		})
	}
	for end := time.Now().Add(10 * time.Second); turns.Load() < 2000 && time.Now().Before(end); {
		runtime.GC()
	}
	stopped.Store(true)
	ring(t, stop)
	waiters.Wait()
	require.GreaterOrEqual(t, turns.Load(), int64(2000))
}
