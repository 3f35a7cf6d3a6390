// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/netip"
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
	priority   = 10 // above all ordinary threads, below the daemon's 50
	batch      = 128
	drainEvery = 4 * time.Millisecond // the kernel stamps arrivals; the receiver need not hurry
)

// childSpec is one flow, as the parent tells it: inherited descriptors and a rate.
type childSpec struct {
	Send, Log   int
	Receive     []int
	Also        int            // a second sender that is not connected; 0: none
	Destination netip.AddrPort // of that one; IPv4
	Interval    time.Duration
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
	runtime.GOMAXPROCS(4) // raw system calls keep their processor
	flows := make([]*childFlow, len(specs))
	for i, spec := range specs {
		log, err := mapShared(spec.Log, unix.MAP_POPULATE)
		if err != nil {
			return err
		}
		flows[i] = &childFlow{childSpec: spec, shared: log}
		if spec.Also != 0 {
			to := &flows[i].to
			to.Family, to.Addr = unix.AF_INET, spec.Destination.Addr().As4()
			port := (*[2]byte)(unsafe.Pointer(&to.Port))
			binary.BigEndian.PutUint16(port[:], spec.Destination.Port())
		}
	}
	failed := make(chan error, 3)
	go func() { failed <- receive(flows) }()
	go func() { failed <- send(flows) }()
	go func() { // the parent closes it, or dies
		_, err := io.Copy(io.Discard, os.Stdin)
		failed <- err
	}()
	return <-failed
}

type childFlow struct {
	childSpec
	*shared
	every  uint64 // ticks from packet to packet
	packet [packetSize]byte
	to     unix.RawSockaddrInet4
	seen   []uint64 // sequence number + 1
}

// send is one thread for all flows: one wake-up a tick, where one for each flow would take a
// virtual machine's time from what is measured. It never returns but for an error.
func send(flows []*childFlow) error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("timer slack: %w", err)
	}
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: priority}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		return fmt.Errorf("SCHED_FIFO: %w", err)
	}
	interval := int64(flows[0].Interval)
	for _, f := range flows {
		interval = min(interval, int64(f.Interval))
	}
	for _, f := range flows {
		f.every = uint64(int64(f.Interval) / interval)
	}
	next := faults.Now()
	for tick := uint64(0); ; tick++ {
		next += interval
		late := (faults.Now() - next) / interval
		if late > 0 {
			next += late * interval
		}
		ts := unix.NsecToTimespec(next)
		for {
			_, _, errno := unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
			if errno != unix.EINTR {
				break
			}
		}
		for _, f := range flows {
			if late > 0 {
				f.late.Add(uint64(late))
			}
			if tick%f.every == 0 {
				f.sendOne()
			}
		}
	}
}

func (f *childFlow) sendOne() {
	seq := f.sent.Load()
	binary.BigEndian.PutUint64(f.packet[:], seq)
	f.tx[seq&(logSize-1)] = faults.Now()
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(f.Send), uintptr(unsafe.Pointer(&f.packet[0])), packetSize, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		f.errors.Add(1)
	}
	if f.Also != 0 { // refused while the source address is not there
		unix.RawSyscall6(unix.SYS_SENDTO, uintptr(f.Also), uintptr(unsafe.Pointer(&f.packet[0])), packetSize, unix.MSG_DONTWAIT,
			uintptr(unsafe.Pointer(&f.to)), unix.SizeofSockaddrInet4)
	}
	f.sent.Store(seq + 1)
}

type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   uint32
}

// receiver has room for a batch.
type receiver struct {
	packets [batch][packetSize]byte
	control [batch][64]byte
	iov     [batch]unix.Iovec
	msgs    [batch]mmsghdr
}

// receive is one thread for all flows. It never returns but for an error.
func receive(flows []*childFlow) error {
	runtime.LockOSThread()
	r := &receiver{}
	for i := range r.msgs {
		r.iov[i].Base = &r.packets[i][0]
		r.iov[i].SetLen(packetSize)
		r.msgs[i].hdr.Iov = &r.iov[i]
		r.msgs[i].hdr.SetIovlen(1)
		r.msgs[i].hdr.Control = &r.control[i][0]
	}
	for _, f := range flows {
		f.seen = make([]uint64, logSize)
	}
	pause := unix.NsecToTimespec(int64(drainEvery))
	for {
		for _, f := range flows {
			asked := faults.Now()
			for _, fd := range f.Receive {
				for r.drain(f, fd) == batch {
					if len(f.Receive) == 1 {
						asked = faults.Now()
					}
				}
			}
			f.drained.Store(asked)
		}
		unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, 0, uintptr(unsafe.Pointer(&pause)), 0, 0, 0)
	}
}

// drain logs one batch and tells its size.
func (r *receiver) drain(f *childFlow, fd int) int {
	for i := range r.msgs {
		r.msgs[i].hdr.SetControllen(len(r.control[i]))
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.msgs[0])), batch, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0 // EAGAIN, or an ICMP error that an earlier packet caused: the log tells what is lost
	}
	offset := monotonicOffset()
	for i := range r.msgs[:n] {
		at, ok := stamp(r.control[i][:r.msgs[i].hdr.Controllen])
		if !ok || r.msgs[i].len < 8 {
			continue
		}
		seq := binary.BigEndian.Uint64(r.packets[i][:])
		if s := &f.seen[seq&(logSize-1)]; *s == seq+1 {
			f.duplicates.Add(1)
		} else {
			*s = seq + 1
		}
		count := f.received.Load()
		f.rx[count&(logSize-1)] = arrival{seq, at + offset}
		f.received.Store(count + 1)
	}
	return int(n)
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
// be set while a flow runs. It is wrong by as much as this thread is kept waiting between the
// readings: of several, the one that took the shortest time.
func monotonicOffset() (offset int64) {
	const (
		tries = 8
		good  = 5 * time.Microsecond
	)
	shortest := time.Duration(math.MaxInt64)
	for i := 0; i < tries && shortest > good; i++ {
		var real unix.Timespec
		before := faults.Now()
		if err := unix.ClockGettime(unix.CLOCK_REALTIME, &real); err != nil {
			panic(err) // cannot fail: the clock exists and real is ours
		}
		if took := faults.Now() - before; time.Duration(took) < shortest {
			shortest, offset = time.Duration(took), before+took/2-real.Nano()
		}
	}
	return offset
}
