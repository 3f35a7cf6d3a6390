// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/mdlayher/ndp"
	"github.com/stretchr/testify/require"
)

var (
	ip4  = netip.MustParseAddr("192.0.2.10")
	ip6  = netip.MustParseAddr("2001:db8::10")
	mac0 = MAC{2, 0, 0, 0, 0, 0x10}
	mac1 = MAC{2, 0, 0, 0, 0, 0x11}
)

// RFC 5227 3, RFC 826: request form, sender = target, padded to the shortest frame.
func TestGARP(t *testing.T) {
	b := AppendGARP([]byte("before"), ip4, mac1, Broadcast)[len("before"):]
	require.Len(t, b, 60)
	want := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0x11, 8, 6,
		0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 0x11, 192, 0, 2, 10, 0, 0, 0, 0, 0, 0, 192, 0, 2, 10}
	require.Equal(t, want, b[:len(want)])
	require.Equal(t, make([]byte, 60-len(want)), b[len(want):])
}

func TestNA(t *testing.T) {
	router := Neighbor{IP: netip.MustParseAddr("2001:db8::1"), MAC: MAC{2, 0, 0, 0, 0, 1}}
	for _, c := range []struct {
		name     string
		to       Neighbor
		dst      MAC
		dstIP    string
		isRouter bool
	}{
		{"everybody", Neighbor{}, MAC{0x33, 0x33, 0, 0, 0, 1}, "ff02::1", false},
		{"one, from a router", router, router.MAC, "2001:db8::1", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := AppendNA(nil, ip6, mac1, c.isRouter, c.to)
			require.Equal(t, c.dst[:], b[:6])
			require.Equal(t, mac1[:], b[6:12])
			require.Equal(t, uint16(etherIPv6), binary.BigEndian.Uint16(b[12:]))
			require.Equal(t, byte(255), b[21], "hop limit, RFC 4861 7.1.2")
			require.Equal(t, ip6.AsSlice(), b[22:38])
			require.Equal(t, netip.MustParseAddr(c.dstIP).AsSlice(), b[38:54])
			require.Equal(t, int(binary.BigEndian.Uint16(b[18:])), len(b)-54)

			m, err := ndp.ParseMessage(b[54:])
			require.NoError(t, err)
			require.Equal(t, &ndp.NeighborAdvertisement{Router: c.isRouter, Override: true, TargetAddress: ip6,
				Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: net.HardwareAddr(mac1[:])}}}, m)
			require.Equal(t, onesComplementSum(t, b[14:]), uint16(0xffff), "checksum")
		})
	}
}

// onesComplementSum over an IPv6 packet's pseudo-header and payload, by the letter of RFC 1071.
func onesComplementSum(t *testing.T, ip []byte) uint16 {
	pseudo := append(append([]byte{}, ip[8:40]...), 0, 0, ip[4], ip[5], 0, 0, 0, ip[6])
	all := append(pseudo, ip[40:]...)
	require.Zero(t, len(all)%2)
	sum := uint16(0)
	for i := 0; i < len(all); i += 2 {
		next := sum + binary.BigEndian.Uint16(all[i:])
		if next < sum {
			next++
		}
		sum = next
	}
	return sum
}

func TestFramesTellEverybodyFirst(t *testing.T) {
	gateway4 := Neighbor{IP: netip.MustParseAddr("192.0.2.1"), MAC: MAC{2, 0, 0, 0, 0, 1}}
	gateway6 := Neighbor{IP: netip.MustParseAddr("fe80::1"), MAC: MAC{2, 0, 0, 0, 0, 1}}
	both := []Neighbor{gateway4, gateway6}
	frames := Frames([]Announcement{
		{Address: ip4, Link: 3, MAC: mac1, Neighbors: both},
		{Address: ip6, Link: 4, MAC: mac1, Neighbors: both},
	})
	require.Len(t, frames, 4)
	require.Equal(t, Broadcast[:], frames[0].Data[:6])
	require.Equal(t, []byte{0x33, 0x33}, frames[1].Data[:2])
	require.Equal(t, gateway4.MAC[:], frames[2].Data[:6])
	require.Equal(t, ip4, frames[2].Address)
	require.Equal(t, ip6, frames[3].Address)
	require.Equal(t, 4, frames[3].Link)
	require.Equal(t, gateway6.IP.AsSlice(), frames[3].Data[38:54])

	many := make([]Neighbor, 300)
	for i := range many {
		many[i] = gateway4
	}
	require.Len(t, Frames([]Announcement{{Address: ip4, Neighbors: many}}), 1+MaxUnicast)
}

func FuzzARP(f *testing.F) {
	f.Add(AppendGARP(nil, ip4, mac0, Broadcast)[etherLen:])
	f.Add([]byte{0, 1, 8, 0, 6})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseARP(b)
		if err != nil {
			return
		}
		require.Equal(t, b[:arpLen], AppendARP(nil, &a))
	})
}

// TestNoteSent: whatever number of frames was sent, what is noted is what they said.
func TestNoteSent(t *testing.T) {
	batch := []Announcement{
		{Address: ip4, Link: 3, Neighbors: neighbors(2)},
		{Address: netip.AddrFrom4([4]byte{192, 0, 2, 99}), Link: 4},
		{Address: netip.AddrFrom4([4]byte{192, 0, 2, 98}), Link: 4, Neighbors: neighbors(3)},
	}
	frames := Frames(batch)
	require.Len(t, frames, 8)
	for n := range len(frames) + 1 {
		list := append(slices.Clone(batch), Announcement{Address: netip.AddrFrom4([4]byte{192, 0, 2, 97}), Link: 4})
		NoteSent(list, batch, n)
		var sent []Frame
		for i := range list {
			if list[i].Sent {
				sent = append(sent, Frames([]Announcement{{Address: list[i].Address, Link: list[i].Link, Neighbors: list[i].Told}})...)
			}
		}
		require.ElementsMatch(t, frames[:n], sent)
	}
}
