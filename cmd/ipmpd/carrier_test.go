// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/detect"
	"github.com/ipmpd/ipmpd/pkg/detect/probe"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// A link is up from when the kernel sends over it until it has no carrier.
func TestNewCarrier(t *testing.T) {
	for _, row := range []struct {
		was       uint32
		up, sends bool
		is        uint32
	}{
		{carrierDown, false, false, carrierDown},
		{carrierDown, true, false, carrierDown}, // the queue is not in place yet
		{carrierDown, true, true, carrierUp},
		{carrierUp, true, true, carrierUp},
		{carrierUp, true, false, carrierUp}, // gone and come between two looks, or news that are late
		{carrierUp, false, false, carrierDown},
		{carrierUp, false, true, carrierDown}, // the kernel has not heard of the loss yet
		{0, true, false, 0},
		{0, true, true, carrierUp},
		{0, false, false, carrierDown},
	} {
		require.Equal(t, row.is, newCarrier(row.was, row.up, row.sends), "%+v", row)
	}
}

// Only what changes the carrier of a link holds back the kernel's news of others.
func TestStrangers(t *testing.T) {
	s := strangers{}
	for i, row := range []struct {
		exists, up, carrier bool
		changed             bool
	}{
		{true, false, false, false}, // made
		{true, true, false, false},
		{true, true, true, true},
		{true, true, true, false}, // another name, say
		{true, true, false, true},
		{true, true, true, true},
		{true, false, true, true}, // set down, by a driver that keeps its carrier
		{true, true, true, true},
		{false, true, true, true}, // deleted
		{false, true, true, false},
	} {
		ev := &netstate.LinkEvent{Index: 7, Exists: row.exists, Up: row.up, Carrier: row.carrier}
		require.Equal(t, row.changed, s.changed(ev), "message %d", i)
	}
	require.Empty(t, s)
}

// Members that are probed are asked at a quarter of the detection time, those that are not as often as they
// are few, and after news of anything.
func TestCarriersToAsk(t *testing.T) {
	unitOf := func(slot, members int, detection time.Duration) *unit {
		u := &unit{slot: slot, cfg: &config.Group{DetectionTime: detection}}
		for i := range members {
			u.members = append(u.members, &member{cfg: &config.Interface{}, number: 40*slot + i, ifindex: 100*slot + i + 1})
		}
		return u
	}
	probed, quick, byLink := unitOf(0, 2, 100*time.Millisecond), unitOf(1, 1, 400*time.Microsecond), unitOf(2, 1, time.Hour)
	for _, u := range []*unit{probed, quick} {
		u.side[0] = side{used: true, rotating: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}
		for _, m := range u.members {
			m.kind[0] = detect.KindARP
		}
	}
	probed.members[1].ifindex = 0 // missing
	list := carriersToAsk([]*unit{probed, quick, byLink})
	require.Equal(t, []probe.Watched{
		{Member: 0, Ifindex: 1, Group: 0, Every: 25 * time.Millisecond, For: askFor},
		{Member: 40, Ifindex: 101, Group: 1, Every: askLeast, For: askFor},
		{Member: 80, Ifindex: 201, Group: 2, Every: askLeast, For: askByLinkFor, Strange: askStrangeFor},
	}, list)

	probed.side[0].rotating = nil // nobody to ask: its link is all that is watched
	require.Equal(t, askByLinkFor, carriersToAsk([]*unit{probed})[0].For)
	many := carriersToAsk([]*unit{unitOf(3, 30, time.Second)})
	require.Len(t, many, 30)
	require.Equal(t, 3*time.Millisecond, many[29].Every)
}
