// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// States of a BFD session (RFC 5880 4.1), as a control packet carries them.
const (
	bfdAdminDown = 0
	bfdDown      = 1
	bfdUp        = 3
)

// bfdEnd listens to the control packets that one end of a session sends, on its own interface and so before
// any cut, with the kernel's time stamps. That its state is down is known from the first packet that says so.
type bfdEnd struct {
	fd   int
	done chan struct{}

	mu     sync.Mutex
	states []bfdState
}

// bfdState is a state and the stamp, CLOCK_MONOTONIC ns, of the first and last packet in a row that said so.
type bfdState struct {
	state       byte
	first, last int64
}

// listenBFD on an interface of a namespace.
func listenBFD(ns *lab.Netns, ifname string) (*bfdEnd, error) {
	link, err := ns.Link(ifname)
	if err != nil {
		return nil, err
	}
	e := &bfdEnd{done: make(chan struct{})}
	err = ns.Do(func() error {
		e.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("packet socket: %w", err)
		}
		if err := onlyBFD(e.fd); err != nil {
			return fmt.Errorf("filter: %w", err)
		}
		if err := unix.SetsockoptInt(e.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
			return fmt.Errorf("time stamps: %w", err)
		}
		wake := unix.NsecToTimeval(int64(100 * time.Millisecond)) // to see that it is to end
		if err := unix.SetsockoptTimeval(e.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wake); err != nil {
			return err
		}
		return unix.Bind(e.fd, &unix.SockaddrLinklayer{Protocol: 0x0300, Ifindex: link.Attrs().Index}) // ETH_P_ALL
	})
	if err != nil {
		return nil, fmt.Errorf("listen to BFD on %s: %w", ifname, err)
	}
	go e.read()
	return e, nil
}

// onlyBFD lets IPv4 UDP to port 3784 through, without IP options.
func onlyBFD(fd int) error {
	raw, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0x0800, SkipTrue: 5},
		bpf.LoadAbsolute{Off: 23, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_UDP, SkipTrue: 3},
		bpf.LoadAbsolute{Off: 36, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 3784, SkipTrue: 1},
		bpf.RetConstant{Val: 128},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
}

func (e *bfdEnd) read() {
	frame, control := make([]byte, 128), make([]byte, 64)
	for {
		select {
		case <-e.done:
			_ = unix.Close(e.fd)
			return
		default:
		}
		n, oobn, _, from, err := unix.Recvmsg(e.fd, frame, control, 0)
		if err != nil {
			continue // the time-out, or ENETDOWN when the carrier goes
		}
		sender, ok := from.(*unix.SockaddrLinklayer)
		if !ok || sender.Pkttype != unix.PACKET_OUTGOING {
			continue
		}
		if state, ok := bfdStateOf(frame[:n]); ok {
			e.note(state, arrivedAt(control[:oobn]))
		}
	}
}

// arrivedAt is the stamp, as CLOCK_MONOTONIC ns; now where there is none.
func arrivedAt(control []byte) int64 {
	now := faults.Now()
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(messages) == 0 || len(messages[0].Data) < 16 {
		return now
	}
	var real unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &real); err != nil {
		return now
	}
	return now - (real.Nano() - timespec(messages[0].Data))
}

// bfdStateOf an Ethernet frame with IPv4 and UDP to port 3784.
func bfdStateOf(frame []byte) (state byte, ok bool) {
	const control = 14 + 20 + 8
	if len(frame) < control+24 || frame[control]>>5 != 1 {
		return 0, false
	}
	return frame[control+1] >> 6, true
}

func (e *bfdEnd) note(state byte, at int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := len(e.states); n > 0 && e.states[n-1].state == state {
		e.states[n-1].last = at
		return
	}
	e.states = append(e.states, bfdState{state, at, at})
}

// up tells whether the last packet said so, a tenth of a second ago at most.
func (e *bfdEnd) up() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := len(e.states)
	return n > 0 && e.states[n-1].state == bfdUp && faults.Now()-e.states[n-1].last < int64(100*time.Millisecond)
}

// down is when it first said that it is down, after a moment; 0: it has not.
func (e *bfdEnd) down(after int64) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.states {
		if s.first > after && (s.state == bfdDown || s.state == bfdAdminDown) {
			return s.first
		}
	}
	return 0
}

func (e *bfdEnd) close() { close(e.done) }
