// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ipmpd/ipmpd/pkg/addr"
)

func TestTwins(t *testing.T) {
	a, b := addr.MAC{2, 0, 0, 0, 0, 1}, addr.MAC{2, 0, 0, 0, 0, 2}
	on := func(mac addr.MAC, since uint64) twin { return twin{mac: mac, since: since, usable: true, waits: true} }
	out := func(mac addr.MAC, since uint64) twin {
		return twin{mac: mac, since: since, suspended: true, waits: true}
	}
	failed := func(mac addr.MAC, since uint64) twin { return twin{mac: mac, since: since, waits: true} }
	unplugged := func(mac addr.MAC) twin { return twin{mac: mac, waits: true} }
	offline := func(mac addr.MAC) twin { return twin{mac: mac} }
	for _, row := range []struct {
		rule string
		list []twin
		want []int
	}{
		{"each its own", []twin{on(a, 1), on(b, 2)}, []int{-1, -1}},
		{"the later one goes", []twin{on(a, 1), on(a, 2)}, []int{-1, 0}},
		{"also where it is the first of the file", []twin{on(a, 2), on(a, 1)}, []int{1, -1}},
		{"of three two go", []twin{on(a, 1), on(a, 2), on(b, 3), on(a, 4)}, []int{-1, 0, -1, 0}},
		{"who is out stays out", []twin{on(a, 1), out(a, 2)}, []int{-1, 0}},
		{"who serves is not put out by an earlier one", []twin{out(a, 1), on(a, 2)}, []int{1, -1}},
		{"the last usable one stays", []twin{failed(a, 1), on(a, 2)}, []int{1, -1}},
		{"a failed one keeps the suspended out: it still sends", []twin{failed(a, 1), out(a, 2)}, []int{-1, 0}},
		{"the other has another MAC", []twin{on(b, 1), out(a, 2)}, []int{-1, -1}},
		{"the other is missing", []twin{{}, out(a, 2)}, []int{-1, -1}},
		{"the other has no link", []twin{unplugged(a), out(a, 2)}, []int{-1, -1}},
		{"the other is offline by the operator", []twin{offline(a), out(a, 2)}, []int{-1, -1}},
		{"of two that were out the earlier one is back", []twin{offline(a), out(a, 3), out(a, 2)}, []int{-1, 2, -1}},
		{"one that is offline is left alone", []twin{on(a, 1), offline(a)}, []int{-1, -1}},
		{"one without link has failed, not more", []twin{on(a, 1), unplugged(a)}, []int{-1, -1}},
		{"one that was out stays so without link", []twin{on(a, 1), {mac: a, suspended: true, waits: true}}, []int{-1, 0}},
		{"no MAC at all, as a tunnel", []twin{on(addr.MAC{}, 1), on(addr.MAC{}, 2)}, []int{-1, -1}},
	} {
		t.Run(row.rule, func(t *testing.T) { require.Equal(t, row.want, twins(row.list)) })
	}
}

// After each answer is carried out, of those on the wire with one MAC exactly one serves; asked again,
// nothing changes; nobody is put out whose MAC is unique.
func TestTwinsSettle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := make([]twin, rapid.IntRange(1, 8).Draw(t, "members"))
		order := rapid.Permutation([]uint64{1, 2, 3, 4, 5, 6, 7, 8}).Draw(t, "order")
		for i := range list {
			m := twin{mac: addr.MAC{2, 5: byte(rapid.IntRange(1, 3).Draw(t, "mac"))}, waits: rapid.IntRange(0, 4).Draw(t, "waits") > 0}
			if m.waits && rapid.Bool().Draw(t, "link") {
				m.since = order[i]
			}
			m.suspended = m.waits && rapid.Bool().Draw(t, "suspended")
			m.usable = m.since != 0 && !m.suspended && rapid.Bool().Draw(t, "usable")
			list[i] = m
		}
		first := twins(list)
		serve, wire := map[addr.MAC]int{}, map[addr.MAC]int{}
		for i, of := range first {
			list[i].suspended = of >= 0
			list[i].usable = list[i].usable && of < 0
			if list[i].since != 0 {
				wire[list[i].mac]++
			}
			switch {
			case of >= 0:
				require.Equal(t, list[of].mac, list[i].mac)
				require.Negative(t, first[of], "kept out by one that serves")
			case list[i].since != 0:
				serve[list[i].mac]++
			}
		}
		for mac := range wire {
			require.Equal(t, 1, serve[mac])
		}
		require.Equal(t, first, twins(list))
	})
}
