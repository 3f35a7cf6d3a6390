// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/group"
)

// fourMembers is a world of a group of four members with addresses of both families on the first.
func fourMembers(t *rapid.T) (*world, *unit) {
	var file strings.Builder
	file.WriteString("groups:\n  g:\n    duplicate-check: false\n    interfaces:\n")
	for i := range 4 {
		fmt.Fprintf(&file, "      hme%d: {test: [192.0.2.%d/24, \"2001:db8::%d/64\"]}\n", i, 101+i, 101+i)
	}
	file.WriteString("    addresses: [{address: 192.0.2.10/24, home: hme0}, {address: \"2001:db8::1000/64\", home: hme0}]\n")
	w := newWorld(t)
	cfg, err := config.Parse("four.yaml", []byte(file.String()))
	require.NoError(t, err)
	w.open(cfg)
	return w, w.e.units[0]
}

// takeOut is the kernel's verdict on a member for both families, and what the reader makes of it.
func (w *world) takeOut(u *unit, bit int) *firing {
	ev := &bpf.Event{Kind: bpf.EventVerdict, Group: uint16(u.slot), Member: uint16(u.members[bit].number), Bit: uint8(bit), Both: 1}
	for f := range bpf.Families {
		before, ok := bpf.TakeOut(&w.e.tracks[bpf.TrackNumber(u.slot, f)], bit)
		require.True(w.t, ok)
		if f == 0 {
			ev.Generation, ev.Usable = before.Generation, before.Usable&^(1<<bit)
		}
	}
	return w.e.fast.verdict(ev)
}

func (f *firing) where() map[netip.Addr]int {
	at := map[netip.Addr]int{}
	for _, a := range f.announced {
		at[a.Address] = a.Link
	}
	return at
}

// Three of four members fail one after another before the engine hears of any. The first failure has what was
// prepared; after each of the others the addresses are announced on one that is left.
func TestRelayInAChain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, u := fourMembers(t)
		first := w.takeOut(u, 0)
		require.True(t, first.written())
		at := first.where()
		require.Len(t, at, 2)
		order := rapid.Permutation([]int{1, 2, 3}).Draw(t, "order")
		for _, bit := range order[:2] {
			link, moves := u.members[bit].ifindex, 0
			for ip, on := range at {
				if on == link {
					delete(at, ip)
					moves++
				}
			}
			fired := w.takeOut(u, bit)
			w.passedOn(u, fired)
			if moves == 0 {
				require.Nil(t, fired, "nothing of it moves")
				continue
			}
			require.False(t, fired.written(), "nothing was prepared for that")
			require.Len(t, fired.announced, moves)
			for ip, on := range fired.where() {
				at[ip] = on
			}
		}
		last := u.members[order[2]].ifindex
		require.Equal(t, map[netip.Addr]int{netip.MustParseAddr("192.0.2.10"): last, netip.MustParseAddr("2001:db8::1000"): last}, at)
	})
}

// A member that would take over is out before the first one's verdict is handled: nothing goes to it, whatever
// is prepared.
func TestNotAnnouncedOnWhoIsOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, u := fourMembers(t)
		next := u.members[w.e.fast.groups[u.slot].Load().member[0][0].then.owners[0]]
		for f := range bpf.Families {
			bpf.TakeOut(&w.e.tracks[bpf.TrackNumber(u.slot, f)], next.bit)
		}
		fired := w.takeOut(u, 0)
		require.Len(t, fired.announced, 2)
		require.False(t, fired.written())
		w.passedOn(u, fired)
	})
}

// While the engine is at work on the first failure, of which the words have another generation already, the
// second is announced, and the engine announces nothing on that member any more.
func TestRelayWhileTheEngineWorks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, u := fourMembers(t)
		first := w.takeOut(u, 0)
		generation := bpf.ReadWord(&w.e.tracks[bpf.TrackNumber(u.slot, 0)]).Generation
		next := u.members[first.then.owners[0]]
		var second *firing
		w.e.readSysctls = func(keys []string) map[string]string { // all is published, nothing is applied
			if second == nil {
				require.Greater(t, bpf.ReadWord(&w.e.tracks[bpf.TrackNumber(u.slot, 0)]).Generation, generation)
				require.Equal(t, next.index, u.placed()[0])
				list := w.e.announcements(u, w.h.Observed(), []int{0, -1}, []int{next.index, -1})
				require.Len(t, w.e.usableByWord(u, slices.Clone(list)), 1)
				second = w.takeOut(u, next.bit)
				w.passedOn(u, second)
				require.Empty(t, w.e.usableByWord(u, list))
			}
			return w.sysctls(keys)
		}
		_ = w.e.step(u, group.HealthChanged{Member: 0, Family: group.Both, Health: group.Failed, Cause: group.CauseLink},
			&origin{from: 1, verdict: 1, fired: first})
		require.NotNil(t, second)
		require.False(t, second.written())
		require.Contains(t, second.where(), u.cfg.Addresses[0].Prefix.Addr())
	})
}
