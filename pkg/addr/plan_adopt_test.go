// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// quiet leaves the sysctls out of the picture.
func quiet(k *kernel) {
	clear(k.sysctls)
	k.sysctls[sysctlKey("ipv4", "all", "promote_secondaries")] = "1"
	for _, l := range k.list {
		k.sysctls[sysctlKey("ipv4", l.Name, "promote_secondaries")] = "1"
	}
}

// What an administrator set up before ipmpd came stays up all the way.
func TestPlanAdopts(t *testing.T) {
	for _, row := range []struct {
		name string
		do   func(d *Desired, k *kernel)
		want string
	}{
		{"addresses where they stand, connected routes replaced in place", func(d *Desired, k *kernel) {
			k.addForeign("hme0", "192.0.2.11/24", 0, 0)
			k.addForeign("hme0", "192.0.2.10/24", 0, 0)
			k.addForeign("hme1", "192.0.2.12/24", 0, 0)
		}, `
ip route replace 192.0.2.0/24 nhid 0-v4-group scope link src 192.0.2.10
ip route del 192.0.2.0/24 dev hme1 proto 2 scope link src 192.0.2.12`},
		{"a data address on the wrong member, the primary one there", func(d *Desired, k *kernel) {
			k.addForeign("hme1", "192.0.2.10/24", 0, 0)
			k.addForeign("hme1", "192.0.2.12/24", 0, 0)
			k.addForeign("hme0", "192.0.2.11/24", 0, 0)
		}, `
ip addr replace 192.0.2.10/24 dev hme0
ip route replace 192.0.2.0/24 nhid 0-v4-group scope link src 192.0.2.10
ip route del 192.0.2.0/24 dev hme0 proto 2 scope link src 192.0.2.11
ip addr del 192.0.2.10/24 dev hme1
ip route del 192.0.2.0/24 dev hme1 proto 2 scope link src 192.0.2.12`},
		{"the same subnet on an interface that is not ours: its route stays", func(d *Desired, k *kernel) {
			k.addForeign("eth9", "192.0.2.99/24", 0, 0)
			d.Groups[0].Members[0].Tests, d.Groups[0].Members[1].Tests = nil, nil
		}, `
ip addr replace 192.0.2.10/24 dev hme0`},
		{"a static default route is replaced, a routing daemon's is not", func(d *Desired, k *kernel) {
			k.addForeign("hme0", "192.0.2.10/24", unix.IFA_F_NOPREFIXROUTE, 0)
			d.Groups[0].Members[0].Tests, d.Groups[0].Members[1].Tests = nil, nil
			for metric, protocol := range []uint8{unix.RTPROT_STATIC, unix.RTPROT_ZEBRA} {
				d.Groups[0].Routes = append(d.Groups[0].Routes, Route{To: prefix("0.0.0.0/0"), Metric: uint32(metric)})
				k.insertRoute(HostRoute{Table: 254, To: prefix("0.0.0.0/0"), Link: 2, Protocol: protocol, Metric: uint32(metric)})
			}
		}, `
ip route replace default nhid 0-v4-group scope link src 192.0.2.10
ip route replace 192.0.2.0/24 nhid 0-v4-group scope link src 192.0.2.10
ip route replace 192.0.2.0/24 nhid 0-v4-standing scope link src 192.0.2.10 metric 1`},
		{"IPv6: ours beside the kernel's, then the kernel's goes", func(d *Desired, k *kernel) {
			d.Groups[0].Members[0].Tests, d.Groups[0].Members[1].Tests = []netip.Prefix{prefix("2001:db8::11/64")}, nil
			d.Groups[0].Addresses[0].Prefix = prefix("2001:db8::10/64")
			k.addForeign("hme0", "2001:db8::11/64", 0, 0)
		}, `
ip addr replace 2001:db8::10/64 dev hme0
ip route replace 2001:db8::/64 nhid 0-v6-group src 2001:db8::10 metric 128
ip route del 2001:db8::/64 dev hme0 proto 2 metric 256`},
		{"IPv6: what the kernel has refused is added again where it is to be in use, and not where it is held", func(d *Desired, k *kernel) {
			d.Groups[0].Members[0].Tests, d.Groups[0].Members[1].Tests = []netip.Prefix{prefix("2001:db8::11/64")}, nil
			d.Groups[0].Addresses = []Address{{prefix("2001:db8::10/64"), 0}, {prefix("2001:db8::20/64"), -1}}
			const failed = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED | unix.IFA_F_NOPREFIXROUTE
			for _, a := range []string{"2001:db8::10/64", "2001:db8::11/64", "2001:db8::20/64"} {
				k.addForeign("hme0", a, failed, 0)
			}
		}, `
ip addr del 2001:db8::10/64 dev hme0
ip addr replace 2001:db8::10/64 dev hme0
ip addr del 2001:db8::11/64 dev hme0
ip addr replace 2001:db8::11/64 dev hme0 test
ip route replace 2001:db8::/64 nhid 0-v6-group src 2001:db8::10 metric 128`},
		{"a test address never becomes the source, whatever the file says", func(d *Desired, k *kernel) {
			d.Groups[0].Members[1].Tests = nil
			d.Groups[0].Routes = []Route{{To: prefix("10.0.0.0/8"), Src: netip.MustParseAddr("192.0.2.11")}}
		}, `
ip addr replace 192.0.2.10/24 dev hme0
ip addr replace 192.0.2.11/24 dev hme0 test
ip route replace 10.0.0.0/8 nhid 0-v4-group scope link src 192.0.2.10
ip route replace 192.0.2.0/24 nhid 0-v4-group scope link src 192.0.2.10
ip route replace 10.0.0.0/8 nhid 0-v4-standing scope link src 192.0.2.10 metric 1
ip route replace 192.0.2.0/24 nhid 0-v4-standing scope link src 192.0.2.10 metric 1`},
		{"a host prefix has no connected route; the gateway's subnet chooses the source", func(d *Desired, k *kernel) {
			g := &d.Groups[0]
			g.Members[0].Tests, g.Members[1].Tests = nil, nil
			g.Addresses = []Address{{prefix("203.0.113.1/32"), 0}, {prefix("198.51.100.7/25"), 1}}
			g.Routes = []Route{{To: prefix("0.0.0.0/0"), Via: netip.MustParseAddr("198.51.100.1")}}
		}, `
ip addr replace 203.0.113.1/32 dev hme0
ip addr replace 198.51.100.7/25 dev hme1
ip route replace default nhid 0-v4-via-group src 198.51.100.7
ip route replace 198.51.100.0/25 nhid 0-v4-group scope link src 198.51.100.7`},
		{"a gateway that is an address of this host leads nowhere", func(d *Desired, k *kernel) {
			k.addForeign("eth9", "192.0.2.1/24", unix.IFA_F_NOPREFIXROUTE, 0)
			d.Groups[0].Members[0].Tests, d.Groups[0].Members[1].Tests = nil, d.Groups[0].Members[0].Tests
			d.Groups[0].Routes = []Route{{To: prefix("10.0.0.0/8"), Via: netip.MustParseAddr("192.0.2.1")},
				{To: prefix("10.0.0.0/9"), Via: netip.MustParseAddr("192.0.2.11")}}
			d.Groups[0].Members[0].Tests = []netip.Prefix{prefix("192.0.2.13/24")}
		}, `
ip addr replace 192.0.2.10/24 dev hme0
ip addr replace 192.0.2.13/24 dev hme0 test
ip addr replace 192.0.2.11/24 dev hme1 test
ip route replace 192.0.2.0/24 nhid 0-v4-group scope link src 192.0.2.10`},
		{"a member that does not exist", func(d *Desired, k *kernel) {
			delete(k.links, 2)
			k.list = slices.Delete(k.list, 1, 2)
			d.Groups[0].Members[0].Index = 0
			d.Groups[0].Members[0].Usable, d.Groups[0].Members[0].Active = [2]bool{}, [2]bool{}
		}, `
ip addr replace 192.0.2.12/24 dev hme1 test`},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, _ := pair()
			d.Groups[0].Routes = nil
			k := newKernel("hme0", "hme1", "eth9")
			quiet(k)
			row.do(&d, k)
			var got []string
			for _, line := range strings.Split(k.run(t, Plan(d, k.observed())), "\n") {
				if !strings.HasPrefix(line, "ip nexthop replace ") {
					got = append(got, line)
				}
			}
			require.Equal(t, strings.TrimSpace(row.want), strings.Join(got, "\n"))
			require.Empty(t, Plan(d, k.observed()), "a second plan finds nothing to do")
		})
	}
}

// Who carries outgoing traffic.
func TestHops(t *testing.T) {
	none := [2]bool{}
	for _, row := range []struct {
		name string
		do   func(g *Group)
		want string
	}{
		{"all active members", func(*Group) {}, "0/1"},
		{"not the one that is not active", func(g *Group) { g.Members[0].Active = none }, "1"},
		{"not one without an address of its own", func(g *Group) { g.Members[0].Tests = nil }, "1"},
		{"none has one: those with data addresses", func(g *Group) { g.Members[0].Tests, g.Members[1].Tests = nil, nil }, "0"},
		{"no spread: the owner of the source", func(g *Group) { g.Spread, g.Addresses[0].Member = false, 1 }, "1"},
		{"no spread, the owner is not active: the first active", func(g *Group) { g.Spread, g.Members[0].Active = false, none }, "1"},
		{"nobody usable, nothing there to keep: who has link", func(g *Group) {
			g.Members[0].Usable, g.Members[0].Active, g.Members[1].Usable, g.Members[1].Active = none, none, none, none
			g.Members[0].Link = false
		}, "1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, k := pair()
			d.Groups[0].Routes = nil
			row.do(&d.Groups[0])
			k.run(t, Plan(d, k.observed()))
			var got []string
			for _, hop := range k.nexthops[nexthopID(0, 0, 0, idGroup)].Hops {
				got = append(got, fmt.Sprint(hop&63))
			}
			require.Equal(t, row.want, strings.Join(got, "/"))
		})
	}
}

func TestRPFilter(t *testing.T) {
	for _, row := range []struct {
		all, own, want string
		tests          bool
	}{
		{"0", "0", "0", true}, {"0", "1", "2", true}, {"0", "2", "2", true},
		{"1", "0", "2", true}, {"1", "2", "2", true}, {"2", "1", "1", true},
		{"0", "0", "0", false}, {"0", "1", "0", false}, {"0", "2", "0", false},
		{"1", "1", "2", false}, {"2", "0", "0", false},
	} {
		d, k := pair()
		key := sysctlKey("ipv4", "hme0", "rp_filter")
		k.sysctls[key], k.sysctls[sysctlKey("ipv4", "all", "rp_filter")] = row.own, row.all
		if !row.tests {
			d.Groups[0].Members[0].Tests = nil
		}
		k.run(t, Plan(d, k.observed()))
		require.Equal(t, row.want, k.sysctls[key], "%+v", row)
	}
}

func TestSysctlKeys(t *testing.T) {
	d, k := pair()
	want := map[string]bool{}
	for key := range k.sysctls {
		want[key] = true
	}
	for _, key := range SysctlKeys(d) {
		require.True(t, want[key], key)
		delete(want, key)
	}
	require.Empty(t, want)

	clear(k.sysctls) // an old kernel: what it does not have is not set
	for _, op := range Plan(d, k.observed()) {
		require.NotEqual(t, SetSysctl, op.Kind)
	}
}

func TestGatewayNumbers(t *testing.T) {
	var all []netip.Addr
	for i := range 200 {
		all = append(all, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}))
	}
	keys := make([]string, 0, len(all))
	for _, via := range all {
		keys = append(keys, gatewayKey(via, ""))
	}
	numbers := gatewayNumbers(keys)
	seen := map[int]bool{0: true}
	for _, n := range numbers {
		require.False(t, seen[n], "on link, or taken twice")
		require.Less(t, n, gateways)
		seen[n] = true
	}
	require.Equal(t, numbers[keys[7]], gatewayNumbers(keys[7:8])[keys[7]], "a number does not depend on who else is there")
	id := nexthopID(63, 1, gateways-1, idStanding)
	family, ours := idFamily(id)
	require.True(t, ours)
	require.Equal(t, 1, family)
}

func TestMemberships(t *testing.T) {
	was, k := pair()
	g := &was.Groups[0]
	g.Addresses = append(g.Addresses, Address{prefix("2001:db8::10/64"), 0})
	is := failed(was, 0, 0, Both, []int{1, 1})
	show := func(ops []Op) (lines []string) {
		for _, op := range ops {
			lines = append(lines, strings.TrimSpace(fmt.Sprintln(op.Kind == JoinMulticast, op.Prefix, op.LinkName)))
		}
		return lines
	}
	require.Equal(t, []string{"true 2001:db8::10/64 hme0", "true 2001:db8::10/64 hme1"}, show(Memberships(Desired{}, was)))
	require.Empty(t, Memberships(was, is), "a failover changes none")
	is.Groups[0].Addresses = []Address{{prefix("2001:db8::20/64"), 1}}
	is.Groups[0].Members[0].Index = 0 // and hme0 is gone
	require.Equal(t, []string{"true 2001:db8::20/64 hme1", "false 2001:db8::10/64 hme0", "false 2001:db8::10/64 hme1"},
		show(Memberships(was, is)))
	k.run(t, Memberships(was, is))
}

func TestAfter(t *testing.T) {
	d, _ := pair()
	before, _ := pair()
	g := &d.Groups[0]
	g.Members[1].Active = [2]bool{} // a standby
	before.Groups[0].Members[1].Active = [2]bool{}

	link := After(d, 0, 0, Both, []int{1}, [2]uint32{0b10, 0b10}).Groups[0]
	require.Equal(t, 1, link.Addresses[0].Member)
	require.Equal(t, Member{Name: "hme0", Index: 2, MAC: MAC{2, 0, 0, 0, 0, 2}, Tests: g.Members[0].Tests}, link.Members[0])
	require.Equal(t, [2]bool{true, true}, link.Members[1].Active, "the standby takes both families over")

	one := After(d, 0, 0, 1, nil, [2]uint32{0b01, 0b10}).Groups[0]
	require.Equal(t, 0, one.Addresses[0].Member, "not placed anew")
	require.Equal(t, [2]bool{true, false}, one.Members[0].Usable)
	require.Equal(t, [2]bool{false, true}, one.Members[1].Active, "only for the family that has failed")
	require.True(t, one.Members[0].Link)
	called := After(d, 0, 0, 0, []int{0}, [2]uint32{0b10, 0b01}).Groups[0]
	require.Equal(t, [2]bool{true, false}, called.Members[1].Active, "called, and without an address")
	require.Equal(t, before, d, "what it was made from is as it was")
}

// BenchmarkPlan is the failover of a member with every address that a configuration may have.
func BenchmarkPlan(b *testing.B) {
	d, k := pair()
	d.Groups[0].Addresses = nil
	for i := range 4096 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 16)
		d.Groups[0].Addresses = append(d.Groups[0].Addresses, Address{Prefix: p, Member: i % 2})
	}
	o := k.observed()
	o = o.With(Plan(d, o))
	owners := make([]int, 4096)
	for i := range owners {
		owners[i] = 1
	}
	for _, row := range []struct {
		name string
		d    Desired
		ops  int
	}{{"nothing", d, 0}, {"failover", failed(d, 0, 0, Both, owners), 2 + 2048 + 2048}} {
		b.Run(row.name, func(b *testing.B) {
			for b.Loop() {
				if ops := Plan(row.d, o); len(ops) != row.ops {
					b.Fatalf("%d operations, not %d", len(ops), row.ops)
				}
			}
		})
	}
}
