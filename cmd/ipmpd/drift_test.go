// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// driftHost is one group on a host as it should be, and what is to be done once sysctls are not.
func driftHost() (d addr.Desired, before, now addr.Observed) {
	d = addr.Desired{Groups: []addr.Group{{Name: "g", Members: []addr.Member{{Name: "hme0", Index: 2}}}}}
	links := []addr.HostLink{{Index: 2, Name: "hme0", Up: true, Carrier: true}}
	sysctls := func(announce, promote string) map[string]string {
		return map[string]string{
			"net/ipv4/conf/all/arp_announce": "0", "net/ipv4/conf/hme0/arp_announce": announce,
			"net/ipv4/conf/all/promote_secondaries": "0", "net/ipv4/conf/hme0/promote_secondaries": promote}
	}
	return d, addr.Observed{Links: links, Sysctls: sysctls("2", "1")}, addr.Observed{Links: links, Sysctls: sysctls("0", "0")}
}

// TestDriftJudge: a thing that somebody changes again and again waits, others do not, and what waits is
// still known to be somebody's doing.
func TestDriftJudge(t *testing.T) {
	d, before, now := driftHost()
	one := now
	one.Sysctls = map[string]string{}
	for k, v := range now.Sysctls {
		one.Sysctls[k] = v
	}
	one.Sysctls["net/ipv4/conf/hme0/promote_secondaries"] = "1"
	var x drift
	at := time.Hour.Nanoseconds()
	ops := addr.Plan(d, one)
	do, found := x.judge(at, d, one, ops)
	require.Len(t, do, 1)
	require.Empty(t, found, "nothing is known of the host before")
	x.leave(d, before, nil, nil)
	for i := range contested {
		ops = addr.Plan(d, one)
		do, found = x.judge(at, d, one, ops)
		require.Len(t, do, 1)
		require.Len(t, found, 1)
		said := x.repaired(at, found, nil)
		x.leave(d, one, ops, nil)
		require.Equal(t, i == contested-1, said[0].word == wordContested)
	}
	// Both are wrong now: the one waits.
	ops = addr.Plan(d, now)
	do, found = x.judge(at, d, now, ops)
	require.Len(t, ops, 2)
	require.Len(t, do, 1)
	require.Equal(t, "net/ipv4/conf/hme0/promote_secondaries", do[0].Key)
	require.Len(t, found, 1)
	require.Equal(t, at+firstPause.Nanoseconds(), x.again)
	x.repaired(at, found, nil)
	x.leave(d, now, ops, nil)

	at = x.again
	do, found = x.judge(at, d, one, addr.Plan(d, one))
	require.Len(t, do, 1)
	require.Len(t, found, 1, "it was left as it should be")
	require.Zero(t, x.again)
	// Right again without us: nothing waits, and the minute begins with the last repair.
	x.judge(at, d, before, addr.Plan(d, before))
	for _, c := range x.contests {
		require.False(t, c.undone)
	}
	do, found = x.judge(at, d, one, addr.Plan(d, one))
	// A repair that fails is none.
	failed := []addr.Failure{{Op: do[0], Err: errors.New("no")}}
	require.Empty(t, x.repaired(at, found, failed))
	x.leave(d, one, do, failed)
	_, found = x.judge(at, d, one, addr.Plan(d, one))
	require.Empty(t, found, "it was left as it is")

	x.contests = map[thing]*contest{{key: "a"}: {repairs: 1, last: at}, {key: "b"}: {repairs: 1, last: at, undone: true}}
	x.repaired(at+forgiven.Nanoseconds(), nil, nil)
	require.Len(t, x.contests, 1, "what has stood long enough is forgotten")
}

// TestDriftEvents: few words of much.
func TestDriftEvents(t *testing.T) {
	say := func(kind addr.Kind, i int, w word) saying {
		op := &addr.Op{Kind: kind, Group: 3, LinkName: "hme0", Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 24)}
		return saying{addr.Drift{Op: op, Did: fmt.Sprintf("did %d", i)}, w}
	}
	name := func(slot int) string { return fmt.Sprint("group", slot) }
	many := func(kind addr.Kind, n int, w word) (list []saying) {
		for i := range n {
			list = append(list, say(kind, i, w))
		}
		return list
	}
	require.Empty(t, driftEvents(nil, name))
	require.Empty(t, driftEvents(many(addr.AddAddress, 3, wordNothing), name))

	routes := driftEvents(many(addr.SetRoute, 10000, wordRepaired), name)
	require.Len(t, routes, 1)
	require.Equal(t, control.Event{Event: control.EventDriftRepaired, Group: "group3", Interface: "hme0",
		Detail: "somebody did 0 and 9999 more; it is as it was"}, routes[0])

	addresses := driftEvents(many(addr.AddAddress, sayDrifts+2, wordRepaired), name)
	require.Len(t, addresses, sayDrifts)
	require.Equal(t, "192.0.2.0/24", addresses[0].Address)
	require.Equal(t, "somebody did 0; it is as it was", addresses[0].Detail)
	require.Equal(t, "somebody did 7 and 2 more; it is as it was", addresses[sayDrifts-1].Detail)

	quarrel := driftEvents(many(addr.SetSysctl, 1, wordContested), name)
	require.Len(t, quarrel, 1)
	require.Equal(t, control.EventStepFailed, quarrel[0].Event)
	require.Contains(t, quarrel[0].Detail, "somebody did 0 again and again; ")
	require.Contains(t, quarrel[0].Detail, "/etc/sysctl.d")
	for kind, tool := range map[addr.Kind]string{addr.AddAddress: "monitor address", addr.SetRoute: "monitor route",
		addr.SetNexthop: "monitor nexthop"} {
		require.Contains(t, driftEvents(many(kind, 1, wordContested), name)[0].Detail, tool)
	}
}

// TestCopies of data addresses: on no member, and not put there by us.
func TestCopies(t *testing.T) {
	data, other := netip.MustParsePrefix("192.0.2.10/24"), netip.MustParsePrefix("192.0.2.99/24")
	single := netip.PrefixFrom(data.Addr(), 32)
	s := &netstate.Snapshot{
		Links: []netstate.Link{{Index: 1, Name: "lo"}, {Index: 2, Name: "hme0"}, {Index: 3, Name: "eth9"}},
		Addresses: []netstate.Address{{Link: 1, Prefix: single}, {Link: 2, Prefix: data}, {Link: 3, Prefix: other},
			{Link: 3, Prefix: data, Protocol: addr.Protocol}, {Link: 7, Prefix: data}}}
	u := &unit{cfg: &config.Group{Addresses: []config.Address{{Prefix: data}}}}
	found := elsewhere(s, func(link int) bool { return link == 2 })
	require.Len(t, found, 2)
	require.Equal(t, []copyOf{{single, 1}}, u.copies(found))
	require.Empty(t, (&unit{cfg: &config.Group{}}).copies(found))
}

// TestOddMTU: the one that most of the others do not have; of two, the first.
func TestOddMTU(t *testing.T) {
	for _, row := range []struct {
		mtus []int // 0: missing
		want string
	}{
		{[]int{1500, 1400, 1500}, "m1"}, {[]int{1400, 1500, 1500}, "m0"}, {[]int{1500, 1500, 9000}, "m2"},
		{[]int{1500, 9000}, "m0"}, {[]int{0, 1500, 9000, 1500, 1500}, "m2"},
	} {
		u := &unit{}
		for i, mtu := range row.mtus {
			m := &member{cfg: &config.Interface{Name: fmt.Sprint("m", i)}, mtu: mtu}
			if mtu != 0 {
				m.ifindex = i + 1
			}
			u.members = append(u.members, m)
		}
		require.Equal(t, row.want, u.odd(), "%v", row.mtus)
	}
}
