// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Carrier asks the kernel for an interface's carrier. Asking is right at once on every kernel,
// where the notification of a loss may be a second late (detection.md section 4). It belongs to
// one goroutine, which may be locked to a real-time thread; Ask does not allocate.
type Carrier struct {
	fd      int
	request [unix.SizeofNlMsghdr + unix.SizeofIfInfomsg + 8]byte
	in      []byte
	seq     uint32
}

// OpenCarrier opens the socket in the network namespace of the calling thread.
func OpenCarrier() (*Carrier, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	// Connected to the kernel: send and receive need no address. The answer is in the queue when
	// send returns; should it have been dropped, do not wait for ever.
	err = unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	if err == nil {
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("prepare netlink socket: %w", err)
	}
	c := &Carrier{fd: fd, in: make([]byte, 64<<10)}
	b := c.request[:]
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.RTM_GETLINK)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	appendSkipStatistics(b[:unix.SizeofNlMsghdr+unix.SizeofIfInfomsg])
	return c, nil
}

// Close closes the socket.
func (c *Carrier) Close() error { return unix.Close(c.fd) }

// Ask is IFLA_CARRIER of the interface, and IFF_UP: some drivers keep the carrier of an interface
// that is administratively down; and whether the kernel sends over it ([LinkEvent]). The error is
// ENODEV for one that does not exist. It waits while somebody holds the kernel's RTNL.
func (c *Carrier) Ask(ifindex int) (up, sends bool, err error) {
	c.seq++
	binary.NativeEndian.PutUint32(c.request[8:], c.seq)
	binary.NativeEndian.PutUint32(c.request[unix.SizeofNlMsghdr+4:], uint32(ifindex))
	if _, errno := c.call(unix.SYS_SENDTO, c.request[:]); errno != 0 {
		return false, false, errno
	}
	for {
		n, errno := c.call(unix.SYS_RECVFROM, c.in)
		if errno != 0 {
			return false, false, errno
		}
		// One message a datagram. An answer to an earlier question that timed out is skipped.
		b := c.in[:n]
		if n < unix.SizeofNlMsghdr || binary.NativeEndian.Uint32(b[8:]) != c.seq {
			continue
		}
		body := b[unix.SizeofNlMsghdr:min(n, int(binary.NativeEndian.Uint32(b)))]
		if binary.NativeEndian.Uint16(b[4:]) == unix.NLMSG_ERROR {
			if err := kernelError(body); err != nil {
				return false, false, err
			}
			return false, false, errTruncated
		}
		return carrierOf(body)
	}
}

func carrierOf(body []byte) (up, sends bool, err error) {
	if len(body) < unix.SizeofIfInfomsg {
		return false, false, errTruncated
	}
	up = binary.NativeEndian.Uint32(body[8:])&unix.IFF_UP != 0
	a := attrs{rest: body[unix.SizeofIfInfomsg:]}
	there := false
	for a.next() {
		switch a.typ {
		case unix.IFLA_OPERSTATE:
			sends = sending(a.u8())
		case unix.IFLA_CARRIER:
			up, there = up && a.u8() != 0, true
		}
	}
	if !there {
		return false, false, errTruncated
	}
	return up, up && sends, a.err
}

// sending: the kernel's linkwatch has seen the carrier of an interface with such an operstate. It is then
// that what is sent there is not dropped any more.
func sending(operstate uint8) bool {
	switch netlink.LinkOperState(operstate) {
	case netlink.OperNotPresent, netlink.OperDown, netlink.OperLowerLayerDown:
		return false
	}
	return true // of a driver that never says it is OperUnknown; dormant and testing have carrier
}

func (c *Carrier) call(number uintptr, b []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.Syscall6(number, uintptr(c.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}
