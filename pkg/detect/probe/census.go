// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/bpf"
)

const (
	censusTime  = time.Second
	mostAnswers = 64 // heard: this host's other interfaces may be among them

	typeEchoReply  = 0
	typeEchoReply6 = 129
)

var (
	allHosts = netip.MustParseAddr("224.0.0.1")
	allNodes = netip.MustParseAddr("ff02::1")
)

// Census asks everybody on a link who is there: one echo request to all hosts, or all nodes, that no
// router passes on. Spec section 3.2.
type Census struct {
	Link   int        // interface index
	Source netip.Addr // test address
	ID     uint16     // of the echo; not a Member's, whose replies the BPF programs take
}

// Take asks once, and calls found for each answer of the next second, up to the 64th. It ends early
// with ctx, without an error. It needs CAP_NET_RAW, and runs in the present network namespace.
func (c *Census) Take(ctx context.Context, found func(netip.Addr)) error {
	fd, err := c.open()
	if err != nil {
		return fmt.Errorf("ask everybody from %v on interface %d: %w", c.Source, c.Link, err)
	}
	socket := os.NewFile(uintptr(fd), "census")
	defer socket.Close()
	if err := socket.SetReadDeadline(time.Now().Add(censusTime)); err != nil {
		return fmt.Errorf("wait for answers to everybody: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = socket.SetReadDeadline(time.Unix(1, 0)) })()
	nonce := rand.Uint64()
	if err := unix.Sendto(fd, c.question(nonce), 0, c.everybody()); err != nil {
		return fmt.Errorf("ask everybody from %v on interface %d: %w", c.Source, c.Link, err)
	}
	return c.hear(socket, nonce, found)
}

// open a raw socket that sends from the source, on the link, to its end only, and hears echo replies.
func (c *Census) open() (fd int, err error) {
	kind := unix.SOCK_RAW | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	type option struct{ level, name, value int }
	var options []option
	var source unix.Sockaddr
	if c.Source.Is4() {
		fd, err = unix.Socket(unix.AF_INET, kind, unix.IPPROTO_ICMP)
		options = []option{
			{unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 1}, {unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0},
			{unix.SOL_RAW, icmpFilter, ^(1 << typeEchoReply)},
		}
		source = &unix.SockaddrInet4{Addr: c.Source.As4()}
	} else {
		fd, err = unix.Socket(unix.AF_INET6, kind, unix.IPPROTO_ICMPV6)
		options = []option{
			{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 1}, {unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0},
			{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, c.Link},
		}
		source = &unix.SockaddrInet6{Addr: c.Source.As16(), ZoneId: uint32(c.Link)}
	}
	if err != nil {
		return -1, fmt.Errorf("open socket: %w", err)
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	options = append(options, option{unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, c.Link})
	for _, o := range options {
		if err = unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return -1, fmt.Errorf("set option %d of level %d: %w", o.name, o.level, err)
		}
	}
	if c.Source.Is6() {
		filter := &unix.ICMPv6Filter{}
		for i := range filter.Data {
			filter.Data[i] = ^uint32(0)
		}
		filter.Data[typeEchoReply6/32] &^= 1 << (typeEchoReply6 % 32)
		if err = unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, filter); err != nil {
			return -1, fmt.Errorf("hear echo replies only: %w", err)
		}
	}
	if err = unix.Bind(fd, source); err != nil {
		return -1, fmt.Errorf("bind: %w", err)
	}
	return fd, nil
}

// icmpFilter is ICMP_FILTER of linux/icmp.h: types whose bit is set are not heard.
const icmpFilter = 1

func (c *Census) everybody() unix.Sockaddr {
	if c.Source.Is4() {
		return &unix.SockaddrInet4{Addr: allHosts.As4()}
	}
	return &unix.SockaddrInet6{Addr: allNodes.As16(), ZoneId: uint32(c.Link)}
}

// question has the form of a probe, of no round. The kernel makes the checksum of IPv6.
func (c *Census) question(nonce uint64) []byte {
	kind := byte(typeEcho)
	if c.Source.Is6() {
		kind = typeEcho6
	}
	b := make([]byte, icmpSize+payloadSize)
	e := echo(b, 0, kind, c.ID, 0)
	binary.BigEndian.PutUint64(b[16:], nonce)
	if c.Source.Is4() {
		binary.BigEndian.PutUint16(b[2:], fold(e.sum+sum16(b[16:])))
	}
	return b
}

// hear answers until the deadline of the socket.
func (c *Census) hear(socket *os.File, nonce uint64, found func(netip.Addr)) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return fmt.Errorf("hear answers to everybody: %w", err)
	}
	buf := make([]byte, 256)
	for heard := 0; heard < mostAnswers; {
		var n int
		var from unix.Sockaddr
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			n, from, failed = unix.Recvfrom(int(fd), buf, 0)
			return failed != unix.EAGAIN
		})
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return fmt.Errorf("hear answers to everybody: %w", err)
		case failed != nil:
			return fmt.Errorf("hear answers to everybody: %w", failed)
		}
		if who := senderOf(from); c.answers(buf[:n], nonce) && who.IsValid() {
			heard++
			found(who)
		}
	}
	return nil
}

// answers reports whether a message, with its header if it is IPv4, is a reply to the question.
func (c *Census) answers(b []byte, nonce uint64) bool {
	reply := byte(typeEchoReply6)
	if c.Source.Is4() {
		if len(b) < ipv4Size || b[0]>>4 != 4 || int(b[0]&15)*4 < ipv4Size || len(b) < int(b[0]&15)*4 {
			return false
		}
		b, reply = b[int(b[0]&15)*4:], typeEchoReply
	}
	return len(b) >= icmpSize+payloadSize && b[0] == reply && b[1] == 0 &&
		binary.BigEndian.Uint16(b[4:]) == c.ID && binary.BigEndian.Uint32(b[8:]) == bpf.ProbeMagic &&
		binary.BigEndian.Uint64(b[16:]) == nonce
}

func senderOf(a unix.Sockaddr) netip.Addr {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(a.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(a.Addr)
	}
	return netip.Addr{}
}
