// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/bpf"
)

const (
	// sendBuffer is shared by all members: a NIC that never completes its transmissions keeps what
	// is in its ring charged to us, and must not silence the others.
	sendBuffer = 64 << 20

	// The carrier is asked for at each refused round for askEager, as the other end of a cable may refuse before the
	// carrier is gone here; then after askFirst, and ever less often, at least every askMost.
	askEager = int64(10 * time.Millisecond)
	askFirst = int64(time.Millisecond)
	askMost  = int64(100 * time.Millisecond)
)

// openSocket makes the one socket: it hears nothing (protocol 0), is bound to no interface, and
// bypasses queueing and with it our own egress switch.
func openSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open packet socket (needs CAP_NET_RAW): %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("set PACKET_QDISC_BYPASS: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("set SO_SNDBUFFORCE (needs CAP_NET_ADMIN): %w", err)
	}
	return fd, nil
}

// Close gives the socket back; call it after Run has ended.
func (p *Prober) Close() error { return unix.Close(p.fd) }

// send a round on every member, and say on which members it went out. sendmmsg stops at a message that fails and says why only when
// it is the first; so go on with the next one, or a dead member silences its siblings.
//
//go:nosplit
//go:norace
func (p *Prober) send(t *compiledTrack, n uint32, now int64) {
	messages := t.asked[n%uint32(len(t.asked))].messages
	members, first := len(t.members), t.first(n, now)
	for done := 0; done < members; {
		sent, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(p.fd),
			uintptr(unsafe.Pointer(&messages[first+done])), uintptr(members-done), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == unix.EINTR:
			continue
		case errno != 0 || sent == 0:
			p.refused(&t.members[(first+done)%members], errno, n, now)
			done++
		default:
			for range int(sent) {
				t.members[(first+done)%members].accepted(n, now)
				done++
			}
		}
	}
}

//go:nosplit
//go:norace
func (m *compiledMember) accepted(n uint32, now int64) {
	m.publish(n)
	m.state.accepted.Store(now)
	m.state.refused.Store(0)
	m.state.sendError.Store(0)
	m.state.askFrom, m.state.askNext, m.state.askBackoff = 0, 0, 0
}

// publish that round n went out here: from now on it can be missed here.
//
//go:nosplit
//go:norace
func (m *compiledMember) publish(n uint32) {
	atomic.StoreUint32(&m.shared.Slot[n&bpf.WindowMask].Sent, n)
	atomic.StoreUint32(&m.shared.Newest, n)
	m.state.sent.Add(1)
}

// refused by the kernel; detection.md section 1, "Send errors". An interface that is down or gone
// makes a miss. A full queue, ours or that of a NIC without carrier, makes the round void here. In
// either case the carrier says more: it is asked for.
//
//go:nosplit
//go:norace
func (p *Prober) refused(m *compiledMember, errno unix.Errno, n uint32, now int64) {
	m.state.sendError.Store(uint32(errno))
	switch errno {
	case unix.ENETDOWN, unix.ENXIO, unix.ENODEV:
		m.publish(n)
		m.state.refused.Store(0)
	default:
		if m.state.refused.Load() == 0 {
			m.state.refused.Store(now)
		}
	}
	if p.options.Questions == nil || now < m.state.askNext {
		return
	}
	p.options.Questions.Ask(m.number, m.ifindex)
	if m.state.askFrom == 0 {
		m.state.askFrom = now
	}
	if now-m.state.askFrom < askEager {
		return
	}
	m.state.askBackoff = min(max(2*m.state.askBackoff, askFirst), askMost)
	m.state.askNext = now + m.state.askBackoff
}
