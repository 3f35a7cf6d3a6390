// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// pollers are the kernel threads that poll our members' queues, by process id.
func pollers(t *testing.T) map[int]string {
	t.Helper()
	all := map[int]string{}
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	require.NoError(t, err)
	for _, name := range names {
		comm, err := os.ReadFile(name)
		if err == nil && strings.HasPrefix(string(comm), "napi/m") {
			var pid int
			_, err := fmt.Sscanf(name, "/proc/%d/comm", &pid)
			require.NoError(t, err)
			all[pid] = string(comm)
		}
	}
	return all
}

// threaded has the members' queues polled by threads of their own, all on one CPU.
func (r *rig) threaded(t *testing.T, cpu int) {
	t.Helper()
	before := pollers(t)
	sys := t.TempDir()
	require.NoError(t, unix.Unshare(unix.CLONE_FS|unix.CLONE_NEWNS))
	require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	require.NoError(t, unix.Mount("sysfs", sys, "sysfs", 0, ""))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(sys, unix.MNT_DETACH)) })
	for _, l := range r.links {
		name := filepath.Join(sys, "class/net", l.Attrs().Name, "threaded")
		require.NoError(t, os.WriteFile(name, []byte("1"), 0o644))
	}
	var set unix.CPUSet
	set.Set(cpu)
	ours := 0
	for pid := range pollers(t) {
		if _, old := before[pid]; !old && unix.SchedSetaffinity(pid, &set) == nil {
			ours++
		}
	}
	require.GreaterOrEqual(t, ours, rigCount)
}

// starving runs fn where no ordinary thread of this CPU gets a turn.
func starving(t *testing.T, fn func()) {
	t.Helper()
	attr := func(policy uint32, priority uint32) *unix.SchedAttr {
		return &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy, Priority: priority}
	}
	require.NoError(t, unix.SchedSetAttr(0, attr(unix.SCHED_FIFO, 1), 0))
	defer func() { require.NoError(t, unix.SchedSetAttr(0, attr(unix.SCHED_NORMAL, 0), 0)) }()
	fn()
}

// Threaded NAPI on a CPU that was starved for five rounds: a thread per member drains its queue,
// one after the other, and the confirmation's timer comes in between.
func TestStarvedThreadedNAPI(t *testing.T) {
	const rounds, interval = burstFrames / 2, 5 * time.Millisecond
	for _, without := range []bool{false, true} {
		t.Run(fmt.Sprintf("without timer %v", without), func(t *testing.T) {
			r := newRig(t, without)
			r.threaded(t, r.pin(t))
			b := r.burst(t)
			suspicions := uint32(0)
			for try := range 20 {
				s := r.scenario(t, 0)
				s.track(0).IntervalNs = uint32(interval)
				s.warm(t)
				starving(t, func() {
					for i := range rounds {
						s.begin(t, 0, s.next, time.Duration(rounds-i)*interval, 0, 0, 1, 2)
						s.next++
					}
					for _, i := range []int{1 - try%2, try % 2} {
						for n := s.next - rounds; n < s.next; n++ {
							b.add(t, s.links[i].Attrs().ParentIndex, s.goodProbe(i, 0, n).frame())
						}
					}
					b.send(t)
					require.EqualValues(t, first+2, atomic.LoadUint32(&s.inst(0, 0).Acked), "not starved")
				})
				for i := range 2 {
					require.Eventually(t, func() bool { return atomic.LoadUint32(&s.inst(i, 0).Acked) == s.next-1 }, deadline, time.Millisecond)
				}
				suspicions += s.inst(0, 0).Suspicions
				s.round(t, 0, 0, 1)
				s.usable(t)
			}
			require.NotZero(t, suspicions, "no suspicion arose: this is no stall")
		})
	}
}
