// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"encoding/binary"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestLifetimes(t *testing.T) {
	const forever, start = math.MaxUint32, int64(time.Hour)
	for _, row := range []struct {
		name             string
		preferred, valid time.Duration
		test             bool
		after            time.Duration
		want             [2]uint32
	}{
		{"none", 0, 0, false, time.Hour, [2]uint32{forever, forever}},
		{"a test address is deprecated", 0, 0, true, 0, [2]uint32{0, forever}},
		{"both", 50 * time.Second, 90 * time.Second, false, 0, [2]uint32{50, 90}},
		{"later", 50 * time.Second, 90 * time.Second, false, 10 * time.Second, [2]uint32{40, 80}},
		{"seconds begun count", 50 * time.Second, 90 * time.Second, false, 10*time.Second + 1, [2]uint32{40, 80}},
		{"no longer preferred: a data address is not deprecated", 50 * time.Second, 90 * time.Second, false, 60 * time.Second, [2]uint32{30, 30}},
		{"preferred for a time, valid for ever", 50 * time.Second, 0, false, 20 * time.Second, [2]uint32{30, forever}},
		{"over: the file names it", 50 * time.Second, 90 * time.Second, false, 90 * time.Second, [2]uint32{forever, forever}},
	} {
		t.Run(row.name, func(t *testing.T) {
			op := Op{Test: row.test, Form: AddressForm{Preferred: row.preferred, Valid: row.valid}}
			if row.preferred != 0 || row.valid != 0 {
				op.At = start
			}
			preferred, valid := lifetimes(op, start+int64(row.after))
			require.Equal(t, row.want, [2]uint32{preferred, valid})
		})
	}
}

// What a move takes along, and what not.
func TestCarry(t *testing.T) {
	form := AddressForm{Scope: 200, Label: "hme0:web", Peer: netip.MustParseAddr("192.0.2.99"), Broadcast: netip.MustParseAddr("192.0.2.255"),
		Metric: 7, Preferred: time.Minute, Valid: time.Hour}
	a := HostAddress{Form: form, At: 5}
	f, at := a.carry("hme0", "hme1")
	require.Equal(t, AddressForm{Scope: 200, Label: "hme1:web", Broadcast: form.Broadcast, Preferred: time.Minute, Valid: time.Hour}, f)
	require.EqualValues(t, 5, at)
	back := HostAddress{Form: f, At: at}
	f, _ = back.carry("hme1", "hme0")
	require.Equal(t, "hme0:web", f.Label)

	a.Flags = unix.IFA_F_DEPRECATED
	f, _ = a.carry("hme0", "hme1")
	require.Equal(t, time.Hour, f.Preferred, "a data address is not deprecated")
	f, _ = a.carry("hme0", "enp0s31f6np0d1")
	require.Empty(t, f.Label, "too long there")
	a = HostAddress{Form: AddressForm{Label: "hme0"}}
	f, at = a.carry("hme0", "hme1")
	require.Equal(t, AddressForm{}, f, "the kernel's own label")
	require.Zero(t, at)
}

// An address of IPv4 has the scope of the first of its subnet, or the kernel refuses it: a move keeps
// its own where it can, and test addresses follow one that was found.
func TestPlanScopes(t *testing.T) {
	d, k := pair()
	quiet(k)
	site := HostAddress{Link: 2, Prefix: netip.MustParsePrefix("192.0.2.10/24"), Form: AddressForm{Scope: 200}}
	k.addAddress(site)
	scopes := func() map[string]uint8 {
		got := map[string]uint8{}
		for _, op := range Plan(d, k.observed()) {
			require.NoError(t, k.apply(&op))
			if op.Kind == AddAddress {
				got[op.Prefix.Addr().String()+" "+op.LinkName] = op.Form.Scope
			}
		}
		return got
	}
	require.Equal(t, map[string]uint8{"192.0.2.11 hme0": 200, "192.0.2.12 hme1": 0}, scopes())
	d.Groups[0].Addresses[0].Member = 1
	require.Equal(t, map[string]uint8{"192.0.2.10 hme1": 0}, scopes(), "the first one there is hme1's test address")

	d, k = pair()
	quiet(k)
	d.Groups[0].Members[0].Tests, d.Groups[0].Members[1].Tests = nil, nil
	k.addAddress(site)
	u := Undo{}
	u.Record(d, k.observed(), nil, 1)
	d.Found = u.Addresses
	d.Groups[0].Addresses[0].Member = 1
	require.Equal(t, map[string]uint8{"192.0.2.10 hme1": 200}, scopes())
}

// A batch lies ready for long: its lifetimes are those of the moment in which it is fired.
func TestBatchAges(t *testing.T) {
	op := Op{Kind: AddAddress, Link: 2, Prefix: netip.MustParsePrefix("2001:db8::10/64"), At: boottime() - int64(10*time.Second),
		Form: AddressForm{Preferred: 500 * time.Second, Valid: 900 * time.Second}}
	for _, prefix := range []string{"2001:db8::10/64", "192.0.2.10/24"} {
		op.Prefix = netip.MustParsePrefix(prefix)
		buf, err := Encode(nil, &op)
		require.NoError(t, err)
		a := ageing{len(buf) - cacheinfo, op}
		read := func() [2]uint32 {
			return [2]uint32{binary.NativeEndian.Uint32(buf[a.at:]), binary.NativeEndian.Uint32(buf[a.at+4:])}
		}
		require.InDelta(t, 490, read()[0], 2)
		require.InDelta(t, 890, read()[1], 2)
		a.refresh(buf, op.At+int64(100*time.Second))
		require.Equal(t, [2]uint32{400, 800}, read())
	}
}

// A lease that is renewed where the address stands is what a release puts back.
func TestUndoRenews(t *testing.T) {
	d, k := pair()
	k.addAddress(HostAddress{Link: 2, Prefix: netip.MustParsePrefix("192.0.2.10/24"), At: 100e9, Form: AddressForm{Preferred: 60 * time.Second, Valid: 90 * time.Second}})
	var u Undo
	require.True(t, u.Record(d, k.observed(), nil, 101e9))
	require.EqualValues(t, 100e9, u.Addresses[0].At)
	was := u.Clone()
	require.False(t, u.Record(d, k.observed(), nil, 110e9))
	k.addrs[k.find(2, netip.MustParsePrefix("192.0.2.10/24"))].At = 130e9
	require.True(t, u.Record(d, k.observed(), nil, 131e9))
	require.EqualValues(t, 130e9, u.Addresses[0].At)
	require.EqualValues(t, 100e9, was.Addresses[0].At, "a clone is not changed")
	require.Len(t, u.Addresses, 1)
}
