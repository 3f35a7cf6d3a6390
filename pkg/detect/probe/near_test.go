// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/bpf"
)

// The reader is where the prober is, on whichever CPU that may be, if both are real-time.
func TestReaderIsNearTheProber(t *testing.T) {
	ring, prog := events(t)
	var all unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &all))
	var cpus []int
	for cpu := range 64 * len(all) {
		if all.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	for _, c := range []struct {
		cpu      int
		priority int
	}{{cpus[0], 1}, {cpus[len(cpus)-1], 1}, {cpus[0], 0}} {
		p, err := New(Options{Realtime: Realtime{Priority: c.priority, CPUs: []int{c.cpu}}})
		require.NoError(t, err)
		var where atomic.Pointer[unix.CPUSet]
		var priority atomic.Uint32
		r := &Reader{Events: ring, Prober: p, Realtime: Realtime{Priority: c.priority}, Event: func(*bpf.Event, int64) {
			var set unix.CPUSet
			if unix.SchedGetaffinity(0, &set) == nil {
				where.Store(&set)
			}
			if attr, err := unix.SchedGetAttr(0, 0); err == nil {
				priority.Store(attr.Priority)
			}
		}}
		t.Run("", func(t *testing.T) {
			start(t, p.Run)
			start(t, r.Run)
			hear := func() *unix.CPUSet {
				_, _, err := prog.Test(make([]byte, 64))
				require.NoError(t, err)
				return where.Load()
			}
			want := unix.CPUSet{}
			want.Set(c.cpu)
			if c.priority == 0 {
				want = all
			}
			require.Eventually(t, func() bool { set := hear(); return set != nil && *set == want }, 10*time.Second, time.Millisecond)
			if c.priority > 0 {
				require.EqualValues(t, c.priority+1, priority.Load())
			} else {
				require.Zero(t, p.near.thread.Load(), "an ordinary thread")
			}
		})
		require.Zero(t, p.near.thread.Load(), "it has ended")
		require.NoError(t, p.Close())
	}
}
