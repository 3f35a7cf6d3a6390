// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// undoGroups are the groups of d as cmd/ipmpd notes them.
func undoGroups(d Desired) (groups []UndoGroup) {
	for _, g := range d.Groups {
		u := UndoGroup{Name: fmt.Sprint("group", g.Slot), Slot: g.Slot, Ports: g.SpreadL4}
		for _, m := range g.Members {
			u.Members = append(u.Members, UndoMember{Name: m.Name, Index: m.Index, Tests: m.Tests})
		}
		for _, a := range g.Addresses {
			u.Addresses = append(u.Addresses, a.Prefix)
		}
		groups = append(groups, u)
	}
	return groups
}

// work plans and performs, with the record that it needs.
func (k *kernel) work(t require.TestingT, d Desired, u *Undo) {
	o := k.observed()
	ops := Plan(d, o)
	u.Record(d, o, ops, 0)
	k.run(t, ops)
	require.False(t, u.Record(d, k.observed(), nil, 0), "nothing of our own is taken for found")
}

func TestRelease(t *testing.T) {
	for _, row := range []struct {
		name string
		host func(k *kernel)                        // before ipmpd
		work func(d *Desired, k *kernel, do func()) // do: plan and perform
		want string
		// left is what has changed on the host in the end, as others did it
		left string
	}{
		{"all was ours", func(*kernel) {}, nil, `
ip route del default nhid 0-v4-via-group src 192.0.2.10
ip route del 192.0.2.0/24 nhid 0-v4-group src 192.0.2.10
ip addr del 192.0.2.12/24 dev hme1
ip addr del 192.0.2.11/24 dev hme0
ip addr del 192.0.2.10/24 dev hme0
ip nexthop del id 0-v4-group
ip nexthop del id 0-v4-via-group
ip nexthop del id 0-v4-0
ip nexthop del id 0-v4-1
ip nexthop del id 0-v4-via-0
ip nexthop del id 0-v4-via-1`, ""},
		{"all was there, nothing has moved", func(k *kernel) {
			k.addForeign("hme0", "192.0.2.10/24", 0, 0)
			k.addForeign("hme0", "192.0.2.11/24", 0, 3)
			k.addForeign("hme1", "192.0.2.12/24", 0, 0)
		}, nil, `
ip route append 192.0.2.0/24 dev hme0 proto 2 scope link src 192.0.2.10
ip route append 192.0.2.0/24 dev hme1 proto 2 scope link src 192.0.2.12
ip route del 192.0.2.0/24 nhid 0-v4-group src 192.0.2.10
ip route del default nhid 0-v4-via-group src 192.0.2.10`, ""},
		{"the data address has moved", func(k *kernel) { k.addForeign("hme0", "192.0.2.10/24", 0, 0) },
			func(d *Desired, k *kernel, do func()) { d.fail(0, 1); do() }, `
ip addr add 192.0.2.10/24 dev hme0 proto 0
ip route append 192.0.2.0/24 dev hme0 proto 2 scope link src 192.0.2.11
ip route del 192.0.2.0/24 nhid 0-v4-group src 192.0.2.10
ip route del default nhid 0-v4-via-group src 192.0.2.10
ip addr del 192.0.2.10/24 dev hme1
ip addr del 192.0.2.12/24 dev hme1
ip addr replace 192.0.2.11/32 dev hme0
ip addr del 192.0.2.11/24 dev hme0
ip addr add 192.0.2.11/24 dev hme0 proto 0
ip addr del 192.0.2.11/32 dev hme0`, ""},
		{"it has moved and come back", func(k *kernel) { k.addForeign("hme0", "192.0.2.10/24", 0, 0) },
			func(d *Desired, k *kernel, do func()) {
				d.fail(0, 1)
				do()
				d.repair(0)
				d.Groups[0].Addresses[0].Member = 0
				do()
			}, `
ip addr replace 192.0.2.10/32 dev hme0
ip addr del 192.0.2.10/24 dev hme0
ip addr add 192.0.2.10/24 dev hme0 proto 0
ip route del 192.0.2.0/24 nhid 0-v4-group src 192.0.2.10
ip route del default nhid 0-v4-via-group src 192.0.2.10
ip addr del 192.0.2.10/32 dev hme0
ip addr del 192.0.2.12/24 dev hme1
ip addr del 192.0.2.11/24 dev hme0`, ""},
		{"others took it off its interface, added theirs, changed a sysctl", func(k *kernel) {
			k.sysctls[sysctlKey("ipv4", "hme0", "rp_filter")] = "1"
		}, func(d *Desired, k *kernel, do func()) {
			k.addForeign("hme0", "192.0.2.99/24", 0, 0)
			k.sysctls[sysctlKey("ipv4", "hme0", "rp_filter")] = "0"
			k.sysctls[sysctlKey("ipv4", "hme0", "promote_secondaries")] = "0"
		}, `
ip route del default nhid 0-v4-via-group src 192.0.2.10
ip route del 192.0.2.0/24 nhid 0-v4-group src 192.0.2.10
ip addr del 192.0.2.12/24 dev hme1
ip addr del 192.0.2.11/24 dev hme0
sysctl net/ipv4/conf/hme0/promote_secondaries=1
ip addr del 192.0.2.10/24 dev hme0`, `
ip addr 192.0.2.99/24 dev hme0
ip route 192.0.2.0/24 dev hme0 proto 2 scope link src 192.0.2.99`},
		{"neighbours and IPv6", func(k *kernel) { k.addForeign("hme0", "2001:db8::10/64", 0, 0) },
			func(d *Desired, k *kernel, do func()) {
				d.Groups[0].Members[0].Tests, d.Groups[0].Members[1].Tests = nil, nil
				d.Groups[0].Routes = nil
				d.Groups[0].Addresses[0].Prefix = prefix("2001:db8::10/64")
				k.neighbors[linkIP{2, netip.MustParseAddr("2001:db8::1")}] = HostNeighbor{Link: 2, IP: netip.MustParseAddr("2001:db8::1"),
					MAC: MAC{2, 9}, State: unix.NUD_REACHABLE}
				do()
				d.fail(0, 1)
				do()
				d.repair(0)
				d.Groups[0].Addresses[0].Member = 0
				do()
			}, `
ip addr add 2001:db8::10/64 dev hme0 proto 0
ip route del 2001:db8::/64 nhid 0-v6-group src 2001:db8::10 metric 128
ip nexthop del id 0-v6-group
ip nexthop del id 0-v6-0
ip nexthop del id 0-v6-1
ip neigh del 2001:db8::1 dev hme1`, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, k := pair()
			if row.name == "the data address has moved" { // and a secondary one was behind it
				k.addForeign("hme0", "192.0.2.10/24", 0, 0)
				k.addForeign("hme0", "192.0.2.11/24", 0, 0)
			}
			row.host(k)
			before, sysctls := k.String(), maps.Clone(k.sysctls)
			u := Undo{}
			do := func() { k.work(t, d, &u); u.Groups = undoGroups(d) }
			if row.name != "neighbours and IPv6" {
				do()
			}
			if row.work != nil {
				row.work(&d, k, do)
			}
			for key := range sysctls { // what others set stays
				if f, ours := u.Sysctls[key]; ours && k.sysctls[key] != f.Set {
					sysctls[key] = k.sysctls[key]
				}
			}
			r := Released{Undo: &u, Groups: u.Groups, All: true}
			var got []string
			for _, line := range strings.Split(k.run(t, Release(r, k.observed())), "\n") {
				restored := strings.HasPrefix(line, "sysctl ") && !strings.HasSuffix(line, "promote_secondaries=1")
				deleted := strings.HasPrefix(line, "ip nexthop del ") && !strings.Contains(row.want, "ip nexthop del")
				if !restored && !deleted {
					got = append(got, line)
				}
			}
			require.Equal(t, strings.TrimSpace(row.want), strings.Join(got, "\n"))
			require.Equal(t, strings.TrimSpace(before+row.left), k.String())
			require.Equal(t, sysctls, k.sysctls)
			u.Forget(r)
			require.Empty(t, u.Sysctls)
			require.Empty(t, u.Addresses)
			require.Empty(t, Release(Released{Undo: &u, All: true}, k.observed()), "a second time finds nothing to do")
		})
	}
}

// One of two groups: the other one keeps what it has.
func TestReleaseOneGroup(t *testing.T) {
	d, _ := pair()
	k := newKernel("hme0", "hme1", "qfe0", "qfe1")
	second := Group{Slot: 1, Spread: true, SpreadL4: true, Members: []Member{
		{Name: "qfe0", Index: 4, Link: true, Tests: []netip.Prefix{prefix("198.51.100.11/25")}, Usable: [2]bool{true, true}, Active: [2]bool{true, true}},
		{Name: "qfe1", Index: 5, Link: true, Usable: [2]bool{true, true}, Active: [2]bool{true, true}},
	}, Addresses: []Address{{prefix("198.51.100.7/25"), 1}}}
	for _, key := range hashPolicies {
		k.sysctls[key] = "0"
	}
	fresh := maps.Clone(k.sysctls)
	u := Undo{}
	k.work(t, d, &u)
	u.Groups = undoGroups(d)
	one := k.String()
	d.Groups = append(d.Groups, second)
	k.work(t, d, &u)
	u.Groups = undoGroups(d)
	both := k.String()

	r := Released{Undo: &u, Groups: u.Groups[1:]}
	k.run(t, Release(r, k.observed()))
	require.Equal(t, one, k.String())
	require.Equal(t, "0", k.sysctls[hashPolicies[0]], "nobody else wants it")
	require.Empty(t, Release(r, k.observed()))
	u.Forget(r)
	require.True(t, u.Left())
	require.True(t, u.Group("group1").Released)

	u.Groups = undoGroups(d)
	k.work(t, d, &u)
	require.Equal(t, both, k.String())
	r = Released{Undo: &u, Groups: u.Groups[:1]}
	k.run(t, Release(r, k.observed()))
	u.Forget(r)
	require.Equal(t, "1", k.sysctls[hashPolicies[0]], "the other group wants it")
	r = Released{Undo: &u, All: true}
	k.run(t, Release(r, k.observed()))
	require.Empty(t, k.String())
	require.Equal(t, fresh, k.sysctls)
}

// Without a record, what can be told by its mark goes.
func TestReleaseWithoutRecord(t *testing.T) {
	d, k := pair()
	k.addForeign("hme0", "192.0.2.10/24", 0, 0)
	k.addForeign("hme1", "192.0.2.99/24", 0, 0)
	before := k.String()
	k.work(t, d, &Undo{})
	set := maps.Clone(k.sysctls)
	k.run(t, Release(Released{Undo: &Undo{}, All: true}, k.observed()))
	require.Equal(t, before, k.String())
	require.Equal(t, set, k.sysctls)
}

// Lifetimes go on while an address is ours.
func TestReleaseLifetimes(t *testing.T) {
	for _, row := range []struct {
		valid, preferred, after time.Duration
		want                    string
	}{
		{0, 0, time.Hour, "0s 0s false"},
		{time.Hour, time.Minute, 30 * time.Second, "59m30s 30s false"},
		{time.Hour, time.Minute, 2 * time.Minute, "58m0s 0s true"},
		{time.Minute, time.Minute, time.Hour, "gone"},
	} {
		f := FoundAddress{Link: 2, Prefix: prefix("2001:db8::10/64"), At: 5, Form: AddressForm{Valid: row.valid, Preferred: row.preferred}}
		k := newKernel("hme0")
		k.run(t, Release(Released{Undo: &Undo{Addresses: []FoundAddress{f}}, All: true, Now: 5 + row.after.Nanoseconds()}, k.observed()))
		got := "gone"
		if i := k.find(2, f.Prefix); i >= 0 {
			a := k.addrs[i]
			got = fmt.Sprint(a.Form.Valid, a.Form.Preferred, a.Flags&unix.IFA_F_DEPRECATED != 0)
		}
		require.Equal(t, row.want, got, "%+v", row)
	}
}

func TestRecord(t *testing.T) {
	d, k := pair()
	key := sysctlKey("ipv4", "hme0", "rp_filter")
	k.sysctls[key] = "1"
	k.addForeign("hme0", "192.0.2.10/24", 0, 3)
	k.addForeign("hme0", "192.0.2.99/24", 0, 0)
	u := Undo{}
	o := k.observed()
	ops := Plan(d, o)
	require.True(t, u.Record(d, o, ops, 7))
	require.False(t, u.Record(d, o, ops, 8), "once")
	require.Equal(t, FoundSysctl{Link: 2, Found: "1", Set: "2"}, u.Sysctls[key])
	require.Len(t, u.Addresses, 1)
	require.Equal(t, FoundAddress{Link: 2, LinkName: "hme0", Prefix: prefix("192.0.2.10/24"), Flags: unix.IFA_F_PERMANENT, Proto: 3, At: 7}, u.Addresses[0])
	k.run(t, ops)

	// Somebody changes it back and we again: what was found first counts.
	k.sysctls[key] = "1"
	k.work(t, d, &u)
	d.Groups[0].Members[0].Tests = nil
	k.work(t, d, &u)
	require.Equal(t, FoundSysctl{Link: 2, Found: "1", Set: "0"}, u.Sysctls[key])

	// Another interface of that name has its own values and addresses.
	clone := u.Clone()
	k.list[1].Index, d.Groups[0].Members[0].Index = 9, 9
	k = newKernel()
	k.list = append(k.list, HostLink{Index: 9, Name: "hme0", Up: true, Carrier: true})
	k.links[9] = k.list[1]
	k.addForeign("hme0", "192.0.2.10/24", 0, 0)
	for _, f := range sysctlNames {
		for _, name := range f.names {
			k.sysctls[sysctlKey(f.dir, "hme0", name)] = "1"
		}
	}
	o = k.observed()
	require.True(t, u.Record(d, o, Plan(d, o), 9))
	require.Equal(t, FoundSysctl{Link: 9, Found: "1", Set: "0"}, u.Sysctls[key])
	require.Len(t, u.Addresses, 1)
	require.Equal(t, 9, u.Addresses[0].Link)
	require.Equal(t, 2, clone.Addresses[0].Link)
}

// TestReleaseFromAnywhere: whatever was there, and whatever happened to it.
func TestReleaseFromAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		k := w.k
		// A host that we have not been on yet.
		k.run(t, Release(Released{Undo: &Undo{}, All: true}, k.observed()))
		u := Undo{Groups: undoGroups(w.d)}
		sysctls := maps.Clone(k.sysctls)
		routes, hops := w.foreign(), len(k.nexthops)
		before := found(w.d, k)
		k.work(t, w.d, &u)
		for range rapid.IntRange(0, 4).Draw(t, "moves") {
			g := rapid.IntRange(0, len(w.d.Groups)-1).Draw(t, "group")
			for i := range w.d.Groups[g].Addresses {
				w.d.Groups[g].Addresses[i].Member = rapid.IntRange(-1, len(w.d.Groups[g].Members)-1).Draw(t, "owner")
			}
			k.work(t, w.d, &u)
		}
		r := Released{Undo: &u, Groups: u.Groups, All: true}
		for _, op := range Release(r, k.observed()) {
			k.run(t, []Op{op})
			for _, f := range u.Addresses {
				require.True(t, len(k.byIP[f.Prefix.Addr()]) > 0 || single(r, k), "%s is nowhere after %s", f.Prefix, k.shell(op))
			}
		}
		require.Equal(t, sysctls, k.sysctls)
		require.Subset(t, w.foreign(), slices.DeleteFunc(routes, func(s string) bool { return strings.HasPrefix(s, "neighbour") }))
		require.Len(t, k.nexthops, hops)
		require.Equal(t, before, found(w.d, k), "adopted addresses are where they were, in their order\n%s", k)
		for _, a := range k.addrs {
			require.True(t, a.Link == 0 || a.Proto != Protocol, "%s", a.Prefix)
		}
		for _, list := range k.routes {
			for _, h := range list {
				require.NotEqual(t, uint8(Protocol), h.Protocol)
			}
		}
		require.Empty(t, Release(r, k.observed()), "a second time finds nothing to do\n%s", k)
	})
}

// single: nobody can stand in for an address that is put anew.
func single(r Released, k *kernel) bool {
	up := 0
	for _, g := range r.Groups {
		for _, m := range g.Members {
			if k.links[m.Index].Up {
				up++
			}
		}
	}
	return up < 2
}

// found are the adopted addresses as the kernel lists them: by member, primary ones first.
func found(d Desired, k *kernel) (list []string) {
	members, named := map[int]bool{}, map[netip.Addr]bool{}
	for _, g := range undoGroups(d) {
		for _, a := range g.Addresses {
			named[a.Addr()] = true
		}
		for _, m := range g.Members {
			members[m.Index] = m.Index != 0
			for _, a := range m.Tests {
				named[a.Addr()] = true
			}
		}
	}
	for _, link := range slices.Sorted(maps.Keys(members)) {
		var of []string
		foreign := false
		for _, a := range k.addrs {
			foreign = foreign || a.Link == link && !named[a.Prefix.Addr()]
		}
		for _, secondary := range []uint32{0, unix.IFA_F_SECONDARY} {
			for _, a := range k.addrs {
				if a.Link != link || link == 0 || !named[a.Prefix.Addr()] || a.Prefix.Addr().Is6() || a.Flags&unix.IFA_F_SECONDARY != secondary {
					continue
				}
				if foreign { // it stays where the kernel has put it, which may be in front
					a.Flags &^= unix.IFA_F_SECONDARY
				}
				of = append(of, fmt.Sprint(a.Link, " ", a.Prefix, " ", a.Proto, " ", a.Flags))
			}
		}
		if foreign {
			slices.Sort(of)
		}
		list = append(list, of...)
	}
	return list
}

// Routes of others come back in place of ours, unless somebody has another one there by now.
func TestReleaseRoutes(t *testing.T) {
	static := HostRoute{Table: 254, To: prefix("0.0.0.0/0"), Link: 2, Via: netip.MustParseAddr("192.0.2.1"), Protocol: unix.RTPROT_STATIC}
	for _, row := range []struct {
		name string
		do   func(k *kernel, routes []HostRoute)
		want bool
	}{
		{"as it was", func(*kernel, []HostRoute) {}, true},
		{"another one is there", func(k *kernel, _ []HostRoute) {
			bird := static
			bird.Protocol = unix.RTPROT_BIRD
			k.routes[keyOf(static)] = []HostRoute{bird}
		}, false},
		{"its source is gone", func(_ *kernel, routes []HostRoute) { routes[0].Src = netip.MustParseAddr("192.0.2.200") }, false},
		{"its interface is down", func(k *kernel, _ []HostRoute) { k.list[1].Up = false; k.links[2] = k.list[1] }, false},
	} {
		d, k := pair()
		k.insertRoute(static)
		before := k.String()
		o := k.observed()
		ops := Plan(d, o)
		routes := Replaced(ops, &o)
		require.Equal(t, []HostRoute{static}, routes)
		u := Undo{}
		u.Record(d, o, ops, 0)
		k.run(t, ops)
		row.do(k, routes)
		u.Groups = undoGroups(d)
		got := k.run(t, Release(Released{Undo: &u, Groups: u.Groups, All: true, Routes: routes}, k.observed()))
		require.Equal(t, row.want, strings.Contains(got, "ip route replace default dev hme0 proto 4"), "%s:\n%s", row.name, got)
		require.Equal(t, row.want, before == k.String(), row.name)
		require.Empty(t, Release(Released{Undo: &u, Groups: u.Groups, All: true, Routes: routes}, k.observed()), "twice")
	}
}
