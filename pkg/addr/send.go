// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

// Sender sends Ethernet frames past the queueing discipline, and so past our own egress switch.
// One unbound socket serves all interfaces of the namespace in which it was opened.
type Sender struct {
	fd int

	mu   sync.Mutex
	keep burst
}

// OpenSender opens the socket in the network namespace of the calling thread.
func OpenSender() (*Sender, error) {
	// Protocol 0: it receives nothing.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("bypass the queueing discipline: %w", err)
	}
	return &Sender{fd: fd}, nil
}

// Close closes the socket.
func (s *Sender) Close() error {
	if s.fd < 0 {
		return nil
	}
	return unix.Close(s.fd)
}

// Send sends the frames in order. One that fails does not stop the others; the error is the
// first one, with its interface.
func (s *Sender) Send(frames []Frame) (sent int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep.set(frames)
	sent, at, errno := s.keep.send(s.fd, 0, len(frames))
	s.keep.frames = nil
	if errno != 0 {
		return sent, fmt.Errorf("announce %s on interface %d: %w", frames[at].Address, frames[at].Link, errno)
	}
	return sent, nil
}

// burst is a list of frames made ready for sendmmsg.
type burst struct {
	frames []Frame // keeps Data alive; the kernel is given pointers into it
	to     []unix.RawSockaddrLinklayer
	iov    []unix.Iovec
	msgs   []mmsghdr
}

// room for n frames.
func (b *burst) room(n int) {
	if cap(b.msgs) < n {
		b.to = make([]unix.RawSockaddrLinklayer, n)
		b.iov = make([]unix.Iovec, n)
		b.msgs = make([]mmsghdr, n)
	}
}

func (b *burst) set(frames []Frame) {
	b.frames = frames
	b.room(len(frames))
	b.to, b.iov, b.msgs = b.to[:len(frames)], b.iov[:len(frames)], b.msgs[:len(frames)]
	for i := range frames {
		f := &frames[i]
		b.to[i] = unix.RawSockaddrLinklayer{Family: unix.AF_PACKET, Ifindex: int32(f.Link), Halen: 6}
		copy(b.to[i].Addr[:], f.Data[:6])
		copy((*[2]byte)(unsafe.Pointer(&b.to[i].Protocol))[:], f.Data[12:14]) // big-endian both
		b.iov[i].Base = &f.Data[0]
		b.iov[i].SetLen(len(f.Data))
		b.msgs[i] = mmsghdr{hdr: unix.Msghdr{
			Name:    (*byte)(unsafe.Pointer(&b.to[i])),
			Namelen: unix.SizeofSockaddrLinklayer,
			Iov:     &b.iov[i],
		}}
		b.msgs[i].hdr.SetIovlen(1)
	}
}

// send sends frames from up to (not including) to. sendmmsg stops at the first that fails; it
// goes on with the next, or a dead member would silence the others. It does not allocate.
func (b *burst) send(fd, from, to int) (sent, failed int, first unix.Errno) {
	for from < to {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd),
			uintptr(unsafe.Pointer(&b.msgs[from])), uintptr(to-from), 0, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			if first == 0 {
				first, failed = errno, from
			}
			from++
			continue
		}
		sent += int(n)
		from += int(n)
	}
	return sent, failed, first
}
