// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// carrier to be asked for, of a link with its peer.
func (s *space) carrier(t *testing.T) (c *Carrier, link, peer netlink.Link) {
	link = s.veth(t, "a0")
	peer, err := s.nl.LinkByName("a0p")
	require.NoError(t, err)
	c, err = OpenCarrier()
	if err != nil && !since(t, 6, 2) {
		t.Skip("needs Linux 6.2: bpf_cast_to_kern_ctx")
	}
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c, link, peer
}

// The carrier is known at once, whatever link messages say and whoever holds RTNL.
func TestCarrier(t *testing.T) {
	s := newSpace(t)
	c, link, peer := s.carrier(t)
	is := func(want bool) {
		t.Helper()
		up, sends, err := c.Ask(link.Attrs().Index)
		require.NoError(t, err)
		require.Equal(t, want, up)
		require.True(t, up || !sends)
	}
	is(true)
	require.NoError(t, s.nl.LinkSetDown(peer))
	is(false)
	require.NoError(t, s.nl.LinkSetUp(peer))
	is(true)
	require.NoError(t, s.nl.LinkSetDown(link))
	is(false)
	_, _, err := c.Ask(1 << 20)
	require.ErrorIs(t, err, unix.ENODEV)
	require.NoError(t, s.nl.LinkSetUp(link))
	require.Zero(t, testing.AllocsPerRun(100, func() { is(true) }))
}

// A carrier that has come is there before the kernel sends over it: a moment, which is to be met.
func TestCarrierBeforeTheQueue(t *testing.T) {
	s := newSpace(t)
	c, link, peer := s.carrier(t)
	// On this thread, as the questions are about its namespace.
	until := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(100 * time.Microsecond) {
			require.True(t, time.Now().Before(deadline), what)
		}
	}
	until("carrier, and no queue yet", func() bool {
		require.NoError(t, s.nl.LinkSetDown(peer))
		until("the kernel has heard of the loss", func() bool {
			l, err := s.nl.LinkByName("a0")
			return err == nil && l.Attrs().OperState != netlink.OperUp
		})
		require.NoError(t, s.nl.LinkSetUp(peer))
		up, sends, err := c.Ask(link.Attrs().Index)
		require.NoError(t, err)
		require.True(t, up)
		return !sends
	})
	until("and then there is one", func() bool {
		up, sends, err := c.Ask(link.Attrs().Index)
		return err == nil && up && sends
	})
}

func BenchmarkCarrier(b *testing.B) {
	s := newSpace(b)
	link := s.veth(b, "a0")
	c, err := OpenCarrier()
	require.NoError(b, err)
	defer c.Close()
	for b.Loop() {
		if _, _, err := c.Ask(link.Attrs().Index); err != nil {
			b.Fatal(err)
		}
	}
}
