// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The carrier is known at once, whatever link messages say and whoever holds RTNL.
func TestCarrier(t *testing.T) {
	s := newSpace(t)
	link := s.veth(t, "a0")
	peer, err := s.nl.LinkByName("a0p")
	require.NoError(t, err)
	c, err := OpenCarrier()
	if err != nil && !since(t, 6, 2) {
		t.Skip("needs Linux 6.2: bpf_cast_to_kern_ctx")
	}
	require.NoError(t, err)
	defer c.Close()
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
	_, _, err = c.Ask(1 << 20)
	require.ErrorIs(t, err, unix.ENODEV)
	require.NoError(t, s.nl.LinkSetUp(link))
	require.Zero(t, testing.AllocsPerRun(100, func() { is(true) }))
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
