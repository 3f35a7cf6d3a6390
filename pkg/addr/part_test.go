// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// planPart plans a failure from nothing but the part that the group is in.
func planPart(d Desired, settled Observed, group, member, family int, owners []int) []Op {
	for _, p := range Parts(d, settled) {
		if i := slices.Index(p.Groups, group); i >= 0 {
			return Plan(failed(p.Desired, i, member, family, owners), p.Observed)
		}
	}
	return nil
}

func messages(ops []Op) []Op {
	return slices.DeleteFunc(slices.Clone(ops), func(op Op) bool { return !isMessage(op.Kind) })
}

// manyGroups wants groups of two members and some addresses, each in a subnet of its own, on a host
// that has nothing but their links.
func manyGroups(groups, addresses int) (d Desired, o Observed) {
	o.Sysctls = map[string]string{}
	for g := range groups {
		wish := Group{Slot: g, Name: fmt.Sprintf("group%d", g), Spread: true}
		for i := range 2 {
			m := Member{Name: fmt.Sprintf("g%dm%d", g, i), Index: 10 + 2*g + i, MAC: MAC{2, 0, 0, 0, byte(g), byte(i)}, Link: true,
				Usable: [2]bool{true, true}, Active: [2]bool{true, true}}
			m.Tests = []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.%d.0.%d/16", g, 11+i))}
			wish.Members = append(wish.Members, m)
			o.Links = append(o.Links, HostLink{Index: m.Index, Name: m.Name, MAC: m.MAC, Up: true, Carrier: true})
			for j := range 2 {
				ip := netip.MustParseAddr(fmt.Sprintf("10.%d.9.%d", g, j))
				if i == 0 || j == 0 {
					o.Neighbors = append(o.Neighbors, HostNeighbor{Link: m.Index, IP: ip, MAC: MAC{2, 9, 0, 0, byte(g), byte(j)}, State: unix.NUD_STALE})
				}
			}
		}
		for k := range addresses {
			wish.Addresses = append(wish.Addresses, Address{
				Prefix: netip.MustParsePrefix(fmt.Sprintf("10.%d.1.%d/16", g, k)), Member: k % 2})
		}
		d.Groups = append(d.Groups, wish)
	}
	for _, key := range SysctlKeys(d) {
		o.Sysctls[key] = "0"
	}
	return d, o
}

// TestPartsDivide: groups with subnets of their own have nothing to do with each other, and each part
// is as large as if the group were alone.
func TestPartsDivide(t *testing.T) {
	d, o := manyGroups(64, 8)
	parts := Parts(d, o.With(Plan(d, o)))
	require.Len(t, parts, 64)
	alone, host := manyGroups(1, 8)
	one := Parts(alone, host.With(Plan(alone, host)))[0]
	for i, p := range parts {
		require.Equal(t, []int{i}, p.Groups)
		require.Len(t, p.Observed.Links, len(one.Observed.Links))
		require.Len(t, p.Observed.Addresses, len(one.Observed.Addresses))
		require.Len(t, p.Observed.Routes, len(one.Observed.Routes))
		require.Len(t, p.Observed.Nexthops, len(one.Observed.Nexthops))
		require.Len(t, p.Observed.Neighbors, len(one.Observed.Neighbors))
	}
	require.True(t, parts[0].Same(&one), "a part does not know that there are others")
}

// TestPartsTogether: what has to do with each other stays together.
func TestPartsTogether(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(d *Desired, o *Observed)
		first  []int
	}{
		{"nothing in common", func(*Desired, *Observed) {}, []int{0}},
		{"the same subnet", func(d *Desired, _ *Observed) {
			d.Groups[2].Addresses[0].Prefix = netip.MustParsePrefix("10.0.1.99/16")
		}, []int{0, 2}},
		{"the same default route", func(d *Desired, _ *Observed) {
			for _, g := range []int{0, 1} {
				d.Groups[g].Routes = []Route{{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr(fmt.Sprintf("10.%d.0.1", g))}}
			}
		}, []int{0, 1}},
		{"a default route behind another", func(d *Desired, _ *Observed) {
			for _, g := range []int{0, 1} {
				d.Groups[g].Routes = []Route{{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr(fmt.Sprintf("10.%d.0.1", g)), Metric: uint32(g)}}
			}
		}, []int{0, 1}},
		{"a source of another group", func(d *Desired, _ *Observed) {
			d.Groups[1].Routes = []Route{{To: netip.MustParsePrefix("203.0.113.0/24"), Src: netip.MustParseAddr("10.0.1.0")}}
		}, []int{0, 1}},
		{"an address on a member of another group", func(_ *Desired, o *Observed) {
			o.Addresses = append(o.Addresses, HostAddress{Link: o.Links[2].Index, Prefix: netip.MustParsePrefix("10.0.1.0/16")})
		}, []int{0, 1}},
		{"a route over a member of another group", func(_ *Desired, o *Observed) {
			o.Routes = append(o.Routes, HostRoute{Table: unix.RT_TABLE_MAIN, Protocol: unix.RTPROT_BIRD, Link: o.Links[4].Index,
				To: netip.MustParsePrefix("10.0.0.0/16")})
		}, []int{0, 2}},
		{"a route over members of two groups", func(_ *Desired, o *Observed) {
			hops := HopsOf([]Hop{{Link: o.Links[0].Index, Weight: 1}, {Link: o.Links[2].Index, Weight: 1}})
			o.Routes = append(o.Routes, HostRoute{Table: unix.RT_TABLE_MAIN, Protocol: unix.RTPROT_BIRD, Link: o.Links[0].Index, Hops: hops,
				To: netip.MustParsePrefix("10.0.0.0/16")})
		}, []int{0, 1}},
		{"a gateway, one of several, that is an address of another group", func(d *Desired, _ *Observed) {
			via, over := spread([]Hop{{Via: netip.MustParseAddr("10.0.0.200"), Weight: 1}, {Via: d.Groups[1].Addresses[0].Prefix.Addr(), Weight: 1}})
			d.Groups[0].Routes = []Route{{To: netip.MustParsePrefix("203.0.113.0/24"), Via: via, Hops: over}}
		}, []int{0, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, o := manyGroups(3, 2)
			tt.change(&d, &o)
			require.Equal(t, tt.first, Parts(d, o)[0].Groups)
		})
	}
}

// TestPartsCarryWhatWasFound: a contingency that is planned of a part takes label and lifetimes along, too.
func TestPartsCarryWhatWasFound(t *testing.T) {
	d, o := manyGroups(2, 4)
	for g := range d.Groups {
		d.Found = append(d.Found, FoundAddress{Link: d.Groups[g].Members[0].Index, LinkName: d.Groups[g].Members[0].Name,
			Prefix: d.Groups[g].Addresses[0].Prefix, Form: AddressForm{Label: d.Groups[g].Members[0].Name + ":web"}})
	}
	settled := o.With(Plan(d, o))
	owners := []int{1, 1, 1, 1}
	whole := messages(Plan(failed(d, 1, 0, Both, owners), settled))
	require.Equal(t, whole, messages(planPart(d, settled, 1, 0, Both, owners)))
	require.True(t, slices.ContainsFunc(whole, func(op Op) bool { return op.Form.Label == "g1m1:web" }))
}

// TestPartSame: anything that a plan follows from makes another part of it.
func TestPartSame(t *testing.T) {
	part := func(change func(d *Desired, o *Observed)) *Part {
		d, o := manyGroups(2, 4)
		o = o.With(Plan(d, o))
		change(&d, &o)
		return &Parts(d, o)[0]
	}
	same := part(func(*Desired, *Observed) {})
	require.True(t, same.Same(part(func(*Desired, *Observed) {})))
	require.True(t, same.Same(part(func(d *Desired, _ *Observed) { d.Groups[1].Addresses[0].Member = 1 })), "of another part")
	for name, change := range map[string]func(d *Desired, o *Observed){
		"owner":  func(d *Desired, _ *Observed) { d.Groups[0].Addresses[0].Member = 1 },
		"active": func(d *Desired, _ *Observed) { d.Groups[0].Members[0].Active[0] = false },
		"test":   func(d *Desired, _ *Observed) { d.Groups[0].Members[0].Tests = nil },
		"route": func(d *Desired, _ *Observed) {
			d.Groups[0].Routes = []Route{{To: netip.MustParsePrefix("203.0.113.0/24")}}
		},
		"table": func(d *Desired, _ *Observed) { d.Groups[0].Table = 100 },
		"found": func(d *Desired, _ *Observed) {
			d.Found = []FoundAddress{{Link: 10, LinkName: "g0m0", Prefix: d.Groups[0].Addresses[0].Prefix, Form: AddressForm{Label: "g0m0:web"}}}
		},
		"rate":      func(d *Desired, _ *Observed) { d.Groups[0].Announce.Rate = 1 },
		"carrier":   func(_ *Desired, o *Observed) { o.Links[0].Carrier = false },
		"address":   func(_ *Desired, o *Observed) { o.Addresses[0].Proto = 0 },
		"source":    func(_ *Desired, o *Observed) { o.Routes[0].Src = netip.MustParseAddr("10.0.1.3") },
		"neighbour": func(_ *Desired, o *Observed) { o.Neighbors[0].MAC[5]++ },
		"sysctl":    func(_ *Desired, o *Observed) { o.Sysctls["net/ipv4/conf/g0m0/rp_filter"] = "1" },
		"nexthop":   func(_ *Desired, o *Observed) { o.Nexthops[0].Protocol = 0 },
	} {
		require.False(t, same.Same(part(change)), name)
	}
}
