// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// texts of drifts: what somebody did, and to what; "+" before what follows from another.
func driftTexts(k *kernel, found []Drift) string {
	var lines []string
	for _, f := range found {
		line := k.shell(*f.Op) + ": " + f.Did
		if f.Follows {
			line = "+ " + line
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// TestDrifted: what others do to the host is told from what the kernel does, and from what we do
// ourselves. Each row starts on a host that is as it should be, and ends on one.
func TestDrifted(t *testing.T) {
	hop0, group := nexthopID(0, 0, 0, 0), nexthopID(0, 0, 0, idGroup)
	prefix := netip.MustParsePrefix
	for _, row := range []struct {
		name string
		do   func(d *Desired, k *kernel)
		want string
	}{
		{"nothing", func(*Desired, *kernel) {}, ""},
		{"a data address deleted, with its routes", func(_ *Desired, k *kernel) {
			k.must(Op{Kind: DeleteAddress, Link: 2, Prefix: prefix("192.0.2.10/24")})
		}, `
ip addr replace 192.0.2.10/24 dev hme0: deleted it
+ ip route replace default nhid 0-v4-via-group src 192.0.2.10: deleted the route default
+ ip route replace 192.0.2.0/24 nhid 0-v4-group scope link src 192.0.2.10: deleted the route 192.0.2.0/24`},
		{"an IPv6 one, whose routes forget it", func(_ *Desired, k *kernel) {
			k.must(Op{Kind: DeleteAddress, Link: 2, Prefix: prefix("2001:db8::10/64")})
		}, `
ip addr replace 2001:db8::10/64 dev hme0: deleted it
+ ip route replace 2001:db8::/64 nhid 0-v6-group src 2001:db8::10 metric 128: changed the route 2001:db8::/64`},
		{"a test address deleted", func(_ *Desired, k *kernel) {
			k.must(Op{Kind: DeleteAddress, Link: 3, Prefix: prefix("192.0.2.12/24")})
		}, "\nip addr replace 192.0.2.12/24 dev hme1 test: deleted it"},
		{"a data address deprecated", func(_ *Desired, k *kernel) {
			k.addrs[k.find(2, prefix("2001:db8::10/64"))].Flags |= unix.IFA_F_DEPRECATED
		}, "\nip addr replace 2001:db8::10/64 dev hme0: changed its preferred lifetime"},
		{"a copy on another member, and the kernel's route for it", func(_ *Desired, k *kernel) {
			k.addForeign("hme1", "192.0.2.10/24", 0, 0)
		}, "\nip addr del 192.0.2.10/24 dev hme1: put it on this interface too"},
		{"moved to another member", func(_ *Desired, k *kernel) {
			k.addForeign("hme1", "192.0.2.10/24", 0, 0)
			k.must(Op{Kind: DeleteAddress, Link: 2, Prefix: prefix("192.0.2.10/24")})
		}, `
ip addr replace 192.0.2.10/24 dev hme0: deleted it
ip addr del 192.0.2.10/24 dev hme1: put it on this interface too`},
		{"routes deleted", func(_ *Desired, k *kernel) {
			k.dropRoutes(func(r HostRoute) bool { return r.To.Addr().Is4() })
		}, `
ip route replace default nhid 0-v4-via-group src 192.0.2.10: deleted the route default
ip route replace 192.0.2.0/24 nhid 0-v4-group scope link src 192.0.2.10: deleted the route 192.0.2.0/24`},
		{"a nexthop deleted", func(_ *Desired, k *kernel) { k.dropNexthop(hop0) }, fmt.Sprintf(`
ip nexthop replace id 0-v4-0 dev hme0: deleted nexthop %d
+ ip nexthop replace id 0-v4-group group 0-v4-0/0-v4-1: changed nexthop group %d`, hop0, group)},
		{"a nexthop group deleted, with its routes", func(_ *Desired, k *kernel) { k.dropNexthop(group) }, fmt.Sprintf(`
ip nexthop replace id 0-v4-group group 0-v4-0/0-v4-1: deleted nexthop group %d
+ ip route replace 192.0.2.0/24 nhid 0-v4-group scope link src 192.0.2.10: deleted the route 192.0.2.0/24`, group)},
		{"a nexthop group replaced, which takes our protocol number away", func(_ *Desired, k *kernel) {
			k.nexthops[group] = HostNexthop{ID: group, Hops: []uint32{hop0}}
		}, fmt.Sprintf("\nip nexthop replace id 0-v4-group group 0-v4-0/0-v4-1: changed nexthop group %d", group)},
		{"a nexthop replaced", func(_ *Desired, k *kernel) {
			k.nexthops[hop0] = HostNexthop{ID: hop0, Link: 3}
		}, fmt.Sprintf("\nip nexthop replace id 0-v4-0 dev hme0: changed nexthop %d", hop0)},
		{"a sysctl", func(_ *Desired, k *kernel) {
			k.sysctls["net/ipv4/conf/hme1/arp_announce"] = "1"
		}, "\nsysctl net/ipv4/conf/hme1/arp_announce=2: set net/ipv4/conf/hme1/arp_announce to 1"},
		{"a sysctl that did not have to be set before", func(_ *Desired, k *kernel) {
			k.sysctls["net/ipv4/conf/hme1/rp_filter"] = "1"
		}, "\nsysctl net/ipv4/conf/hme1/rp_filter=2: set net/ipv4/conf/hme1/rp_filter to 1"},
		{"a sysctl of all interfaces", func(_ *Desired, k *kernel) {
			k.sysctls["net/ipv4/conf/all/rp_filter"] = "1"
		}, `
sysctl net/ipv4/conf/hme0/rp_filter=2: set net/ipv4/conf/all/rp_filter to 1
sysctl net/ipv4/conf/hme1/rp_filter=2: set net/ipv4/conf/all/rp_filter to 1`},
		{"a sysctl that harms nobody", func(_ *Desired, k *kernel) {
			k.sysctls["net/ipv4/conf/hme1/rp_filter"] = "2"
		}, ""},
		{"foreign things", func(_ *Desired, k *kernel) {
			k.addForeign("hme0", "198.18.0.1/24", 0, 0)
			k.nexthops[7] = HostNexthop{ID: 7, Protocol: 12, Link: 2}
		}, ""},

		// Nobody else's doing.
		{"a failover", func(d *Desired, _ *kernel) { d.fail(0, 1, 1) }, ""},
		{"an address of ours on its way", func(d *Desired, _ *kernel) { d.Groups[0].Addresses[0].Member = 1 }, ""},
		{"a loss of the link, which takes nexthops and routes along", func(d *Desired, k *kernel) {
			k.setCarrier("hme0", false)
			d.fail(0, 1, 1)
		}, ""},
		{"one that is back before it was seen", func(d *Desired, k *kernel) {
			k.setCarrier("hme0", false)
			k.setCarrier("hme0", true)
			d.Groups[0].Members[0].Link = false
		}, ""},
		{"a new data address", func(d *Desired, _ *kernel) {
			d.Groups[0].Addresses = append(d.Groups[0].Addresses, Address{Prefix: prefix("192.0.2.20/24"), Member: 1})
		}, ""},
		{"another interface of the name", func(d *Desired, k *kernel) {
			k.rename("hme1", "x")
			k.list = append(k.list, HostLink{Index: 9, Name: "hme1", Up: true, Carrier: true})
			k.links[9] = k.list[len(k.list)-1]
			d.Groups[0].Members[1].Index = 9
			k.sysctls["net/ipv4/conf/hme1/arp_announce"] = "0"
		}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, k := pair()
			d.Groups[0].Addresses = append(d.Groups[0].Addresses, Address{Prefix: prefix("2001:db8::10/64"), Member: 0})
			o := k.observed()
			o.Sysctls = maps.Clone(o.Sysctls)
			ops := Plan(d, o)
			k.run(t, ops)
			left := Left(d, o, ops)
			d.Groups[0].Members = slices.Clone(d.Groups[0].Members)
			d.Groups[0].Addresses = slices.Clone(d.Groups[0].Addresses)
			left.desired.Groups = slices.Clone(d.Groups)
			left.desired.Groups[0].Members = slices.Clone(d.Groups[0].Members)
			row.do(&d, k)
			now := k.observed()
			ops = Plan(d, now)
			require.Equal(t, strings.TrimPrefix(row.want, "\n"), driftTexts(k, left.Drifted(d, now, ops)))
			k.run(t, ops)
			require.Empty(t, Plan(d, k.observed()))
			require.Empty(t, Left(d, now, ops).Drifted(d, k.observed(), nil))
		})
	}
}

// An address that is still tentative is no source yet: its route comes later, and nobody took it.
func TestDriftedLater(t *testing.T) {
	d, k := pair()
	six := netip.MustParsePrefix("2001:db8::10/64")
	d.Groups[0].Addresses = []Address{{Prefix: six, Member: 0}}
	k.addForeign("hme0", six.String(), unix.IFA_F_TENTATIVE, 0)
	o := k.observed()
	ops := Plan(d, o)
	k.run(t, ops)
	k.addrs[k.find(2, six)].Flags &^= unix.IFA_F_TENTATIVE
	now := k.observed()
	later := Plan(d, now)
	require.NotEmpty(t, later)
	require.Empty(t, Left(d, o, ops).Drifted(d, now, later))
	var none *Standing
	require.Empty(t, none.Drifted(d, now, later), "of a host that was not seen before nothing is known")
}

// TestPostpone: what waits takes along what needs it, and nothing is deleted in its stead.
func TestPostpone(t *testing.T) {
	d, k := pair()
	k.addForeign("hme1", "192.0.2.10/24", 0, 0)
	ops := Plan(d, k.observed())
	count := func(list []Op, kind Kind) (n int) {
		for _, op := range list {
			if op.Kind == kind {
				n++
			}
		}
		return n
	}
	data := func(op *Op) bool { return op.Kind == AddAddress && !op.Test }
	all := func(kind Kind) func(*Op) bool { return func(op *Op) bool { return op.Kind == kind } }
	for _, row := range []struct {
		name                              string
		waits                             func(*Op) bool
		hops, groups, adds, routes, unadd int
	}{
		{"nothing", func(*Op) bool { return false }, 4, 2, 3, 2, 1},
		{"the data address", data, 4, 2, 2, 0, 0},
		{"nexthops", all(SetNexthop), 0, 0, 3, 0, 1},
		{"nexthop groups", all(SetNexthopGroup), 4, 0, 3, 0, 1},
		{"routes", all(SetRoute), 4, 2, 3, 0, 1},
		{"the copy", all(DeleteAddress), 4, 2, 3, 2, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			rest := Postpone(ops, row.waits)
			is := []int{count(rest, SetNexthop), count(rest, SetNexthopGroup), count(rest, AddAddress),
				count(rest, SetRoute), count(rest, DeleteAddress)}
			require.Equal(t, []int{row.hops, row.groups, row.adds, row.routes, row.unadd}, is)
			_, after := pair()
			after.addForeign("hme1", "192.0.2.10/24", 0, 0)
			after.run(t, rest)
			require.NotEmpty(t, after.byIP[netip.MustParseAddr("192.0.2.10")], "it is somewhere")
		})
	}
}

// must be possible: somebody else does it.
func (k *kernel) must(op Op) {
	if err := k.apply(&op); err != nil {
		panic(err)
	}
}

func (k *kernel) rename(name, to string) {
	for i := range k.list {
		if k.list[i].Name == name {
			k.list[i].Name = to
			k.links[k.list[i].Index] = k.list[i]
		}
	}
}

// TestRenamedMember: what is ours on it goes, and the address that others had put there, as it is
// named by the file; what they have beside that stays.
func TestRenamedMember(t *testing.T) {
	d, k := pair()
	k.addForeign("hme0", "192.0.2.10/24", 0, 0)
	k.addForeign("hme0", "198.18.0.1/24", 0, 0)
	k.run(t, Plan(d, k.observed()))
	k.rename("hme0", "x")
	d.fail(0, 1)
	d.Groups[0].Members[0].Index = 0
	d.Leaving = []Leaving{{Name: "x", Index: 2}}
	k.run(t, Plan(d, k.observed()))
	d.Leaving = nil
	require.Empty(t, Plan(d, k.observed()))
	for _, line := range strings.Split(k.String(), "\n") {
		if strings.Contains(line, "dev x") {
			require.Contains(t, line, "198.18.0", "nothing of ours is left there")
		}
	}
	require.True(t, k.has(3, netip.MustParsePrefix("192.0.2.10/24")))
	require.True(t, k.has(2, netip.MustParsePrefix("198.18.0.1/24")))
}
