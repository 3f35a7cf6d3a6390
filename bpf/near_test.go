// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Two interfaces may share their place among the near links: both are members, whichever came first,
// and one that goes takes nothing of the other with it.
func TestNearLinksShareAPlace(t *testing.T) {
	r := &rig{o: loadForTest(t, Options{}), path: "tc"}
	r.space = newSpace(t)
	const first, second, third = 500, 500 + int(NearMask) + 1, 500 + 2*(int(NearMask)+1)
	for i, index := range []int{first, second, third} {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.Index = []string{"a", "b", "c"}[i], index
		require.NoError(t, r.nl.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: attrs.Name + "p"}))
		l, err := r.nl.LinkByName(attrs.Name)
		require.NoError(t, err)
		require.NoError(t, r.nl.LinkSetUp(l))
	}
	frame := tcp4(targetMAC(0), mac{2, 0, 0, 0, 0, 1})
	// counts says which member a packet on an interface is counted for; -1: none.
	counts := func(ifindex int) int {
		var before [3]uint64
		for m := range before {
			traffic, err := r.o.Traffic(m)
			require.NoError(t, err)
			before[m] = traffic.Other
		}
		r.runSkb(t, r.o.ingress, ifindex, frame)
		found := -1
		for m := range before {
			traffic, err := r.o.Traffic(m)
			require.NoError(t, err)
			if traffic.Other != before[m] {
				require.Equal(t, before[m]+1, traffic.Other)
				require.Equal(t, -1, found)
				found = m
			}
		}
		return found
	}
	require.Equal(t, -1, counts(first))
	require.NoError(t, r.o.SetMember(0, Member{Ifindex: uint32(first)}))
	require.NoError(t, r.o.SetMember(1, Member{Ifindex: uint32(second)}))
	require.Equal(t, 0, counts(first))
	require.Equal(t, 1, counts(second))
	require.Equal(t, -1, counts(third))

	// The one with the place becomes another member, then the other one does.
	require.NoError(t, r.o.SetMember(2, Member{Ifindex: uint32(first)}))
	require.Equal(t, 2, counts(first))
	require.NoError(t, r.o.SetMember(0, Member{}))
	require.Equal(t, 2, counts(first), "a member that was renumbered before it went")
	require.NoError(t, r.o.SetMember(0, Member{Ifindex: uint32(second)}))
	require.Equal(t, 0, counts(second))
	require.NoError(t, r.o.SetMember(1, Member{}))

	// It goes, and comes with another index.
	require.NoError(t, r.o.SetMember(2, Member{Ifindex: uint32(third)}))
	require.Equal(t, -1, counts(first))
	require.Equal(t, 0, counts(second))
	require.Equal(t, 2, counts(third))
	require.NoError(t, r.o.SetMember(2, Member{}))
	require.NoError(t, r.o.SetMember(0, Member{}))
	for _, ifindex := range []int{first, second, third} {
		require.Equal(t, -1, counts(ifindex))
	}
}

// The stamp of other packets is the coarse clock's, and goes on with it.
func TestOtherStampGrows(t *testing.T) {
	r := &rig{o: loadForTest(t, Options{}), path: "tc"}
	r.space = newSpace(t)
	link := r.veth(t, "a")
	require.NoError(t, r.o.SetMember(0, Member{Ifindex: uint32(link.Attrs().Index)}))
	coarse := func() uint64 {
		var ts unix.Timespec
		require.NoError(t, unix.ClockGettime(unix.CLOCK_MONOTONIC_COARSE, &ts))
		return uint64(ts.Nano())
	}
	for range 5 {
		before := coarse()
		require.Eventually(t, func() bool { return coarse() > before }, deadline, time.Millisecond)
		r.runSkb(t, r.o.ingress, link.Attrs().Index, tcp4(targetMAC(0), mac{2, 0, 0, 0, 0, 1}))
		traffic, err := r.o.Traffic(0)
		require.NoError(t, err)
		require.Greater(t, traffic.OtherNs, before)
		require.LessOrEqual(t, traffic.OtherNs, coarse())
	}
}
