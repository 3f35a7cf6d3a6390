// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"context"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var peerMAC = MAC{2, 0, 0, 0, 0, 1}

// claim an address on a member.
func (r *rig) claim(member int, ip string) Claim {
	m := &r.members[member]
	return Claim{Link: m.Index, MAC: m.MAC, Address: netip.MustParseAddr(ip)}
}

// duplicates of claims, asked for in a namespace.
func duplicates(s *space, claims []Claim, own ...MAC) (found map[netip.Addr]MAC) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s.do(func() (err error) { found, err = CheckDuplicates(ctx, claims, own); return err })
	return found
}

func TestDuplicates(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	got := duplicates(r.host, []Claim{
		r.claim(0, "192.0.2.1"), r.claim(0, "192.0.2.10"), r.claim(1, "192.0.2.20"),
		r.claim(1, "2001:db8::1"), r.claim(0, "2001:db8::10"),
	})
	require.Equal(t, map[netip.Addr]MAC{
		netip.MustParseAddr("192.0.2.1"): peerMAC, netip.MustParseAddr("2001:db8::1"): peerMAC}, got)
	require.Empty(t, r.host.addresses("m0"), "nothing is added")
	require.Empty(t, duplicates(r.host, nil))
}

// An interface that hears the questions of another one of this host takes them for no claim.
func TestDuplicatesOfOurOwn(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	require.Empty(t, duplicates(r.host, []Claim{
		r.claim(0, "192.0.2.10"), r.claim(1, "192.0.2.10"), r.claim(0, "2001:db8::10"), r.claim(1, "2001:db8::10")}))
	require.Empty(t, duplicates(r.host, []Claim{r.claim(0, "192.0.2.1"), r.claim(0, "2001:db8::1")}, peerMAC))
}

// Two hosts that want the same address at the same time: neither may have it.
func TestDuplicatesAtTheSameTime(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	br0 := int(r.peer.json("link", "show", "dev", "br0")[0]["ifindex"].(float64))
	ips := []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")}
	var theirs []Claim
	for _, ip := range ips {
		theirs = append(theirs, Claim{Link: br0, MAC: peerMAC, Address: ip})
	}
	type answer struct {
		found map[netip.Addr]MAC
		err   error
	}
	answers := make(chan answer, 1)
	r.peer.work <- func() {
		found, err := CheckDuplicates(context.Background(), theirs, nil)
		answers <- answer{found, err}
	}
	mine := duplicates(r.host, []Claim{r.claim(0, "192.0.2.10"), r.claim(0, "2001:db8::10")})
	yours := <-answers
	require.NoError(t, yours.err)
	for _, ip := range ips {
		require.Equal(t, peerMAC, mine[ip], ip)
		require.Equal(t, r.members[0].MAC, yours.found[ip], ip)
	}
}

// As many as a configuration may have, at the same time: one after the other would take minutes.
func TestDuplicatesOfMany(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	r.peer.ip("route", "add", "local", "198.18.1.0/24", "dev", "lo")
	var claims []Claim
	want := map[netip.Addr]MAC{}
	for i := range 1000 {
		ip := netip.AddrFrom4([4]byte{198, 18, byte(i / 256), byte(i)})
		claims = append(claims, r.claim(i%2, ip.String()))
		if i/256 == 1 {
			want[ip] = peerMAC
		}
	}
	require.Equal(t, want, duplicates(r.host, claims))
}

func TestDuplicatesEnds(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r.host.do(func() error {
		_, err := CheckDuplicates(ctx, []Claim{r.claim(0, "192.0.2.10")}, nil)
		require.ErrorIs(t, err, context.Canceled)
		return nil
	})
	// An interface that is gone answers nothing, and is no reason not to ask the others.
	gone := Claim{Link: 4711, MAC: MAC{2, 9}, Address: netip.MustParseAddr("192.0.2.1")}
	require.Equal(t, map[netip.Addr]MAC{netip.MustParseAddr("2001:db8::1"): peerMAC},
		duplicates(r.host, []Claim{gone, r.claim(0, "2001:db8::1")}))
}

func TestClaimant(t *testing.T) {
	a, mac := netip.MustParseAddr("192.0.2.10"), MAC{2, 0, 0, 0, 0, 9}
	b := netip.MustParseAddr("2001:db8::10")
	changed := func(frame []byte, at int, to ...byte) []byte { copy(frame[at:], to); return frame }
	na := func() []byte { return AppendNA(nil, b, mac, false, Neighbor{}) }
	for _, row := range []struct {
		name  string
		frame []byte
		want  netip.Addr // zero: nobody claims anything
	}{
		{"ARP probe", appendProbe(nil, a, mac), a},
		{"ARP announcement", AppendGARP(nil, a, mac, Broadcast), a},
		{"ARP reply of 0.0.0.0", changed(appendProbe(nil, a, mac), etherLen+7, 2), netip.Addr{}},
		{"ARP reply", changed(AppendGARP(nil, a, mac, Broadcast), etherLen+7, 2), a},
		{"ARP of another hardware", changed(appendProbe(nil, a, mac), etherLen+1, 6), netip.Addr{}},
		{"solicitation without source", appendProbe(nil, b, mac), b},
		{"advertisement", na(), b},
		{"solicitation of one who looks for it", solicitation(b, mac), netip.Addr{}},
		{"wrong checksum", changed(na(), etherLen+ipv6Len+2, 0, 0), netip.Addr{}},
		{"from behind a router", changed(na(), etherLen+7, 254), netip.Addr{}},
		{"another message", changed(na(), etherLen+ipv6Len, 128), netip.Addr{}},
		{"too short", na()[:etherLen+ipv6Len+20], netip.Addr{}},
		{"says that it is longer", changed(na(), etherLen+4, 1, 0), netip.Addr{}},
		{"IPv4", []byte{12: 8, 13: 0, 60: 0}, netip.Addr{}},
	} {
		ip, who, ok := claimant(row.frame)
		require.Equal(t, row.want.IsValid(), ok, row.name)
		if ok {
			require.Equal(t, row.want, ip, row.name)
			require.Equal(t, mac, who, row.name)
		}
	}
}

// solicitation of b by a neighbour with an address.
func solicitation(b netip.Addr, mac MAC) []byte {
	frame := appendProbe(nil, b, mac)
	frame[etherLen+8] = 0x20
	at := etherLen + ipv6Len
	frame[at+2], frame[at+3] = 0, 0
	sum := checksum([16]byte(frame[etherLen+8:]), [16]byte(frame[etherLen+24:]), frame[at:])
	binary.BigEndian.PutUint16(frame[at+2:], sum)
	return frame
}

func FuzzClaimant(f *testing.F) {
	f.Add(appendProbe(nil, netip.MustParseAddr("192.0.2.10"), peerMAC))
	f.Add(appendProbe(nil, netip.MustParseAddr("2001:db8::10"), peerMAC))
	f.Add(AppendNA(nil, netip.MustParseAddr("2001:db8::10"), peerMAC, true, Neighbor{}))
	f.Fuzz(func(t *testing.T, frame []byte) {
		ip, _, ok := claimant(frame)
		if ok && !ip.IsValid() {
			t.Fatalf("%x claims nothing", frame)
		}
		for cut := range min(len(frame), 128) {
			claimant(frame[:cut])
		}
	})
}
