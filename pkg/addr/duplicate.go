// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// checkTime is how long CheckDuplicates takes.
	checkTime = 500 * time.Millisecond
	// checkProbes are sent for each address, checkGap apart; the last answer has 50 ms at the least.
	checkProbes = 3
	checkGap    = 150 * time.Millisecond
	// checkNap is the longest that a cancelled check goes on.
	checkNap = 20 * time.Millisecond
	// checkBuffer holds the answers of as many addresses as a configuration may have.
	checkBuffer = 8 << 20
)

// Claim is an address that is about to be used for the first time.
type Claim struct {
	// Link is the interface index of the member that will have it, MAC the member's.
	Link    int
	MAC     MAC
	Address netip.Addr
}

// CheckDuplicates asks the links for all addresses at the same time and returns, after 500 ms, those
// that somebody else has or is about to take, with the MAC that said so: ARP probes (RFC 5227 2.1.1)
// and neighbour solicitations without a source (RFC 4862 5.4), evenly spread, three for each. What
// MACs of own, those of this host, send is no answer. A link that does not carry the question gives
// none either: it should have carrier.
//
// It works in the network namespace of the calling thread. It may be called concurrently.
func CheckDuplicates(ctx context.Context, claims []Claim, own []MAC) (map[netip.Addr]MAC, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	c := check{claims: claims, open: make(map[linkIP]bool, len(claims)), own: make(map[MAC]bool),
		found: make(map[netip.Addr]MAC), buf: make([]byte, 2048)}
	for _, claim := range claims {
		c.open[linkIP{claim.Link, claim.Address}] = true
		c.own[claim.MAC] = true
	}
	for _, mac := range own {
		c.own[mac] = true
	}
	defer c.close()
	if err := c.openSockets(); err != nil {
		return nil, err
	}
	return c.found, c.run(ctx)
}

// check is one run of CheckDuplicates.
type check struct {
	claims []Claim
	open   map[linkIP]bool
	own    map[MAC]bool
	found  map[netip.Addr]MAC

	sender   *Sender
	arp, ndp int // sockets; 0: not opened
	buf      []byte
	sent     int // probes of all claims
}

func (c *check) openSockets() (err error) {
	if c.sender, err = OpenSender(); err != nil {
		return err
	}
	if c.arp, err = listen(unix.ETH_P_ARP, nil); err != nil {
		return err
	}
	c.ndp, err = listen(unix.ETH_P_IPV6, solicitationsAndAdvertisements)
	return err
}

func (c *check) close() {
	if c.sender != nil {
		_ = c.sender.Close()
	}
	for _, fd := range []int{c.arp, c.ndp} {
		if fd > 0 {
			_ = unix.Close(fd)
		}
	}
}

// solicitationsAndAdvertisements lets only those of IPv6 neighbour discovery through: a host may have
// a lot of other traffic.
var solicitationsAndAdvertisements = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: etherLen + 6}, // next header
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: icmpv6, Jf: 4},
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: etherLen + ipv6Len}, // type
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: icmpNS, Jt: 1},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: icmpNA, Jf: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 16},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
}

// listen to one protocol on all interfaces. Of one protocol, a packet socket hears nothing that this
// host sends.
func listen(protocol uint16, filter []unix.SockFilter) (int, error) {
	fail := func(fd int, err error) (int, error) {
		_ = unix.Close(fd)
		return 0, fmt.Errorf("listen for duplicate addresses: %w", err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, fmt.Errorf("open packet socket: %w", err)
	}
	if len(filter) > 0 {
		program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
		if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program); err != nil {
			return fail(fd, err)
		}
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, checkBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, checkBuffer)
	}
	// Bound, and so heard from, only now that the filter is there.
	network := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, protocol))
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: network}); err != nil {
		return fail(fd, err)
	}
	return fd, nil
}

// run sends and listens in turn. A probe that cannot be sent is not answered either; the others are.
func (c *check) run(ctx context.Context) error {
	for start := time.Now(); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		elapsed := time.Since(start)
		if elapsed >= checkTime {
			return nil
		}
		next := c.sendDue(elapsed)
		if err := c.wait(min(max(next-elapsed, time.Millisecond), checkNap, checkTime-elapsed)); err != nil {
			return err
		}
		c.hear(c.arp)
		c.hear(c.ndp)
	}
}

// sendDue sends what is due and returns when the next probe is: evenly over each gap, as switches
// shut ports that burst.
func (c *check) sendDue(elapsed time.Duration) (next time.Duration) {
	var frames []Frame
	n := len(c.claims)
	for ; c.sent < checkProbes*n; c.sent++ {
		next = time.Duration(c.sent/n)*checkGap + checkGap*time.Duration(c.sent%n)/time.Duration(n)
		if next > elapsed {
			_, _ = c.sender.Send(frames)
			return next
		}
		// Also after an answer: somebody who asks for the same address at the same time shall hear it.
		claim := &c.claims[c.sent%n]
		frames = append(frames, Frame{Link: claim.Link, Address: claim.Address,
			Data: appendProbe(nil, claim.Address, claim.MAC)})
	}
	_, _ = c.sender.Send(frames)
	return checkTime
}

func (c *check) wait(d time.Duration) error {
	fds := []unix.PollFd{{Fd: int32(c.arp), Events: unix.POLLIN}, {Fd: int32(c.ndp), Events: unix.POLLIN}}
	timeout := unix.NsecToTimespec(d.Nanoseconds())
	if _, err := unix.Ppoll(fds, &timeout, nil); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for duplicate addresses: %w", err)
	}
	return nil
}

// hear all that has come. What a full buffer has lost is asked for again.
func (c *check) hear(fd int) {
	for {
		n, from, err := unix.Recvfrom(fd, c.buf, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENETDOWN) {
			continue // the latter: an interface went down, which is news for others
		}
		if err != nil {
			return
		}
		ll, ok := from.(*unix.SockaddrLinklayer)
		// What is for another host may have come with the tag of another VLAN.
		if !ok || ll.Pkttype == unix.PACKET_OTHERHOST {
			continue
		}
		ip, mac, ok := claimant(c.buf[:n])
		if ok && c.open[linkIP{ll.Ifindex, ip}] && !c.own[mac] {
			c.found[ip] = mac
		}
	}
}
