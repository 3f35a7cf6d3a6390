// SPDX-License-Identifier: Apache-2.0

package trial

import (
	"fmt"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// Stopped is a cut during which user space was stopped right after the switch.
type Stopped struct {
	Cut
	// StoppedAt and ResumedAt, ns after the cut. Before says that the stop came before the
	// daemon's routes: only then is the trial one.
	StoppedAt, ResumedAt time.Duration
	Before               bool
	// LostAfter are outbound packets lost of those sent from the first frame on the other member
	// until the daemon was resumed.
	LostAfter int
}

// stoppedFor is how long user space stays stopped.
const stoppedFor = 300 * time.Millisecond

// CutStopped cuts the first member and stops the daemon (SIGSTOP) as soon as the switch sees the
// first outbound frame on another member, which the verdict causes in the kernel before user space
// has touched routes or addresses. The daemon goes on 300 ms later.
func (t *Trial) CutStopped(kind Kind) (Stopped, error) {
	m := t.Lab.Members[0]
	s := Stopped{Cut: Cut{Kind: kind, Member: m.Name}}
	early, err := t.news()
	if err != nil {
		return s, err
	}
	s.Unexplained = failovers(early)
	if err := t.arm(m); err != nil {
		return s, err
	}
	stopped := make(chan int64, 1)
	failed := make(chan error, 1)
	ready := make(chan struct{})
	go t.stopAtSwitch(ready, stopped, failed)
	<-ready
	if s.At, err = t.pull(kind, m); err != nil {
		return s, err
	}
	select {
	case err := <-failed:
		s.Missed = true
		return s, err
	case at := <-stopped:
		s.StoppedAt = time.Duration(at - s.At)
		resume := at + int64(stoppedFor)
		if err := t.until(resume); err != nil {
			return s, err
		}
		s.ResumedAt = time.Duration(faults.Now() - s.At)
	}
	if s.Wire, err = t.wire(m, s.At); err != nil {
		return s, err
	}
	from := s.At + int64(s.Wire.Outbound)
	s.LostAfter = t.Outbound.Gap(from, s.At+int64(s.ResumedAt)).Lost
	s.Outbound = t.Outbound.Gap(s.At, s.At+int64(s.ResumedAt))
	s.Reference = t.Reference.Gap(s.At, s.At+int64(s.ResumedAt))
	if err := t.Daemon.Signal(syscall.SIGCONT); err != nil {
		return s, err
	}
	s.Missed = t.comesBack(s.At+int64(s.ResumedAt)) != nil
	if err := t.explain(&s.Cut); err != nil {
		return s, err
	}
	routes, done := s.Failover.Timeline["routes"]
	s.Before = done && time.Duration(routes) >= stoppedFor
	return s, nil
}

// stopAtSwitch watches the other members' ports from a thread above the daemon's priority.
func (t *Trial) stopAtSwitch(ready chan<- struct{}, stopped chan<- int64, failed chan<- error) {
	runtime.LockOSThread() // never given back: the priority goes with the thread
	const aboveDaemon = 90
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: aboveDaemon}
	err := unix.SchedSetAttr(0, &attr, 0)
	close(ready)
	if err != nil {
		failed <- fmt.Errorf("SCHED_FIFO: %w", err)
		return
	}
	pause := unix.NsecToTimespec(int64(10 * time.Microsecond))
	for deadline := faults.Now() + int64(bound); faults.Now() < deadline; {
		for _, m := range t.Lab.Members[1:] {
			c, err := m.Port.Count(faults.From, faults.IP(faults.Data))
			if err != nil {
				failed <- err
				return
			}
			if c.Packets == 0 {
				continue
			}
			if err := t.Daemon.Signal(syscall.SIGSTOP); err != nil {
				failed <- err
				return
			}
			stopped <- faults.Now()
			return
		}
		if err := unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &pause, nil); err != nil && err != unix.EINTR {
			failed <- err
			return
		}
	}
	failed <- fmt.Errorf("no outbound frame on another member within %s of the cut", bound)
}
