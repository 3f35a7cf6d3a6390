// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// recorder keeps link events in their order.
type recorder struct {
	mu   sync.Mutex
	list []LinkEvent
}

func (r *recorder) add(e LinkEvent) { r.mu.Lock(); defer r.mu.Unlock(); r.list = append(r.list, e) }

func (r *recorder) has(ok func(LinkEvent) bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.list {
		if ok(e) {
			return true
		}
	}
	return false
}

// listen runs LinkEvents on a thread of its own.
func (s *space) listen(buffer int, before func()) *recorder {
	s.t.Helper()
	var e *LinkEvents
	s.do(func() (err error) { e, err = OpenLinkEvents(buffer); return err })
	if before != nil {
		before()
	}
	r := &recorder{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- e.Run(ctx, r.add)
	}()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
		_ = e.Close()
	})
	return r
}

// A veth whose ends have the same index in their namespaces looks like a plain NIC to linkwatch:
// the second event within a second comes late. Asking is right at once.
func TestCarrierIsAskedAhead(t *testing.T) {
	s, peer := newSpace(t), newSpace(t)
	s.ip("link", "add", "m0", "index", "100", "type", "veth", "peer", "name", "p0", "index", "100",
		"netns", strconv.Itoa(peer.tid))
	s.ip("link", "set", "m0", "up")
	r := s.listen(0, nil)
	var c *Carrier
	s.do(func() (err error) { c, err = OpenCarrier(); return err })
	defer func() { _ = c.Close() }()

	for i := range 3 {
		for _, up := range []bool{true, false} {
			peer.ip("link", "set", "p0", map[bool]string{true: "up", false: "down"}[up])
			got, _, err := c.Ask(100)
			require.NoError(t, err)
			require.Equal(t, up, got, "asked right after change %d", i)
		}
	}
	eventually(t, "notified in the end", func() bool {
		return r.has(func(e LinkEvent) bool {
			return e.Name == "m0" && e.Index == 100 && e.Up && !e.Carrier && !e.Sends && e.Exists
		})
	})
	require.True(t, r.has(func(e LinkEvent) bool { return e.Carrier && e.Sends }), "when it came")

	s.ip("link", "set", "m0", "down")
	got, _, err := c.Ask(100)
	require.NoError(t, err)
	require.False(t, got, "administratively down")
	got, _, err = c.Ask(1)
	require.NoError(t, err)
	require.False(t, got, "lo keeps its carrier while it is down")
	s.ip("link", "del", "m0")
	_, _, err = c.Ask(100)
	require.ErrorIs(t, err, unix.ENODEV)
	eventually(t, "deletion", func() bool {
		return r.has(func(e LinkEvent) bool { return e.Name == "m0" && !e.Exists })
	})
}

// What the kernel's answer and its messages say of whether it sends: a driver that never tells its state does,
// and so does a link that waits for 802.1X.
func TestSending(t *testing.T) {
	for state, want := range map[netlink.LinkOperState]bool{
		netlink.OperUnknown: true, netlink.OperNotPresent: false, netlink.OperDown: false, netlink.OperLowerLayerDown: false,
		netlink.OperTesting: true, netlink.OperDormant: true, netlink.OperUp: true,
	} {
		body := make([]byte, unix.SizeofIfInfomsg)
		binary.NativeEndian.PutUint32(body[8:], unix.IFF_UP)
		attr := func(typ uint16, value byte) {
			body = binary.NativeEndian.AppendUint16(body, unix.SizeofRtAttr+1)
			body = append(binary.NativeEndian.AppendUint16(body, typ), value, 0, 0, 0)
		}
		attr(unix.IFLA_OPERSTATE, byte(state))
		attr(unix.IFLA_CARRIER, 1)
		up, sends, err := carrierOf(body)
		require.NoError(t, err)
		require.True(t, up, state)
		require.Equal(t, want, sends, state)
		body[len(body)-4] = 0
		up, sends, err = carrierOf(body)
		require.NoError(t, err)
		require.False(t, up || sends, state)
	}
	_, _, err := carrierOf(make([]byte, unix.SizeofIfInfomsg))
	require.ErrorIs(t, err, errTruncated, "no carrier in it")
}

func TestCarrierDoesNotAllocate(t *testing.T) {
	s := newSpace(t)
	s.ip("link", "add", "m0", "type", "veth", "peer", "name", "p0")
	s.do(func() error {
		c, err := OpenCarrier()
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		n := testing.AllocsPerRun(100, func() { _, _, err = c.Ask(1) })
		if n != 0 || err != nil {
			return fmt.Errorf("%v allocations, error %w", n, err)
		}
		return nil
	})
}

func TestLinkEventsSayWhatTheyLost(t *testing.T) {
	s := newSpace(t)
	r := s.listen(1, func() {
		for i := range 20 {
			s.ip("link", "add", fmt.Sprint("m", i), "type", "veth", "peer", "name", fmt.Sprint("p", i))
		}
	})
	eventually(t, "resync", func() bool { return r.has(func(e LinkEvent) bool { return e.Resync }) })
	s.ip("link", "del", "m19")
	eventually(t, "and goes on", func() bool {
		return r.has(func(e LinkEvent) bool { return e.Name == "m19" && !e.Exists })
	})
}

func BenchmarkCarrierAsk(b *testing.B) {
	c, err := OpenCarrier()
	require.NoError(b, err)
	defer func() { _ = c.Close() }()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := c.Ask(1); err != nil {
			b.Fatal(err)
		}
	}
}
