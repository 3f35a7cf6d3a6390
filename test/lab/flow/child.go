// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/lab/faults"
)

const (
	childEnv   = "IPMPLAB_FLOW"
	packetSize = 64
	batch      = 128
	drainEvery = 2 * time.Millisecond // the kernel stamps arrivals; the receiver need not hurry
)

// childSpec is one flow, as the parent tells it: inherited descriptors and a rate.
type childSpec struct {
	Send, Receive, Log int
	Interval           time.Duration
	Priority           int
}

// Child runs the senders and receivers and does not return, when this process was started for
// that; else it returns at once. Call it first in main and TestMain.
func Child() {
	text := os.Getenv(childEnv)
	if text == "" {
		return
	}
	if err := child(text); err != nil {
		fmt.Fprintln(os.Stderr, "flow:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func child(text string) error {
	var specs []childSpec
	if err := json.Unmarshal([]byte(text), &specs); err != nil {
		return fmt.Errorf("decode %s: %w", childEnv, err)
	}
	debug.SetGCPercent(-1)
	runtime.GOMAXPROCS(2*len(specs) + 2) // raw system calls keep their processor
	failed := make(chan error, 2*len(specs))
	for _, spec := range specs {
		log, err := mapShared(spec.Log, unix.MAP_POPULATE)
		if err != nil {
			return err
		}
		go func() { failed <- receive(spec, log) }()
		go func() { failed <- send(spec, log) }()
	}
	go func() { // the parent closes it, or dies
		_, err := io.Copy(io.Discard, os.Stdin)
		failed <- err
	}()
	return <-failed
}

// send never returns but for an error.
func send(spec childSpec, log *shared) error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("timer slack: %w", err)
	}
	if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: uint32(spec.Priority)}, 0); err != nil {
		return fmt.Errorf("SCHED_FIFO: %w", err)
	}
	packet := make([]byte, packetSize)
	next := faults.Now()
	for seq := uint64(0); ; seq++ {
		next += int64(spec.Interval)
		if late := (faults.Now() - next) / int64(spec.Interval); late > 0 {
			log.late.Add(uint64(late))
			next += late * int64(spec.Interval)
		}
		ts := unix.NsecToTimespec(next)
		for {
			_, _, errno := unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
			if errno != unix.EINTR {
				break
			}
		}
		binary.BigEndian.PutUint64(packet, seq)
		log.tx[seq&(logSize-1)] = faults.Now()
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(spec.Send), uintptr(unsafe.Pointer(&packet[0])), packetSize, unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 {
			log.errors.Add(1)
		}
		log.sent.Store(seq + 1)
	}
}

type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   uint32
}

// receive never returns but for an error.
func receive(spec childSpec, log *shared) error {
	runtime.LockOSThread()
	var (
		packets [batch][packetSize]byte
		control [batch][64]byte
		iov     [batch]unix.Iovec
		msgs    [batch]mmsghdr
		seen    = make([]uint64, logSize) // sequence number + 1
		count   uint64
	)
	for i := range msgs {
		iov[i].Base = &packets[i][0]
		iov[i].SetLen(packetSize)
		msgs[i].hdr.Iov = &iov[i]
		msgs[i].hdr.SetIovlen(1)
		msgs[i].hdr.Control = &control[i][0]
	}
	pause := unix.NsecToTimespec(int64(drainEvery))
	for {
		for i := range msgs {
			msgs[i].hdr.SetControllen(len(control[i]))
		}
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(spec.Receive), uintptr(unsafe.Pointer(&msgs[0])), batch, unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 {
			// EAGAIN, or an ICMP error that an earlier packet caused: the log tells what is lost.
			unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, 0, uintptr(unsafe.Pointer(&pause)), 0, 0, 0)
			continue
		}
		offset := monotonicOffset()
		for i := range msgs[:n] {
			at, ok := stamp(control[i][:msgs[i].hdr.Controllen])
			if !ok || msgs[i].len < 8 {
				continue
			}
			seq := binary.BigEndian.Uint64(packets[i][:])
			if s := &seen[seq&(logSize-1)]; *s == seq+1 {
				log.duplicates.Add(1)
			} else {
				*s = seq + 1
			}
			log.rx[count&(logSize-1)] = arrival{seq, at + offset}
			count++
			log.received.Store(count)
		}
		if n < batch {
			unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, 0, uintptr(unsafe.Pointer(&pause)), 0, 0, 0)
		}
	}
}

// stamp reads SCM_TIMESTAMPNS (CLOCK_REALTIME) of a packet.
func stamp(control []byte) (int64, bool) {
	const header = unix.SizeofCmsghdr
	if len(control) < header+16 {
		return 0, false
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	if h.Level != unix.SOL_SOCKET || h.Type != unix.SCM_TIMESTAMPNS {
		return 0, false
	}
	return (*unix.Timespec)(unsafe.Pointer(&control[header])).Nano(), true
}

// monotonicOffset is what a CLOCK_REALTIME stamp lacks to CLOCK_MONOTONIC, now: the wall clock may
// be set while a flow runs.
func monotonicOffset() int64 {
	var real unix.Timespec
	before := faults.Now()
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &real); err != nil {
		panic(err) // cannot fail: the clock exists and real is ours
	}
	return before + (faults.Now()-before)/2 - real.Nano()
}
