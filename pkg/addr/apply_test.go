// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var (
	data4 = netip.MustParsePrefix("192.0.2.10/24")
	data6 = netip.MustParsePrefix("2001:db8::10/64")
)

func add(m *Member, p netip.Prefix) Op {
	return Op{Kind: AddAddress, Link: m.Index, LinkName: m.Name, Prefix: p}
}

func del(m *Member, p netip.Prefix) Op {
	return Op{Kind: DeleteAddress, Link: m.Index, LinkName: m.Name, Prefix: p}
}

func TestApplyAddresses(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	m0, m1 := &r.members[0], &r.members[1]
	test4, test6 := netip.MustParsePrefix("192.0.2.11/24"), netip.MustParsePrefix("2001:db8::11/64")
	p2p := netip.MustParsePrefix("198.51.100.1/31")

	// Else the test address goes with the data address before it.
	r.applied(Op{Kind: SetSysctl, Key: "net/ipv4/conf/m0/promote_secondaries", Value: "1"})
	for range 2 { // again, it is success
		r.applied(add(m0, data4), add(m0, data6), add(m0, p2p),
			Op{Kind: AddAddress, Link: m0.Index, Prefix: test4, Test: true},
			Op{Kind: AddAddress, Link: m0.Index, Prefix: test6, Test: true})
	}
	require.ElementsMatch(t, []netip.Prefix{data4, data6, p2p, test4, test6}, r.host.addresses("m0"))
	for _, a := range r.host.infos("m0") {
		require.Equal(t, true, a["noprefixroute"], a)
		require.NotContains(t, a, "tentative")
		require.Equal(t, a["local"] == test6.Addr().String(), a["deprecated"] == true, "deprecated: the IPv6 test address alone: %v", a)
		switch a["local"] {
		case data4.Addr().String():
			require.Equal(t, "192.0.2.255", a["broadcast"])
		case p2p.Addr().String():
			require.NotContains(t, a, "broadcast")
		}
	}
	require.Empty(t, r.host.json("route", "show", "table", "main"), "no prefix routes")

	for range 2 {
		r.applied(add(m1, data4), add(m1, data6), del(m0, data4), del(m0, data6))
	}
	require.ElementsMatch(t, []netip.Prefix{p2p, test4, test6}, r.host.addresses("m0"))
	require.ElementsMatch(t, []netip.Prefix{data4, data6}, r.host.addresses("m1"))
}

// A test address that was added as data, or the other way round, is put right.
func TestApplyCorrectsFlags(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	m0 := &r.members[0]
	r.host.ip("addr", "add", data6.String(), "dev", "m0", "nodad", "preferred_lft", "0")
	require.Contains(t, r.host.ip("addr", "show", "dev", "m0"), "deprecated")
	require.Contains(t, r.host.ip("-6", "route", "show"), "2001:db8::/64")
	r.applied(add(m0, data6))
	require.NotContains(t, r.host.ip("addr", "show", "dev", "m0"), "deprecated")
	require.NotContains(t, r.host.ip("-6", "route", "show"), "2001:db8::/64")
}

func TestApplyRoutes(t *testing.T) {
	for _, c := range []struct {
		name, to, via, src string
		data               netip.Prefix
		family             string
	}{
		{"IPv4", "198.51.100.0/24", "192.0.2.1", "192.0.2.10", data4, "-4"},
		{"IPv6", "2001:db8:1::/48", "2001:db8::1", "2001:db8::10", data6, "-6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, ApplierOptions{})
			m0, m1 := &r.members[0], &r.members[1]
			via, src, to := netip.MustParseAddr(c.via), netip.MustParseAddr(c.src), netip.MustParsePrefix(c.to)
			family := 0
			if src.Is6() {
				family = 1
			}
			link0, link1 := nexthopID(3, family, 0, 0), nexthopID(3, family, 0, 1)
			gate0, gate1 := nexthopID(3, family, 9, 0), nexthopID(3, family, 9, 1)
			onlink, gate := nexthopID(3, family, 0, idGroup), nexthopID(3, family, 9, idGroup)
			route := Op{Kind: SetRoute, Prefix: to, ID: gate, Src: src, Metric: 50}
			all := []Op{
				add(m0, c.data), add(m1, c.data),
				{Kind: SetNexthop, ID: link0, Link: m0.Index}, {Kind: SetNexthop, ID: link1, Link: m1.Index},
				{Kind: SetNexthop, ID: gate0, Link: m0.Index, Gateway: via},
				{Kind: SetNexthop, ID: gate1, Link: m1.Index, Gateway: via},
				{Kind: SetNexthopGroup, ID: onlink, Hops: []uint32{link0}},
				{Kind: SetNexthopGroup, ID: gate, Hops: []uint32{gate0}},
				{Kind: SetRoute, Prefix: c.data.Masked(), ID: onlink, Src: src, OnLink: true},
				route,
			}
			for range 2 {
				r.applied(all...)
			}
			groups := r.host.ip("nexthop", "show", "groups")
			require.Contains(t, groups, "type resilient buckets 128")
			require.Contains(t, groups, "proto 157")
			require.Equal(t, 2, strings.Count(r.host.ip(c.family, "route", "show", "proto", "157"), "nhid"))
			got := r.host.ip(c.family, "route", "get", to.Addr().Next().String())
			require.Contains(t, got, "dev m0")
			require.Contains(t, got, "src "+c.src)

			// Two messages re-point every route; the groups never empty.
			r.applied(Op{Kind: SetNexthopGroup, ID: onlink, Hops: []uint32{link1}},
				Op{Kind: SetNexthopGroup, ID: gate, Hops: []uint32{gate0, gate1}},
				Op{Kind: SetNexthopGroup, ID: gate, Hops: []uint32{gate1}})
			got = r.host.ip(c.family, "route", "show", c.to)
			require.Contains(t, got, "dev m1")
			require.Contains(t, got, "via "+c.via)
			require.Equal(t, family == 0, strings.Contains(got, "onlink"), got)
			require.Contains(t, got, "metric 50")
			require.Contains(t, got, "src "+c.src)

			gone := route
			gone.Kind, gone.Protocol, gone.ID = DeleteRoute, Protocol, onlink
			require.Empty(t, r.apply(gone), "nothing to delete is success")
			require.NotEmpty(t, r.host.ip(c.family, "route", "show", c.to), "and through another nexthop is another route")
			gone.ID = gate
			for range 2 {
				r.applied(gone, Op{Kind: DeleteNexthop, ID: gate}, Op{Kind: DeleteNexthop, ID: gate0})
			}
			require.Empty(t, r.host.ip(c.family, "route", "show", c.to))
			require.NotContains(t, r.host.ip("nexthop", "show"), "id "+strconv.Itoa(int(gate))+" ")
			require.Contains(t, r.host.ip("nexthop", "show"), "id "+strconv.Itoa(int(gate1))+" ")
		})
	}
}

// The kernel's own connected route goes after ours is in place, and only that one.
func TestApplyDeletesConnectedRoute(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	r.host.ip("addr", "add", "192.0.2.11/24", "dev", "m0")
	r.host.ip("addr", "add", "192.0.2.12/24", "dev", "m1")
	r.applied(Op{Kind: DeleteRoute, Prefix: data4.Masked(), Link: r.members[0].Index, Protocol: unix.RTPROT_KERNEL,
		Src: netip.MustParseAddr("192.0.2.11"), Table: unix.RT_TABLE_MAIN})
	left := r.host.ip("route", "show")
	require.Contains(t, left, "dev m1")
	require.NotContains(t, left, "dev m0")
}

func TestApplyNeighbor(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	for _, ip := range []string{"192.0.2.1", "2001:db8::1"} {
		for _, mac := range []MAC{mac1, {2, 0, 0, 0, 0, 1}} {
			r.applied(Op{Kind: AddNeighbor, Link: r.members[0].Index, IP: netip.MustParseAddr(ip), MAC: mac})
		}
	}
	got := r.host.json("neigh", "show", "dev", "m0")
	require.Len(t, got, 2)
	for _, n := range got {
		require.Equal(t, "02:00:00:00:00:01", n["lladdr"])
		require.Equal(t, []any{"REACHABLE"}, n["state"])
	}
}

// One failure is reported with its operation and the kernel's word; the rest is done.
func TestApplyReportsEach(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	m0 := &r.members[0]
	ghost := &Member{Name: "ghost", Index: 4711}
	other := netip.MustParsePrefix("192.0.2.20/24")
	failures := r.apply(add(m0, data4), add(ghost, other), del(ghost, other),
		Op{Kind: AddAddress, Link: m0.Index}, // incomplete: no message at all
		Op{Kind: SetSysctl, Key: "net/ipv4/conf/ghost/rp_filter", Value: "0"},
		Op{Kind: SetRoute, Prefix: netip.MustParsePrefix("198.51.100.0/24"), ID: 4712},
		add(m0, other))
	require.Len(t, failures, 4)
	of := func(k Kind, link int) error {
		for _, f := range failures {
			if f.Op.Kind == k && f.Op.Link == link {
				return f.Err
			}
		}
		return nil
	}
	require.ErrorIs(t, of(AddAddress, ghost.Index), unix.ENODEV)
	require.ErrorContains(t, of(AddAddress, m0.Index), "incomplete")
	require.ErrorIs(t, of(SetSysctl, 0), os.ErrNotExist)
	require.ErrorContains(t, of(SetRoute, 0), "(", "with the kernel's words")
	require.ElementsMatch(t, []netip.Prefix{data4, other}, r.host.addresses("m0"))
}

// An address that cannot be added where it belongs stays where it is: better there than nowhere.
func TestNothingIsStranded(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	m0 := &r.members[0]
	ghost := &Member{Name: "ghost", Index: 4711}
	other := netip.MustParsePrefix("192.0.2.20/24")
	r.applied(add(m0, data4), add(m0, other))
	failures := r.apply(add(ghost, data4), del(m0, data4), del(m0, other))
	require.Len(t, failures, 2)
	require.ErrorIs(t, failures[0].Err, unix.ENODEV)
	require.ErrorIs(t, failures[1].Err, ErrNowhere)
	require.Equal(t, []netip.Prefix{data4}, r.host.addresses("m0"), "the other one may go")

	b, err := r.a.Prepare([]Op{add(ghost, data4), del(m0, data4)}, nil, false)
	require.NoError(t, err)
	result := b.Fire(func() bool { return true })
	require.Len(t, result.Failures, 1)
	require.Equal(t, []netip.Prefix{data4}, r.host.addresses("m0"))
}

func TestApplySysctl(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	r.applied(Op{Kind: SetSysctl, Key: "net/ipv4/conf/m0/rp_filter", Value: "2"})
	r.host.do(func() error {
		got, err := os.ReadFile("/proc/sys/net/ipv4/conf/m0/rp_filter")
		require.Equal(t, "2\n", string(got))
		return err
	})
	key := filepath.Join("net", "ipv4", "conf", "m0", "no_such")
	require.Len(t, r.apply(Op{Kind: SetSysctl, Key: key, Value: "1"}), 1)
}

// Solicited-node groups are held while one address needs them.
func TestApplyMulticast(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	same := netip.MustParsePrefix("2001:db8:1::10/64") // the same last 24 bits as data6
	member := func() bool {
		return strings.Contains(r.host.ip("maddr", "show", "dev", "m1"), "ff02::1:ff00:10")
	}
	op := func(k Kind, p netip.Prefix) Op { return Op{Kind: k, Link: r.members[1].Index, Prefix: p} }
	r.applied(op(JoinMulticast, data6), op(JoinMulticast, same), op(JoinMulticast, same))
	require.True(t, member())
	r.applied(op(LeaveMulticast, same))
	require.True(t, member())
	r.applied(op(LeaveMulticast, data6), op(LeaveMulticast, data6))
	require.False(t, member())

	// More groups than one socket may hold.
	var many []Op
	for i := range 1000 {
		many = append(many, op(JoinMulticast, netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 13: 1, 14: byte(i >> 8), 15: byte(i)}), 64)))
	}
	r.applied(many...)
	require.Equal(t, 1000, strings.Count(r.host.ip("maddr", "show", "dev", "m1"), "ff02::1:ff01:"))
}

// A thousand addresses, in chunks, each reported for itself.
func TestApplyMany(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	var ops []Op
	for i := range 1000 {
		ops = append(ops, add(&r.members[0], thousand(i)))
	}
	r.applied(ops...)
	require.Len(t, r.host.addresses("m0"), 1000)
}

// thousand is one of many addresses, of both families in turn.
func thousand(i int) netip.Prefix {
	if i%2 == 0 {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 16)
	}
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)}), 64)
}

// What comes for an IPv6 address is delivered a little after it was added; until then it stays where it was.
func TestApplyLandsFirst(t *testing.T) {
	var r *rig
	asked, right, there := 0, true, true
	r = newRig(t, ApplierOptions{Delivers: func(link int, ip netip.Addr) bool {
		right = right && link == r.members[1].Index && ip == data6.Addr()
		out, err := exec.Command("ip", "addr", "show", "dev", "m0").CombinedOutput() // on the host's thread
		there = there && err == nil && strings.Contains(string(out), ip.String()+"/")
		asked++
		return asked > 3
	}})
	m0, m1 := &r.members[0], &r.members[1]
	r.applied(add(m0, data4), add(m0, data6))
	off4, off6 := del(m0, data4), del(m0, data6)
	off4.Owner, off6.Owner = m1.Index, m1.Index
	r.applied(add(m1, data4), add(m1, data6), off4, off6)
	require.Equal(t, 4, asked)
	require.True(t, right, "of what has moved, where it has moved to")
	require.True(t, there, "not deleted before it is delivered elsewhere")
	require.NotContains(t, r.host.ip("addr", "show", "dev", "m0"), data6.Addr().String())

	// A failover does not wait: what follows it does.
	on4, on6 := del(m1, data4), del(m1, data6)
	on4.Owner, on6.Owner = m0.Index, m0.Index
	b, err := r.a.Prepare([]Op{add(m0, data4), add(m0, data6), on6, on4}, nil, false)
	require.NoError(t, err)
	require.Empty(t, b.Fire(always).Failures)
	require.Equal(t, 4, asked)
	left := r.host.ip("addr", "show", "dev", "m1")
	require.Contains(t, left, data6.Addr().String())
	require.NotContains(t, left, data4.Addr().String()+"/")
}
