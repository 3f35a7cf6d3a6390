// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// attribute as the kernel writes it, little-endian for the test machines' sake.
func attribute(typ byte, data ...byte) []byte {
	b := append([]byte{byte(4 + len(data)), 0, typ, 0}, data...)
	return append(b, make([]byte, -len(b)&3)...)
}

func join(parts ...[]byte) (out []byte) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

var (
	routeBody = join([]byte{unix.AF_INET, 24, 0, 0, 254, 157, 0, unix.RTN_UNICAST, 0, 0, 0, 0},
		attribute(unix.RTA_DST, 198, 51, 100, 0), attribute(unix.RTA_PRIORITY, 9, 0, 0, 0),
		attribute(unix.RTA_MULTIPATH, join(
			[]byte{16, 0, 0, 0, 3, 0, 0, 0}, attribute(unix.RTA_GATEWAY, 192, 0, 2, 1),
			[]byte{16, 0, 4, 1, 4, 0, 0, 0}, attribute(unix.RTA_GATEWAY, 192, 0, 2, 2))...))
	addressBody = join([]byte{unix.AF_INET, 32, 0, 0, 5, 0, 0, 0}, attribute(unix.IFA_LOCAL, 192, 0, 2, 1),
		attribute(unix.IFA_ADDRESS, 192, 0, 2, 2), attribute(unix.IFA_LABEL, 'm', '0', 0),
		attribute(ifaProto, 157))
)

func TestParseMultipath(t *testing.T) {
	r, ok, err := parseRoute(routeBody)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, Route{Table: 254, Dst: netip.MustParsePrefix("198.51.100.0/24"), Metric: 9, Protocol: 157,
		Expires: Forever, Hops: []Hop{
			{Link: 3, Gateway: netip.MustParseAddr("192.0.2.1"), Weight: 1},
			{Link: 4, Gateway: netip.MustParseAddr("192.0.2.2"), Weight: 2, Flags: 4}}}, r)
}

func TestParsePeerAddress(t *testing.T) {
	x, err := parseAddress(addressBody)
	require.NoError(t, err)
	require.Equal(t, Address{Link: 5, Prefix: netip.MustParsePrefix("192.0.2.1/32"), Protocol: 157,
		Peer: netip.MustParseAddr("192.0.2.2"), Label: "m0", Preferred: Forever, Valid: Forever}, x)
}

// TestNeighborConfirmed: the kernel tells of an entry also when nothing of it is another.
func TestNeighborConfirmed(t *testing.T) {
	w := &Watcher{}
	w.table.setNeighbors(nil)
	told := func(typ uint16, state byte, mac byte) Change {
		c, err := w.take(header{typ: typ}, join([]byte{unix.AF_INET, 0, 0, 0, 7, 0, 0, 0, state, 0, 0, 0},
			attribute(unix.NDA_DST, 192, 0, 2, 1), attribute(unix.NDA_LLADDR, 2, 0, 0, 0, 0, mac)))
		require.NoError(t, err)
		return c
	}
	require.Equal(t, Neighbors, told(unix.RTM_NEWNEIGH, unix.NUD_REACHABLE, 1))
	require.Zero(t, told(unix.RTM_NEWNEIGH, unix.NUD_REACHABLE, 1))
	require.Equal(t, Neighbors, told(unix.RTM_NEWNEIGH, unix.NUD_STALE, 1))
	require.Equal(t, Neighbors, told(unix.RTM_NEWNEIGH, unix.NUD_STALE, 2))
	require.Equal(t, Neighbors, told(unix.RTM_DELNEIGH, unix.NUD_STALE, 2))
	require.Equal(t, Neighbors, told(unix.RTM_NEWNEIGH, unix.NUD_STALE, 2))
}

func TestMessagesCutShort(t *testing.T) {
	whole := join([]byte{16 + 4, 0, 0, 0, 24, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}, []byte{1, 2, 3, 4})
	for n := 17; n < len(whole); n++ {
		err := messages(whole[:n], func(header, []byte) error { return nil })
		require.ErrorIs(t, err, errTruncated, "at %d", n)
	}
}

// No message, however broken, may do more than return an error.
func FuzzParse(f *testing.F) {
	f.Add(routeBody)
	f.Add(addressBody)
	f.Add(join(make([]byte, unix.SizeofIfInfomsg), attribute(unix.IFLA_LINKINFO, join(
		attribute(infoKind, 'v', 'r', 'f', 0), attribute(infoData, attribute(vrfTable, 1, 0, 0, 0)...))...)))
	f.Add(join(make([]byte, unix.SizeofNhmsg), attribute(unix.NHA_GROUP, 1, 0, 0, 0, 0, 0, 0, 0)))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = parseLink(b)
		_, _ = parseAddress(b)
		_, _, _ = parseRoute(b)
		_, _ = parseNexthop(b)
		_, _, _ = parseNeighbor(b)
		_ = messages(b, func(header, []byte) error { return nil })
	})
}
