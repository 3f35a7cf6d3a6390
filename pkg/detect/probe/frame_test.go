// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/mdlayher/ndp"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/ipmpd/ipmpd/bpf"
)

var (
	macA = [6]byte{2, 0, 0, 0, 0, 0xa}
	macB = [6]byte{2, 0, 0, 0, 0, 0xb}
)

// good reports whether b sums up to all ones, RFC 1071.
func good(b []byte, start uint32) bool { return fold(start+sum16(b)) == 0 }

// FuzzEcho builds an echo and reads it back with other people's parsers.
func FuzzEcho(f *testing.F) {
	f.Add(uint32(128), uint64(0), uint16(0), []byte{192, 0, 2, 11}, []byte{192, 0, 2, 1})
	f.Add(uint32(0xffffffff), ^uint64(0), uint16(0xffff), make([]byte, 16), make([]byte, 16))
	f.Fuzz(func(t *testing.T, round uint32, nonce uint64, id uint16, src, dst []byte) {
		source, ok1 := netip.AddrFromSlice(src)
		target, ok2 := netip.AddrFromSlice(dst)
		if !ok1 || !ok2 || source.Is4() != target.Is4() || source.Is4In6() || target.Is4In6() {
			return
		}
		family := 1
		if source.Is4() {
			family = 0
		}
		m := &Member{Kind: bpf.KindICMP, MAC: macA, Source: source, ICMPID: id}
		frame := probeFrame(m, &Target{Addr: target, MAC: macB}, family)
		frame.patch(round-1, 12345) // what an earlier round left must not matter
		frame.patch(round, nonce)
		checkEcho(t, frame.bytes, family, m, target, round, nonce)
	})
}

func checkEcho(t *testing.T, b []byte, family int, m *Member, target netip.Addr, round uint32, nonce uint64) {
	t.Helper()
	require.GreaterOrEqual(t, len(b), 60)
	require.Equal(t, macB[:], b[:6])
	require.Equal(t, macA[:], b[6:12])
	var body []byte
	protocol := 1
	if family == 0 {
		require.Equal(t, []byte{8, 0}, b[12:14])
		ip := b[14:]
		require.True(t, good(ip[:20], 0), "header checksum")
		require.Equal(t, m.Source.AsSlice(), ip[12:16])
		require.Equal(t, target.AsSlice(), ip[16:20])
		body = ip[20:binary.BigEndian.Uint16(ip[2:])]
		require.True(t, good(body, 0), "ICMP checksum")
	} else {
		protocol = 58
		require.Equal(t, []byte{0x86, 0xdd}, b[12:14])
		h, err := ipv6.ParseHeader(b[14:])
		require.NoError(t, err)
		require.Equal(t, m.Source.AsSlice(), []byte(h.Src))
		require.Equal(t, target.AsSlice(), []byte(h.Dst))
		body = b[54:][:h.PayloadLen]
		require.True(t, good(body, pseudoSum(m.Source, target, uint32(len(body)))), "ICMPv6 checksum")
	}
	msg, err := icmp.ParseMessage(protocol, body)
	require.NoError(t, err)
	require.Contains(t, []icmp.Type{ipv4.ICMPTypeEcho, ipv6.ICMPTypeEchoRequest}, msg.Type)
	echo := msg.Body.(*icmp.Echo)
	require.Equal(t, int(m.ICMPID), echo.ID)
	require.Equal(t, int(uint16(round)), echo.Seq)
	require.Len(t, echo.Data, 16)
	require.Equal(t, uint32(0x69706d70), binary.BigEndian.Uint32(echo.Data))
	require.Equal(t, round, binary.BigEndian.Uint32(echo.Data[4:]))
	require.Equal(t, nonce, binary.NativeEndian.Uint64(echo.Data[8:]))
}

// The sender address is the test address or 0.0.0.0 (detection.md section 1, ARP).
func TestARPRequest(t *testing.T) {
	target := netip.MustParseAddr("192.0.2.1")
	for _, row := range []struct {
		name   string
		source netip.Addr
		mac    [6]byte
		dst    []byte
		sender []byte
	}{
		{"no test address, MAC not known", netip.Addr{}, [6]byte{}, []byte{255, 255, 255, 255, 255, 255}, []byte{0, 0, 0, 0}},
		{"no test address, MAC known", netip.Addr{}, macB, macB[:], []byte{0, 0, 0, 0}},
		{"test address", netip.MustParseAddr("192.0.2.11"), macB, macB[:], []byte{192, 0, 2, 11}},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := &Member{Kind: bpf.KindARP, MAC: macA, Source: row.source}
			f := probeFrame(m, &Target{Addr: target, MAC: row.mac}, 0)
			before := string(f.bytes)
			f.patch(7, 7)
			require.Equal(t, before, string(f.bytes), "it has no round")
			b := f.bytes
			require.Equal(t, row.dst, b[:6])
			require.Equal(t, macA[:], b[6:12])
			require.Equal(t, []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, b[12:22])
			require.Equal(t, macA[:], b[22:28])
			require.Equal(t, row.sender, b[28:32])
			require.Equal(t, make([]byte, 6), b[32:38])
			require.Equal(t, target.AsSlice(), b[38:42])
		})
	}
}

// RFC 4861 sections 4.3 and 7.1.1.
func TestSolicitation(t *testing.T) {
	source, target := netip.MustParseAddr("fe80::a"), netip.MustParseAddr("2001:db8::1:2345:6789")
	for _, row := range []struct {
		name string
		mac  [6]byte
		dst  string
		to   [6]byte
	}{
		{"MAC known: unicast", macB, "2001:db8::1:2345:6789", macB},
		{"MAC not known: solicited-node", [6]byte{}, "ff02::1:ff45:6789", [6]byte{0x33, 0x33, 0xff, 0x45, 0x67, 0x89}},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := probeFrame(&Member{Kind: bpf.KindARP, MAC: macA, Source: source}, &Target{Addr: target, MAC: row.mac}, 1)
			require.Equal(t, row.to[:], f.bytes[:6])
			h, err := ipv6.ParseHeader(f.bytes[14:])
			require.NoError(t, err)
			require.Equal(t, 255, h.HopLimit)
			require.Equal(t, row.dst, h.Dst.String())
			require.Equal(t, source.String(), h.Src.String())
			body := f.bytes[54:][:h.PayloadLen]
			require.True(t, good(body, pseudoSum(source, netip.MustParseAddr(row.dst), uint32(len(body)))))
			msg, err := ndp.ParseMessage(body)
			require.NoError(t, err)
			ns := msg.(*ndp.NeighborSolicitation)
			require.Equal(t, target, ns.TargetAddress)
			require.Equal(t, macA[:], []byte(ns.Options[0].(*ndp.LinkLayerAddress).Addr))
		})
	}
}
