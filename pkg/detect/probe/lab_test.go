// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/bpf"
)

// wire is two members with a cable each into one bridge, whose addresses are the targets:
//
//	here                    there (a namespace of its own)
//	m0 192.0.2.11 ── p0 ┐
//	m1 192.0.2.12 ── p1 ┴ br0 192.0.2.1, 2001:db8::1
//
// Both namespaces have no name, and go when the test's thread and handles are gone. The test's
// thread is in `here`; what the BPF program at a member's ingress does with a reply, ingress does.
type wire struct {
	t         *testing.T
	here      *netlink.Handle
	there     *netlink.Handle
	thereNS   netns.NsHandle
	instances []bpf.Instance
	tracks    []bpf.Track
	plan      *Plan
}

func newWire(t *testing.T) *wire {
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	// Never unlocked: the thread ends with the test's goroutine, and is not used by others.
	runtime.LockOSThread()
	thereNS, err := netns.New()
	require.NoError(t, err)
	t.Cleanup(func() { thereNS.Close() })
	hereNS, err := netns.New()
	require.NoError(t, err)
	t.Cleanup(func() { hereNS.Close() })
	w := &wire{
		t: t, thereNS: thereNS,
		instances: make([]bpf.Instance, bpf.Instances), tracks: make([]bpf.Track, bpf.Tracks),
	}
	w.here = handle(t, hereNS)
	w.there = handle(t, thereNS)
	w.build()
	return w
}

func handle(t *testing.T, ns netns.NsHandle) *netlink.Handle {
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	require.NoError(t, err)
	t.Cleanup(h.Close)
	return h
}

func (w *wire) build() {
	t := w.t
	br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
	require.NoError(t, w.there.LinkAdd(br))
	w.address(w.there, br, "192.0.2.1/24")
	w.address(w.there, br, "2001:db8::1/64")
	require.NoError(t, w.there.LinkSetUp(br))
	w.plan = testPlan(2, 1)
	w.plan.Tracks[0].Interval = time.Millisecond
	for i := range 2 {
		near, far := fmt.Sprint("m", i), fmt.Sprint("p", i)
		require.NoError(t, w.here.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: near}, PeerName: far, PeerNamespace: netlink.NsFd(w.thereNS),
		}))
		m, p := w.link(w.here, near), w.link(w.there, far)
		require.NoError(t, w.there.LinkSetMaster(p, br))
		require.NoError(t, w.there.LinkSetUp(p))
		w.address(w.here, m, fmt.Sprintf("192.0.2.1%d/24", 1+i))
		require.NoError(t, w.here.LinkSetUp(m))
		member := &w.plan.Tracks[0].Members[i]
		member.Ifindex = m.Attrs().Index
		copy(member.MAC[:], m.Attrs().HardwareAddr)
	}
	// Only now: a new port may give the bridge another MAC, which flushes its neighbours.
	for i, m := range w.plan.Tracks[0].Members {
		for _, ip := range []netip.Addr{m.Source, source6(i)} {
			require.NoError(t, w.there.NeighSet(&netlink.Neigh{
				LinkIndex: br.Index, IP: ip.AsSlice(), HardwareAddr: m.MAC[:], State: netlink.NUD_PERMANENT,
			}))
		}
	}
	copy(w.plan.Tracks[0].Targets[0].MAC[:], w.link(w.there, "br0").Attrs().HardwareAddr)
}

// source6 is member i's IPv6 test address, 2001:db8::11 or ::12.
func source6(i int) netip.Addr {
	a := netip.MustParseAddr("2001:db8::11").As16()
	a[15] += byte(i)
	return netip.AddrFrom16(a)
}

func (w *wire) link(h *netlink.Handle, name string) netlink.Link {
	l, err := h.LinkByName(name)
	require.NoError(w.t, err)
	return l
}

func (w *wire) address(h *netlink.Handle, l netlink.Link, prefix string) {
	p := netip.MustParsePrefix(prefix)
	require.NoError(w.t, h.AddrAdd(l, &netlink.Addr{
		IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())},
		Flags: unix.IFA_F_NODAD,
	}))
}

// prober of the wire; its plan is in force.
func (w *wire) prober(q *Questions) *Prober {
	p, err := New(Options{Instances: w.instances, Tracks: w.tracks, Questions: q})
	require.NoError(w.t, err)
	w.t.Cleanup(func() { p.Close() })
	w.plan.Publish(w.instances, w.tracks)
	require.NoError(w.t, p.Update(w.plan))
	return p
}

// socket hears all the frames of a namespace's interfaces, also those that a bridge takes.
func (w *wire) socket(there bool) int {
	if !there {
		return w.keep(openTap())
	}
	fds := make(chan int)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread stays in the other namespace
		if netns.Set(w.thereNS) != nil {
			fds <- -1
			return
		}
		fds <- openTap()
	}()
	return w.keep(<-fds)
}

// openTap in the thread's namespace; -1 where that fails.
func openTap() int {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(networkOrder16(unix.ETH_P_ALL)))
	if err != nil {
		return -1
	}
	// A test that is kept off the CPU for some milliseconds loses nothing.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20) != nil {
		return -1
	}
	return fd
}

func (w *wire) keep(fd int) int {
	require.GreaterOrEqual(w.t, fd, 0)
	w.t.Cleanup(func() { unix.Close(fd) })
	require.NoError(w.t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 20_000}))
	return fd
}

// received is a frame and where it came in.
type received struct {
	bytes   []byte
	ifindex int
}

func (r received) is(kind uint16) bool { return binary.BigEndian.Uint16(r.bytes[12:]) == kind }

// receive the next incoming frame; false after 20 ms without one.
func (w *wire) receive(fd int) (received, bool) {
	buf := make([]byte, 2048)
	for {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return received{}, false
		}
		ll := from.(*unix.SockaddrLinklayer)
		if ll.Pkttype == unix.PACKET_OUTGOING || n < etherSize {
			continue
		}
		return received{buf[:n], ll.Ifindex}, true
	}
}

// ingress does with the replies what the BPF program does, until done.
func (w *wire) ingress(fd int, done func() bool) {
	deadline := time.Now().Add(10 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			w.t.Fatalf("condition not met in 10 s: %s", w.state())
		}
		if r, ok := w.receive(fd); ok {
			w.reply(r)
		}
	}
}

// state for a test that failed.
func (w *wire) state() string {
	var b strings.Builder
	for _, h := range []*netlink.Handle{w.here, w.there} {
		links, _ := h.LinkList()
		for _, l := range links {
			a := l.Attrs()
			fmt.Fprintf(&b, "\n%d %s %v %v %v %+v", a.Index, a.Name, a.HardwareAddr, a.OperState, a.Flags, *a.Statistics)
		}
	}
	for i := range 2 {
		s := &w.instances[bpf.InstanceNumber(i, 0)]
		fmt.Fprintf(&b, "\nmember %d: newest %d of %d", i,
			atomic.LoadUint32(&s.Newest), atomic.LoadUint32(&w.tracks[0].Newest))
	}
	return b.String()
}

func (w *wire) reply(r received) {
	const at = etherSize + ipv4Size
	if len(r.bytes) < at+icmpSize+payloadSize || !r.is(etherIPv4) || r.bytes[23] != protocolICMP || r.bytes[at] != 0 {
		return
	}
	payload := r.bytes[at+icmpSize:]
	round := binary.BigEndian.Uint32(payload[4:])
	slot := &w.tracks[0].Round[round&bpf.WindowMask]
	require.Equal(w.t, bpf.ProbeMagic, binary.BigEndian.Uint32(payload))
	require.Equal(w.t, uint16(0x1234), binary.BigEndian.Uint16(r.bytes[at+4:]))
	if atomic.LoadUint32(&slot.Round) != round || atomic.LoadUint64(&slot.Nonce) != binary.NativeEndian.Uint64(payload[8:]) {
		w.t.Errorf("reply to round %d does not match its slot", round)
		return
	}
	for i, m := range w.plan.Tracks[0].Members {
		if m.Ifindex == r.ifindex && netip.AddrFrom4([4]byte(r.bytes[30:34])) == m.Source {
			here := &w.instances[bpf.InstanceNumber(i, 0)]
			atomic.StoreUint64(&here.LastReplyNs, uint64(nowNs()))
			rtt := nowNs() - int64(atomic.LoadUint64(&slot.BegunNs))
			atomic.StoreUint32(&here.Slot[round&bpf.WindowMask].RttNs, uint32(rtt))
			atomic.StoreUint32(&here.Slot[round&bpf.WindowMask].Acked, round)
			atomic.StoreUint32(&slot.Answered, round)
		}
	}
}
