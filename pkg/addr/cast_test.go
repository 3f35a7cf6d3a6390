// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func ips(text string) (list []netip.Addr) {
	for _, word := range strings.Fields(text) {
		list = append(list, netip.MustParseAddr(word))
	}
	return list
}

func ip1(text string) netip.Addr { return netip.MustParseAddr(text) }

func TestFollowed(t *testing.T) {
	for _, a := range ips("239.1.1.1 232.1.1.1 224.0.0.5 224.0.0.18 224.0.0.251 224.0.0.2 ff0e::9 ff02::fb ff02::5 ff3e::8000:1 ff12::1") {
		require.True(t, Followed(a), a)
	}
	for _, a := range ips("224.0.0.1 ff02::1 ff01::1 ff01::2 ff02::2 ff05::2 ff02::1:ff00:11 192.0.2.1 2001:db8::1") {
		require.False(t, Followed(a), a)
	}
}

// What others hear is what is left of what the host tells, without ours.
func TestForeign(t *testing.T) {
	const asm, ssmGroup = "239.1.1.1", "232.1.1.1"
	src := func(a string, include, exclude int) HostSource { return HostSource{ip1(a), include, exclude} }
	for _, row := range []struct {
		name  string
		host  HostCast
		ours  Own
		hears bool
		want  []netip.Addr // sources
	}{
		{"one socket", HostCast{1, ip1(asm), 1, nil}, Own{}, true, nil},
		{"the kernel's own", HostCast{1, ip1("224.0.0.1"), 1, nil}, Own{}, false, nil},
		{"ours", HostCast{1, ip1(asm), 1, nil}, Own{Users: 1}, false, nil},
		{"ours and another", HostCast{1, ip1(asm), 2, nil}, Own{Users: 1}, true, nil},
		{"ours, seen before it was counted", HostCast{1, ip1(asm), 1, nil}, Own{Users: 2}, false, nil},
		{"one source", HostCast{1, ip1(asm), 1, []HostSource{src("192.0.2.2", 1, 0)}}, Own{}, true, ips("192.0.2.2")},
		{"two sources of one socket", HostCast{1, ip1(asm), 1, []HostSource{src("192.0.2.3", 1, 0), src("192.0.2.2", 1, 0)}}, Own{}, true,
			ips("192.0.2.2 192.0.2.3")},
		{"a source, and any", HostCast{1, ip1(asm), 2, []HostSource{src("192.0.2.2", 1, 0)}}, Own{}, true, nil},
		{"all but a source", HostCast{1, ip1(asm), 1, []HostSource{src("192.0.2.2", 0, 1)}}, Own{}, true, nil},
		{"one source, and all but it", HostCast{1, ip1(asm), 2, []HostSource{src("192.0.2.2", 1, 1)}}, Own{}, true, nil},
		{"two sockets with a source each, or one with both and one with any", HostCast{1, ip1(asm), 2,
			[]HostSource{src("192.0.2.2", 1, 0), src("192.0.2.3", 1, 0)}}, Own{}, true, nil},
		{"the same where nobody may take any", HostCast{1, ip1(ssmGroup), 2,
			[]HostSource{src("192.0.2.2", 1, 0), src("192.0.2.3", 1, 0)}}, Own{}, true, ips("192.0.2.2 192.0.2.3")},
		{"our source and another's", HostCast{1, ip1(ssmGroup), 2, []HostSource{src("192.0.2.2", 1, 0), src("192.0.2.3", 1, 0)}},
			Own{1, ips("192.0.2.3")}, true, ips("192.0.2.2")},
		{"our source and the same of another", HostCast{1, ip1(ssmGroup), 2, []HostSource{src("192.0.2.2", 2, 0)}},
			Own{1, ips("192.0.2.2")}, true, ips("192.0.2.2")},
		{"IPv6", HostCast{1, ip1("ff3e::8000:1"), 2, []HostSource{src("2001:db8::2", 1, 0), src("2001:db8::3", 1, 0)}}, Own{}, true,
			ips("2001:db8::2 2001:db8::3")},
	} {
		got := Foreign([]HostCast{row.host}, func(int, netip.Addr) Own { return row.ours })
		if !row.hears {
			require.Empty(t, got, row.name)
			continue
		}
		require.Equal(t, []Heard{{1, row.host.Group, row.want}}, got, row.name)
	}
}

// Three members with interfaces 11 to 13; each has the others as survivors, in order.
func TestCasts(t *testing.T) {
	group4, group6 := ip1("239.1.1.1"), ip1("ff0e::9")
	members := func(unusable4 ...int) []CastMember {
		list := []CastMember{
			{Link: 11, Usable: [2]bool{true, true}, Survivors: [2][]int{{1, 2}, {1, 2}}},
			{Link: 12, Usable: [2]bool{true, true}, Survivors: [2][]int{{2, 0}, {2, 0}}},
			{Link: 13, Usable: [2]bool{true, true}, Survivors: [2][]int{{0, 1}, {0, 1}}},
		}
		for _, i := range unusable4 {
			list[i].Usable[0] = false
		}
		return list
	}
	any := func(link int) Heard { return Heard{link, group4, nil} }
	from := func(link int, sources string) Heard { return Heard{link, group4, ips(sources)} }
	feed := func(joined, asked []int) []CastFeed { return []CastFeed{{group4, joined, asked}} }
	never := func(int, netip.Addr) bool { return false }
	for _, row := range []struct {
		name    string
		mode    CastMode
		members []CastMember
		heard   []Heard
		still   func(int, netip.Addr) bool
		feeds   []CastFeed
		joins   []Heard
	}{
		{"nothing is heard", CastAhead, members(), nil, never, nil, nil},
		{"off", CastOff, members(0), []Heard{any(11)}, never, nil, nil},
		{"failover, all good: the programs know", CastFailover, members(), []Heard{any(11)}, never, feed([]int{0}, nil), nil},
		{"failover", CastFailover, members(0), []Heard{any(11)}, never, feed([]int{0}, []int{1}), []Heard{any(12)}},
		{"failover, its survivor has failed too", CastFailover, members(0, 1), []Heard{any(11)}, never, feed([]int{0}, []int{2}), []Heard{any(13)}},
		{"failover, all have failed", CastFailover, members(0, 1, 2), []Heard{any(11)}, never, feed([]int{0}, nil), nil},
		{"ahead", CastAhead, members(), []Heard{any(11)}, never, feed([]int{0}, []int{1}), []Heard{any(12)}},
		{"ahead, the survivor has failed", CastAhead, members(1), []Heard{any(11)}, never, feed([]int{0}, []int{2}), []Heard{any(13)}},
		{"ahead, the survivor hears it for others", CastAhead, members(), []Heard{any(11), any(12)}, never,
			feed([]int{0, 1}, []int{2}), []Heard{any(13)}},
		{"ahead, all hear it", CastAhead, members(), []Heard{any(11), any(12), any(13)}, never, feed([]int{0, 1, 2}, nil), nil},
		{"sources", CastAhead, members(), []Heard{from(11, "192.0.2.2")}, never, feed([]int{0}, []int{1}), []Heard{from(12, "192.0.2.2")}},
		{"the survivor hears another source", CastFailover, members(0), []Heard{from(11, "192.0.2.2"), from(12, "192.0.2.3")}, never,
			feed([]int{0, 1}, []int{1}), []Heard{from(12, "192.0.2.2")}},
		{"the survivor hears any source", CastFailover, members(0), []Heard{from(11, "192.0.2.2"), any(12)}, never, feed([]int{0, 1}, nil), nil},
		{"sources of two that have failed", CastFailover, members(0, 1), []Heard{from(11, "192.0.2.2"), from(12, "192.0.2.1 192.0.2.2")}, never,
			feed([]int{0, 1}, []int{2}), []Heard{from(13, "192.0.2.1 192.0.2.2")}},
		{"a source and any, of two that have failed", CastFailover, members(0, 1), []Heard{from(11, "192.0.2.2"), any(12)}, never,
			feed([]int{0, 1}, []int{2}), []Heard{any(13)}},
		{"the other family has not failed", CastFailover, members(0), []Heard{{11, group6, nil}}, never, []CastFeed{{group6, []int{0}, nil}}, nil},
		{"repaired, and fed by its survivor as yet", CastFailover, members(), []Heard{any(11)},
			func(member int, a netip.Addr) bool { return member == 0 && a == group4 }, feed([]int{0}, []int{1}), []Heard{any(12)}},
		{"heard on other interfaces", CastAhead, members(), []Heard{any(1), any(99)}, never, nil, nil},
		{"a member that is missing", CastAhead, func() []CastMember {
			m := members(1)
			m[1].Link = 0
			return m
		}(), []Heard{any(11)}, never, feed([]int{0}, []int{2}), []Heard{any(13)}},
	} {
		feeds, joins := Casts(row.mode, row.members, row.heard, row.still)
		require.Equal(t, row.feeds, feeds, row.name)
		require.Equal(t, row.joins, joins, row.name)
	}
}

// The frames, byte for byte; their checksums were computed by another program too.
func TestCastReports(t *testing.T) {
	r := &CastReporter{Link: 7, MAC: MAC{2, 0, 0, 0, 0, 1}, Source: ip1("192.0.2.11"), Source6: ip1("fe80::1"), IGMP: 3}
	heard := []Heard{{7, ip1("239.1.1.1"), nil}, {7, ip1("232.1.1.1"), ips("192.0.2.100")}, {7, ip1("ff0e::9"), nil}}
	frames := CastReports(r, heard)
	require.Len(t, frames, 2)
	for i, want := range []string{
		"01005e000016 020000000001 0800 46c000340000400001 0241e2 c000020b e0000016 94040000" +
			"2200 3992 0000 0002 04000000 ef010101 05000001 e8010101 c0000264",
		"333300000016 020000000001 86dd 600000000024 0001 fe800000000000000000000000000001 ff020000000000000000000000000016" +
			"3a00050200000100 8f00 6ff5 0000 0001 04000000 ff0e0000000000000000000000000009",
	} {
		require.Equal(t, strings.ReplaceAll(want, " ", ""), hex.EncodeToString(frames[i].Data))
		require.Equal(t, 7, frames[i].Link)
	}
	r.IGMP, r.Source = 2, netip.Addr{}
	frames = CastReports(r, heard[:2])
	require.Len(t, frames, 2, "one for each group")
	require.Equal(t, "01005e010101 020000000001 0800 46c00020000040000102f415 00000000 ef010101 94040000 1600f9fc ef010101",
		spaced(hex.EncodeToString(frames[0].Data[:46])))
	require.Len(t, frames[0].Data, etherMin)

	var many []Heard
	for i := range 300 {
		many = append(many, Heard{7, netip.AddrFrom4([4]byte{239, 2, byte(i >> 8), byte(i)}), nil})
	}
	r.IGMP = 3
	records := 0
	for _, f := range CastReports(r, many) {
		require.LessOrEqual(t, len(f.Data), etherLen+1280)
		records += int(f.Data[etherLen+24+6])<<8 | int(f.Data[etherLen+24+7])
	}
	require.Equal(t, 300, records)
}

func spaced(digits string) string {
	return strings.Join([]string{digits[:12], digits[12:24], digits[24:28], digits[28:52], digits[52:60], digits[60:68], digits[68:76],
		digits[76:84], digits[84:]}, " ")
}
