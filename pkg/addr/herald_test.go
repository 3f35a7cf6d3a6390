// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// A herald tells the peer of addresses of both families at once, as many as one burst has or, where
// there is no limit, all; one that cannot leave silences nobody.
func TestHerald(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	c := r.capture()
	m1 := &r.members[1]
	tell := func(unlimited bool, n int) (res Result) {
		r.host.do(func() error {
			h := NewHerald(r.a)
			h.Begin(unlimited)
			for i := range n {
				h.Add(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 20)}), m1.Index, m1.MAC, false)
			}
			res = h.End()
			return nil
		})
		return res
	}
	heard := func(last byte) {
		t.Helper()
		f := c.next("GARP", func(b []byte) bool { return isGARP(b, netip.AddrFrom4([4]byte{192, 0, 2, last})) })
		require.Equal(t, AppendGARP(nil, netip.AddrFrom4([4]byte{192, 0, 2, last}), m1.MAC, Broadcast), f)
	}
	res := tell(false, FirstBurst+4)
	require.Equal(t, FirstBurst, res.Frames)
	require.Positive(t, res.FirstAnnouncement)
	require.LessOrEqual(t, res.FirstAnnouncement, res.Announced)
	heard(20)
	heard(20 + FirstBurst - 1)
	require.Equal(t, 3*FirstBurst, tell(true, 3*FirstBurst).Frames)
	for i := range 3 * FirstBurst {
		heard(byte(20 + i))
	}
	require.Zero(t, tell(false, 0))

	r.host.do(func() error {
		h := NewHerald(r.a)
		h.Begin(false)
		h.Add(data4.Addr(), 1<<20, m1.MAC, false)
		h.Add(data6.Addr(), m1.Index, m1.MAC, true)
		res = h.End()
		return nil
	})
	require.Equal(t, 1, res.Frames)
	f := c.next("NA", func(b []byte) bool {
		return len(b) > 62 && b[12] == 0x86 && b[54] == icmpNA && netip.AddrFrom16([16]byte(b[22:38])) == data6.Addr()
	})
	require.Equal(t, AppendNA(nil, data6.Addr(), m1.MAC, true, Neighbor{}), f)
}

func TestHeraldDoesNotAllocate(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	m1 := &r.members[1]
	r.host.do(func() error {
		h := NewHerald(r.a)
		var res Result
		n := testing.AllocsPerRun(50, func() {
			h.Begin(true)
			for range FirstBurst {
				h.Add(data4.Addr(), m1.Index, m1.MAC, false)
				h.Add(data6.Addr(), m1.Index, m1.MAC, true)
			}
			res = h.End()
		})
		if n != 0 || res.Frames != 2*FirstBurst {
			return fmt.Errorf("%v allocations for %d announcements", n, res.Frames)
		}
		return nil
	})
}
