// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// chunkMessages go to the kernel in one sendmsg. It works them off before sendmsg returns,
	// and the writer lock is held for no longer than that: 0.2 ms or so. (An IPv6 address among
	// 1,000 others takes 0.4 ms alone: with each, the kernel joins all groups of the interface anew.)
	chunkMessages = 16
	ackBuffer     = 1 << 20
	// The kernel answers within sendmsg; an answer that is not there after this was dropped.
	ackTimeoutSeconds = 2
)

// ErrNoAnswer says that the kernel's answer was lost: the operation may or may not be done.
var ErrNoAnswer = errors.New("no answer from the kernel")

// conn is the one reused netlink socket. Not safe for concurrent use: the writer lock guards it.
type conn struct {
	fd  int
	seq uint32
	in  []byte
	iov unix.Iovec
	msg unix.Msghdr
	to  unix.RawSockaddrNetlink
}

func openConn() (*conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	c := &conn{fd: fd, in: make([]byte, 32<<10)}
	c.to.Family = unix.AF_NETLINK
	fail := func(what string, err error) (*conn, error) {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("%s of the netlink socket: %w", what, err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fail("bind", err)
	}
	// Answers without the request's text, errors with the kernel's words.
	for _, o := range []int{unix.NETLINK_CAP_ACK, unix.NETLINK_EXT_ACK} {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, o, 1); err != nil {
			return fail("set options", err)
		}
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, ackBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, ackBuffer) // without CAP_NET_ADMIN of the first namespace
	}
	timeout := unix.Timeval{Sec: ackTimeoutSeconds}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return fail("set timeout", err)
	}
	return c, nil
}

func (c *conn) close() error { return unix.Close(c.fd) }

// stamp numbers the messages in buf and asks for an answer to the last one; failures are
// answered in any case. It returns the number of messages.
func (c *conn) stamp(buf []byte) (first uint32, n int) {
	first = c.seq + 1
	last := -1
	for at := 0; at+unix.SizeofNlMsghdr <= len(buf); {
		size := int(binary.NativeEndian.Uint32(buf[at:]))
		flags := binary.NativeEndian.Uint16(buf[at+6:]) &^ unix.NLM_F_ACK
		binary.NativeEndian.PutUint16(buf[at+6:], flags)
		c.seq++
		binary.NativeEndian.PutUint32(buf[at+8:], c.seq)
		last = at
		n++
		at += size
	}
	if last >= 0 {
		flags := binary.NativeEndian.Uint16(buf[last+6:])
		binary.NativeEndian.PutUint16(buf[last+6:], flags|unix.NLM_F_ACK)
	}
	return first, n
}

// Exchange sends buf, whole messages of one chunk, and reports each failure by the message's
// number. The kernel performs the messages in order; a failed one does not stop the rest. It
// does not allocate unless something fails.
func (c *conn) Exchange(buf []byte, failed func(i int, err error)) {
	first, n := c.stamp(buf)
	if n == 0 {
		return
	}
	if errno := c.transfer(unix.SYS_SENDMSG, buf); errno != 0 {
		for i := range n {
			failed(i, fmt.Errorf("send to the kernel: %w", errno))
		}
		return
	}
	for {
		size, errno := c.receive()
		if errno != 0 {
			for i := range n {
				failed(i, fmt.Errorf("%w: %w", ErrNoAnswer, errno))
			}
			return
		}
		if c.answers(c.in[:size], first, n, failed) {
			return
		}
	}
}

// answers reads acknowledgements; true when the last one of the chunk was among them.
func (c *conn) answers(b []byte, first uint32, n int, failed func(i int, err error)) bool {
	done := false
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			break
		}
		typ, seq := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint32(b[8:])
		i := int(seq - first)
		if typ == unix.NLMSG_ERROR && size >= unix.SizeofNlMsghdr+4 && i >= 0 && i < n {
			if code := int32(binary.NativeEndian.Uint32(b[16:])); code != 0 {
				failed(i, kernelError(unix.Errno(-code), b[:size]))
			}
			done = done || i == n-1
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return done
}

// kernelError adds the kernel's words (NLMSGERR_ATTR_MSG) where there are any.
func kernelError(errno unix.Errno, b []byte) error {
	at := unix.SizeofNlMsghdr + 4 + unix.SizeofNlMsghdr
	for at+4 <= len(b) {
		size, typ := int(binary.NativeEndian.Uint16(b[at:])), binary.NativeEndian.Uint16(b[at+2:])
		if size < 4 || at+size > len(b) {
			break
		}
		if typ&^nlaNested == unix.NLMSGERR_ATTR_MSG && size > 5 {
			return fmt.Errorf("%w (%s)", errno, b[at+4:at+size-1])
		}
		at += (size + 3) &^ 3
	}
	return errno
}

func (c *conn) transfer(call uintptr, buf []byte) unix.Errno {
	_, errno := c.call(call, buf)
	return errno
}

func (c *conn) receive() (int, unix.Errno) { return c.call(unix.SYS_RECVMSG, c.in) }

// call is sendmsg or recvmsg with everything in place: no allocation. Not RawSyscall, as the
// kernel may wait for the RTNL for long.
func (c *conn) call(call uintptr, buf []byte) (int, unix.Errno) {
	c.iov.Base = &buf[0]
	c.iov.SetLen(len(buf))
	c.msg = unix.Msghdr{Iov: &c.iov}
	c.msg.SetIovlen(1)
	if call == unix.SYS_SENDMSG {
		c.msg.Name = (*byte)(unsafe.Pointer(&c.to))
		c.msg.Namelen = unix.SizeofSockaddrNetlink
	}
	for {
		n, _, errno := unix.Syscall(call, uintptr(c.fd), uintptr(unsafe.Pointer(&c.msg)), 0)
		if errno != unix.EINTR {
			c.iov.Base = nil
			return int(n), errno
		}
	}
}
