// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// open starts a watcher in the namespace. Without run it only listens.
func (s *space) open(opt Options, run bool) *Watcher {
	s.t.Helper()
	var w *Watcher
	s.do(func() (err error) { w, err = Open(opt); return err })
	if run {
		s.run(w)
	} else {
		s.t.Cleanup(func() { _ = w.Close() })
	}
	return w
}

func (s *space) run(w *Watcher) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
		_ = w.Close()
	})
}

func routesTo(s *Snapshot, dst string) (out []Route) {
	for _, r := range s.Routes {
		if r.Dst == netip.MustParsePrefix(dst) && r.Table == unix.RT_TABLE_MAIN {
			out = append(out, r)
		}
	}
	return out
}

func TestWatcherFollows(t *testing.T) {
	s := newSpace(t)
	w := s.open(Options{}, true)
	require.Equal(t, All|Resynced, <-w.Changes(), "the first notice is the listing")

	s.ip("link", "add", "m0", "address", "02:00:00:00:00:10", "type", "veth", "peer", "name", "p0")
	s.ip("link", "set", "p0", "up")
	s.ip("link", "set", "m0", "up", "mtu", "1400")
	eventually(t, "link", func() bool {
		l := w.Snapshot().LinkByName("m0")
		return l != nil && l.Up && l.Carrier && l.LowerUp && l.MTU == 1400
	})
	m0 := w.Snapshot().LinkByName("m0")
	require.Equal(t, [6]byte{2, 0, 0, 0, 0, 0x10}, m0.MAC)
	require.Equal(t, "veth", m0.Kind)
	require.Equal(t, uint16(unix.ARPHRD_ETHER), m0.Hardware)
	require.Same(t, w.Snapshot(), w.Snapshot(), "unchanged, it is the same")

	s.ip("addr", "add", "192.0.2.10/24", "dev", "m0", "noprefixroute")
	s.ip("addr", "add", "2001:db8::10/64", "dev", "m0", "nodad", "preferred_lft", "0")
	eventually(t, "addresses", func() bool {
		l := w.Snapshot().AddressesOf(m0.Index)
		return slices.ContainsFunc(l, func(a Address) bool {
			return a.Prefix == netip.MustParsePrefix("192.0.2.10/24") && a.Label == "m0" &&
				a.Flags&unix.IFA_F_NOPREFIXROUTE != 0 && a.Valid == Forever
		}) && slices.ContainsFunc(l, func(a Address) bool {
			return a.Prefix == netip.MustParsePrefix("2001:db8::10/64") && a.Preferred == 0 &&
				a.Flags&unix.IFA_F_DEPRECATED != 0
		})
	})

	s.ip("nexthop", "add", "id", "7", "via", "192.0.2.1", "dev", "m0", "onlink", "proto", "157")
	s.ip("nexthop", "add", "id", "8", "group", "7", "type", "resilient", "buckets", "8")
	s.ip("route", "add", "198.51.100.0/24", "nhid", "8", "src", "192.0.2.10", "metric", "50", "proto", "157")
	s.ip("route", "add", "203.0.113.0/24", "dev", "m0", "mtu", "1300")
	s.ip("-6", "route", "add", "2001:db8:1::/48", "via", "2001:db8::1", "dev", "m0", "onlink")
	s.ip("neigh", "add", "192.0.2.1", "lladdr", "02:00:00:00:00:01", "dev", "m0", "nud", "reachable")
	eventually(t, "nexthops", func() bool { return len(w.Snapshot().Nexthops) == 2 })
	nhs := w.Snapshot().Nexthops
	require.Equal(t, Nexthop{ID: 7, Family: unix.AF_INET, Protocol: 157, Link: m0.Index,
		Gateway: netip.MustParseAddr("192.0.2.1"), Flags: unix.RTNH_F_ONLINK}, nhs[0])
	require.Equal(t, []uint32{7}, nhs[1].Group)
	require.True(t, nhs[1].Resilient)

	eventually(t, "routes", func() bool {
		snap := w.Snapshot()
		return len(routesTo(snap, "198.51.100.0/24")) == 1 && len(routesTo(snap, "203.0.113.0/24")) == 1 &&
			len(routesTo(snap, "2001:db8:1::/48")) == 1
	})
	r := routesTo(w.Snapshot(), "198.51.100.0/24")[0]
	require.Equal(t, uint32(8), r.NexthopID)
	require.Equal(t, netip.MustParseAddr("192.0.2.10"), r.Src)
	require.Equal(t, uint32(50), r.Metric)
	require.Equal(t, uint8(157), r.Protocol)
	r = routesTo(w.Snapshot(), "203.0.113.0/24")[0]
	require.Equal(t, uint32(1300), r.MTU)
	require.Equal(t, []Hop{{Link: m0.Index, Weight: 1}}, r.Hops)
	r = routesTo(w.Snapshot(), "2001:db8:1::/48")[0]
	require.Equal(t, netip.MustParseAddr("2001:db8::1"), r.Hops[0].Gateway)
	eventually(t, "neighbour", func() bool {
		return slices.ContainsFunc(w.Snapshot().Neighbors, func(n Neighbor) bool {
			return n.IP == netip.MustParseAddr("192.0.2.1") && n.MAC == [6]byte{2, 0, 0, 0, 0, 1}
		})
	})

	// The kernel says nothing about the routes and nexthops that this takes.
	s.ip("link", "set", "m0", "down")
	eventually(t, "routes and nexthops gone with the link", func() bool {
		snap := w.Snapshot()
		return len(routesTo(snap, "198.51.100.0/24")) == 0 && len(routesTo(snap, "203.0.113.0/24")) == 0 &&
			len(snap.Nexthops) == 0
	})

	s.ip("link", "del", "m0")
	s.ip("link", "add", "m0", "type", "veth", "peer", "name", "p0")
	eventually(t, "deleted and made again", func() bool {
		snap := w.Snapshot()
		l := snap.LinkByName("m0")
		return l != nil && l.Index != m0.Index && snap.Link(m0.Index) == nil && len(snap.AddressesOf(m0.Index)) == 0
	})

	// A second watcher lists what the first one followed. Of routes that go without a message it may not know yet.
	require.NoError(t, w.Sync(t.Context()))
	fresh := s.open(Options{}, false)
	same := func(name string, get func(*Snapshot) any) {
		want := fmt.Sprintf("%+v", get(fresh.Snapshot()))
		require.Equal(t, want, fmt.Sprintf("%+v", get(w.Snapshot())), name)
	}
	same("links", func(s *Snapshot) any {
		links := slices.Clone(s.Links)
		for i := range links {
			links[i].Parent = 0 // the first end of a veth is announced before it has its peer
		}
		return links
	})
	same("addresses", func(s *Snapshot) any { return s.Addresses })
	same("routes", func(s *Snapshot) any { return s.Routes })
	same("nexthops", func(s *Snapshot) any { return s.Nexthops })
	same("neighbours", func(s *Snapshot) any { return s.Neighbors })
}

// A preferred source that is deleted takes its routes along, also without a message.
func TestWatcherSeesRoutesGoWithTheirSource(t *testing.T) {
	s := newSpace(t)
	s.ip("link", "add", "m0", "type", "veth", "peer", "name", "p0")
	s.ip("link", "set", "m0", "up")
	s.ip("addr", "add", "192.0.2.10/24", "dev", "m0")
	s.ip("addr", "add", "192.0.2.11/32", "dev", "m0")
	s.ip("route", "add", "198.51.100.0/24", "via", "192.0.2.1", "src", "192.0.2.11")
	w := s.open(Options{}, true)
	require.Len(t, routesTo(w.Snapshot(), "198.51.100.0/24"), 1)
	s.ip("addr", "del", "192.0.2.11/32", "dev", "m0")
	eventually(t, "route gone", func() bool { return len(routesTo(w.Snapshot(), "198.51.100.0/24")) == 0 })
}

// Messages lost in a full buffer: everything is listed anew, and old messages that are still in
// the buffer are not believed.
func TestWatcherResyncs(t *testing.T) {
	s := newSpace(t)
	s.ip("link", "add", "m0", "type", "veth", "peer", "name", "p0")
	w := s.open(Options{Buffer: 1}, false) // the kernel makes it its minimum
	<-w.Changes()
	for i := range 200 {
		s.ip("addr", "add", fmt.Sprintf("192.0.2.%d/32", i+1), "dev", "m0")
	}
	s.ip("addr", "flush", "dev", "m0")
	s.ip("addr", "add", "192.0.2.10/24", "dev", "m0")

	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	defer func() { cancel(); require.NoError(t, <-done) }()
	var got Change
	for got&Resynced == 0 {
		select {
		case c := <-w.Changes():
			got |= c
		case <-time.After(10 * time.Second):
			t.Fatal("no resync")
		}
	}
	m0 := w.Snapshot().LinkByName("m0").Index
	list := w.Snapshot().AddressesOf(m0)
	require.Len(t, list, 1)
	require.Equal(t, "192.0.2.10/24", list[0].Prefix.String())
	require.Equal(t, Links|Addresses|Neighbors, got&(Links|Addresses|Neighbors))
}

// After Sync the snapshot has what was done before, without waiting for anything else.
func TestWatcherSyncs(t *testing.T) {
	s := newSpace(t)
	s.ip("link", "add", "m0", "type", "veth", "peer", "name", "p0")
	s.ip("link", "set", "m0", "up")
	w := s.open(Options{}, true)
	m0 := w.Snapshot().LinkByName("m0").Index
	for i := range 20 {
		a := fmt.Sprintf("192.0.2.%d/32", i+1)
		s.ip("addr", "add", a, "dev", "m0")
		s.ip("route", "add", fmt.Sprintf("198.51.%d.0/24", i), "dev", "m0", "src", strings.TrimSuffix(a, "/32"))
		require.NoError(t, w.Sync(t.Context()))
		require.Len(t, w.Snapshot().AddressesOf(m0), i+1)
		require.Len(t, routesTo(w.Snapshot(), fmt.Sprintf("198.51.%d.0/24", i)), 1)
	}
	s.ip("addr", "flush", "dev", "m0")
	require.NoError(t, w.Sync(t.Context()))
	require.Empty(t, w.Snapshot().AddressesOf(m0))
	require.Empty(t, routesTo(w.Snapshot(), "198.51.0.0/24"))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	idle := s.open(Options{}, false)
	require.ErrorIs(t, idle.Sync(ctx), context.Canceled)
}

// Routes that do not matter are neither kept nor cause a listing.
func TestWatcherKeepsRoutesThatMatter(t *testing.T) {
	s := newSpace(t)
	s.ip("link", "add", "m0", "type", "veth", "peer", "name", "p0")
	s.ip("link", "set", "m0", "up")
	w := s.open(Options{KeepRoute: func(r *Route) bool { return r.Protocol != 186 }}, true)
	var b strings.Builder
	for _, proto := range []string{"bgp", "static"} {
		dst := map[string]string{"bgp": "198.51.100.0/24", "static": "203.0.113.0/24"}[proto]
		s.ip("route", "add", dst, "dev", "m0", "proto", proto)
		b.WriteString(proto)
	}
	eventually(t, b.String(), func() bool { return len(routesTo(w.Snapshot(), "203.0.113.0/24")) == 1 })
	require.Empty(t, routesTo(w.Snapshot(), "198.51.100.0/24"))
}

func TestSysctls(t *testing.T) {
	s := newSpace(t)
	s.do(func() error {
		got := Sysctls([]string{"net/ipv4/ip_forward", "net/ipv4/no_such_key"})
		if len(got) != 1 || got["net/ipv4/ip_forward"] == "" {
			return fmt.Errorf("got %v", got)
		}
		return nil
	})
}

// What was written and undone before it was ever listed leaves no difference, and is a change all the same.
func TestWatcherSeesWhatIsUndone(t *testing.T) {
	s := newSpace(t)
	s.ip("link", "add", "m0", "type", "veth", "peer", "name", "p0")
	s.ip("link", "set", "m0", "up")
	s.ip("link", "set", "p0", "up")
	w := s.open(Options{}, true)
	eventually(t, "the links to rest", func() bool {
		require.NoError(t, w.Sync(t.Context()))
		l := w.Snapshot().LinkByName("m0")
		return l != nil && l.Carrier
	})
	<-w.Changes()
	for _, wrote := range []bool{false, true} {
		if wrote {
			w.Wrote()
		}
		seen := Change(0)
		s.ip("nexthop", "add", "id", "7", "dev", "m0")
		s.ip("nexthop", "del", "id", "7")
		end := time.After(200 * time.Millisecond)
		for open := true; open; {
			select {
			case c := <-w.Changes():
				seen |= c
			case <-end:
				open = false
			}
		}
		require.Empty(t, w.Snapshot().Nexthops)
		if wrote {
			require.NotZero(t, seen&Nexthops)
		}
	}
}
