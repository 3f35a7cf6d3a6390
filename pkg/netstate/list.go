// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// errInterrupted: the kernel changed the table while it was dumped (NLM_F_DUMP_INTR).
var errInterrupted = errors.New("table changed while it was listed")

const dumpTries = 8

// lister asks for whole tables. Not safe for concurrent use.
type lister struct {
	fd  int
	seq uint32
	in  []byte
}

func openLister() (*lister, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	// Strict: the kernel filters by what the request says, and does not add cached exceptions.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("bind netlink socket: %w", err)
	}
	return &lister{fd: fd, in: make([]byte, 64<<10)}, nil
}

func (l *lister) close() error { return unix.Close(l.fd) }

// dump calls fn with the body of every entry of a table; body begins with the family's header.
// reset is called before each try.
func (l *lister) dump(typ uint16, request []byte, reset func(), fn func(body []byte) error) error {
	for range dumpTries {
		reset()
		err := l.dumpOnce(typ, request, fn)
		if !errors.Is(err, errInterrupted) {
			return err
		}
	}
	return errInterrupted
}

func (l *lister) dumpOnce(typ uint16, request []byte, fn func(body []byte) error) error {
	l.seq++
	msg := make([]byte, unix.SizeofNlMsghdr, unix.SizeofNlMsghdr+len(request))
	binary.NativeEndian.PutUint32(msg, uint32(cap(msg)))
	binary.NativeEndian.PutUint16(msg[4:], typ)
	binary.NativeEndian.PutUint16(msg[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	binary.NativeEndian.PutUint32(msg[8:], l.seq)
	msg = append(msg, request...)
	if err := unix.Sendto(l.fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask for table %d: %w", typ, err)
	}
	interrupted, done := false, false
	var failed error // the dump is read to its end all the same, so that the next one starts clean
	for !done {
		n, err := l.receive()
		if err != nil {
			return fmt.Errorf("read table %d: %w", typ, err)
		}
		err = messages(l.in[:n], func(h header, body []byte) error {
			if h.seq != l.seq {
				return nil
			}
			interrupted = interrupted || h.flags&unix.NLM_F_DUMP_INTR != 0
			switch h.typ {
			case unix.NLMSG_DONE, unix.NLMSG_ERROR:
				done = true
				if err := kernelError(body); err != nil {
					return fmt.Errorf("list table %d: %w", typ, err)
				}
				return nil
			}
			return fn(body)
		})
		if failed == nil {
			failed = err
		}
	}
	if failed == nil && interrupted {
		return errInterrupted
	}
	return failed
}

// receive reads one datagram; a larger one than ever before makes the buffer grow first.
func (l *lister) receive() (int, error) {
	for {
		n, _, err := unix.Recvfrom(l.fd, nil, unix.MSG_PEEK|unix.MSG_TRUNC)
		if err == nil && n > len(l.in) {
			l.in = make([]byte, n)
		}
		if err == nil {
			n, _, err = unix.Recvfrom(l.fd, l.in, 0)
		}
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

func (l *lister) links() (out []Link, err error) {
	request := make([]byte, unix.SizeofIfInfomsg, unix.SizeofIfInfomsg+8)
	request = appendSkipStatistics(request)
	err = l.dump(unix.RTM_GETLINK, request, func() { out = nil }, func(b []byte) error {
		x, err := parseLink(b)
		out = append(out, x)
		return err
	})
	return out, err
}

func appendSkipStatistics(b []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, 8)
	b = binary.NativeEndian.AppendUint16(b, unix.IFLA_EXT_MASK)
	return binary.NativeEndian.AppendUint32(b, skipStatistics)
}

func (l *lister) addresses() (out []Address, err error) {
	err = l.dump(unix.RTM_GETADDR, make([]byte, unix.SizeofIfAddrmsg), func() { out = nil }, func(b []byte) error {
		x, err := parseAddress(b)
		out = append(out, x)
		return err
	})
	return out, err
}

func (l *lister) routes(keep func(*Route) bool) (out []Route, err error) {
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		from := len(out)
		request := make([]byte, unix.SizeofRtMsg)
		request[0], request[7] = family, unix.RTN_UNICAST
		err = l.dump(unix.RTM_GETROUTE, request, func() { out = out[:from] }, func(b []byte) error {
			x, ok, err := parseRoute(b)
			// Without IPv6 in the kernel, asking for it lists IPv4 again.
			if ok && b[0] == family && (keep == nil || keep(&x)) {
				out = append(out, x)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (l *lister) nexthops() (out []Nexthop, err error) {
	err = l.dump(unix.RTM_GETNEXTHOP, make([]byte, unix.SizeofNhmsg), func() { out = nil }, func(b []byte) error {
		x, err := parseNexthop(b)
		out = append(out, x)
		return err
	})
	return out, err
}

func (l *lister) neighbors() (out []Neighbor, err error) {
	err = l.dump(unix.RTM_GETNEIGH, make([]byte, unix.SizeofNdMsg), func() { out = nil }, func(b []byte) error {
		x, ok, err := parseNeighbor(b)
		if ok {
			out = append(out, x)
		}
		return err
	})
	return out, err
}
