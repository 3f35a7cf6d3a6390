// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netns"
)

const aNonce = 0x0102030405060708

// replyTo is the answer that every kernel gives.
func replyTo(c *Census, nonce uint64) []byte {
	b := c.question(nonce)
	if c.Source.Is6() {
		b[0] = typeEchoReply6
		return b
	}
	b[0] = typeEchoReply
	return append(append([]byte{0x45}, make([]byte, ipv4Size-1)...), b...)
}

// Only a reply to this very question counts, however it is cut.
func TestCensusAnswers(t *testing.T) {
	for _, source := range []string{"192.0.2.11", "2001:db8::11"} {
		c := &Census{Source: netip.MustParseAddr(source), ID: 0x4321}
		good := replyTo(c, aNonce)
		require.True(t, c.answers(good, aNonce))
		require.True(t, c.answers(append(good, 0), aNonce), "padding")
		for n := range good {
			require.False(t, c.answers(good[:n], aNonce), "%d bytes", n)
		}
		require.False(t, c.answers(good, aNonce+1), "another question's")
		at := len(good) - icmpSize - payloadSize
		for name, offset := range map[string]int{"type": 0, "code": 1, "identifier": 5, "magic": 8, "nonce": 23} {
			bad := append([]byte{}, good...)
			bad[at+offset] ^= 1
			require.False(t, c.answers(bad, aNonce), name)
		}
	}
	c := &Census{Source: netip.MustParseAddr("192.0.2.11"), ID: 0x4321}
	options := replyTo(c, aNonce)
	options = append(append([]byte{0x46}, make([]byte, ipv4Size+3)...), options[ipv4Size:]...)
	require.True(t, c.answers(options, aNonce), "a header with options")
	options[0] = 0x44
	require.False(t, c.answers(options, aNonce), "a header that is too short")
}

func FuzzCensusAnswers(f *testing.F) {
	four := &Census{Source: netip.MustParseAddr("192.0.2.11"), ID: 0x4321}
	six := &Census{Source: netip.MustParseAddr("2001:db8::11"), ID: 0x4321}
	f.Add(replyTo(four, aNonce))
	f.Add(replyTo(six, aNonce))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, c := range []*Census{four, six} {
			if c.answers(b, aNonce) {
				require.True(t, bytes.Contains(b, binary.BigEndian.AppendUint64(nil, aNonce)))
			}
		}
	})
}

// TestCensus asks a wire: the kernel at its other end answers, from the address that it has there.
func TestCensus(t *testing.T) {
	w := newWire(t)
	m := w.link(w.here, "m0")
	w.address(w.here, m, "2001:db8::11/64")
	w.elsewhere(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/icmp_echo_ignore_broadcasts", []byte("0"), 0o600)
	})
	tap := w.socket(true)
	for source, want := range map[string]string{"192.0.2.11": "192.0.2.1", "2001:db8::11": "2001:db8::1"} {
		c := &Census{Link: m.Attrs().Index, Source: netip.MustParseAddr(source), ID: 0x4321}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		heard := map[netip.Addr]int{}
		for ctx.Err() == nil && heard[netip.MustParseAddr(want)] == 0 {
			asking, enough := context.WithCancel(ctx)
			require.NoError(t, c.Take(asking, func(a netip.Addr) {
				heard[a]++
				enough()
			}))
			enough()
		}
		cancel()
		require.NotZero(t, heard[netip.MustParseAddr(want)], "%v", heard)
		w.question(tap, c)
	}

	nowhere := &Census{Link: m.Attrs().Index, Source: netip.MustParseAddr("192.0.2.99")}
	require.ErrorContains(t, nowhere.Take(t.Context(), nil), "ask everybody from 192.0.2.99")
	gone := &Census{Link: 9999, Source: netip.MustParseAddr("192.0.2.11")}
	require.ErrorContains(t, gone.Take(t.Context(), nil), "on interface 9999")
}

// question waits for one on the wire: from the source, and no router passes it on.
func (w *wire) question(tap int, c *Census) {
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		r, ok := w.receive(tap)
		switch {
		case !ok:
		case c.Source.Is4() && r.is(etherIPv4) && netip.AddrFrom4([4]byte(r.bytes[30:34])) == allHosts:
			require.Equal(w.t, c.Source, netip.AddrFrom4([4]byte(r.bytes[26:30])))
			require.EqualValues(w.t, 1, r.bytes[22], "TTL")
			return
		case c.Source.Is6() && r.is(etherIPv6) && netip.AddrFrom16([16]byte(r.bytes[38:54])) == allNodes && r.bytes[54] == typeEcho6:
			require.Equal(w.t, c.Source, netip.AddrFrom16([16]byte(r.bytes[22:38])))
			require.EqualValues(w.t, 1, r.bytes[21], "hop limit")
			return
		}
	}
	w.t.Fatalf("no question from %v", c.Source)
}

// elsewhere does something in the other namespace.
func (w *wire) elsewhere(do func() error) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread stays in the other namespace
		if err := netns.Set(w.thereNS); err != nil {
			done <- err
			return
		}
		done <- do()
	}()
	require.NoError(w.t, <-done)
}
