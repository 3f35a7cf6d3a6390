// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// ear hears at the peer which addresses are announced: ARP frames whose sender is one of them.
type ear struct {
	file *os.File
	done chan struct{}
	want map[netip.Addr]bool

	mu    sync.Mutex
	first map[netip.Addr]int64 // CLOCK_MONOTONIC ns
}

func (b *bench) listen(ifname string, want map[netip.Addr]bool) (*ear, error) {
	link, err := b.rack.Wire.Link(ifname)
	if err != nil {
		return nil, err
	}
	e := &ear{want: want, done: make(chan struct{}), first: map[netip.Addr]int64{}}
	err = b.rack.Wire.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("packet socket: %w", err)
		}
		e.file = os.NewFile(uintptr(fd), "ear")
		const arp = uint16(0x0608) // ETH_P_ARP, big-endian
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: arp, Ifindex: link.Attrs().Index}))
	})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", ifname, err)
	}
	go e.run()
	return e, nil
}

func (e *ear) close() {
	_ = e.file.Close()
	<-e.done
}

func (e *ear) run() {
	defer close(e.done)
	raw, err := e.file.SyscallConn()
	if err != nil {
		return
	}
	frame, control := make([]byte, 256), make([]byte, 128)
	for {
		var n, c int
		err := raw.Read(func(fd uintptr) bool {
			var errno error
			n, c, _, _, errno = unix.Recvmsg(int(fd), frame, control, unix.MSG_DONTWAIT)
			return !errors.Is(errno, unix.EAGAIN)
		})
		if err != nil {
			return // closed
		}
		if n >= 42 {
			e.take(netip.AddrFrom4([4]byte(frame[28:32])), stamp(control[:c]))
		}
	}
}

// stamp of the kernel, in CLOCK_MONOTONIC.
func stamp(control []byte) int64 {
	list, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(list) == 0 || len(list[0].Data) < 16 {
		return faults.Now()
	}
	sec := int64(le(list[0].Data[:8]))
	nsec := int64(le(list[0].Data[8:16]))
	return faults.Now() - (time.Now().UnixNano() - (sec*1e9 + nsec))
}

func le(b []byte) (v uint64) {
	for i := range b {
		v |= uint64(b[i]) << (8 * i)
	}
	return v
}

func (e *ear) take(ip netip.Addr, at int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, known := e.first[ip]; !known && e.want[ip] {
		e.first[ip] = at
	}
}

func (e *ear) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.first = map[netip.Addr]int64{}
}

func (e *ear) heard() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.first)
}

// span is when the first and the last address was heard of.
func (e *ear) span() (first, last int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, at := range e.first {
		if first == 0 || at < first {
			first = at
		}
		last = max(last, at)
	}
	return first, last
}
