// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// look is what ip(8) says of a host, but for what goes on by itself.
func (s *space) look() string {
	var b strings.Builder
	for _, c := range []string{"-d addr", "-d route show table all", "-d -6 route show table all", "-d nexthop", "neigh show nud permanent"} {
		out := s.ip(strings.Fields(c)...)
		if strings.Contains(c, "route") {
			lines := strings.Split(out, "\n") // the local table has no order among interfaces
			slices.Sort(lines)
			out = strings.Join(lines, "\n")
		}
		fmt.Fprintf(&b, "# %s\n%s", c, out)
	}
	return regexp.MustCompile(`(valid_lft|preferred_lft|expires) [0-9]+sec`).ReplaceAllString(b.String(), "$1 TIME")
}

// TestReleaseIsTheKernel: the way back on a real host ends where it began, and is what the model says.
func TestReleaseIsTheKernel(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	d, _ := pair()
	g := &d.Groups[0]
	for i := range g.Members {
		m := &g.Members[i]
		m.Name, m.Index, m.MAC = r.members[i].Name, r.members[i].Index, r.members[i].MAC
	}
	g.Addresses = append(g.Addresses, Address{prefix("192.0.2.20/24"), 1}, Address{prefix("2001:db8::10/64"), 0},
		Address{prefix("2001:db8::20/64"), 0})
	g.Members[0].Tests = append(g.Members[0].Tests, prefix("2001:db8::11/64"))
	g.Routes = append(g.Routes, Route{To: prefix("::/0"), Via: netip.MustParseAddr("fe80::1")})
	for _, c := range []string{
		"addr add 192.0.2.10/24 brd + label m0:1 dev m0",
		"addr add 192.0.2.11/24 dev m0",
		"addr add 2001:db8::10/64 dev m0 valid_lft 3000 preferred_lft 2000",
		"addr add 2001:db8::11/64 dev m0 nodad",
		"addr add 192.0.2.20/24 dev m1 metric 77",
		"neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev m0 nud reachable",
	} {
		r.host.ip(strings.Fields(c)...)
	}
	eventually(t, "addresses that rest", func() bool { return !strings.Contains(r.host.ip("addr"), "tentative") })
	before, sysctls := r.host.look(), r.host.observe(d).Sysctls
	u := Undo{Groups: undoGroups(d)}
	work := func() {
		o := r.host.observe(d)
		ops := Plan(d, o)
		u.Record(d, o, ops, boottime())
		require.Empty(t, r.apply(ops...))
	}
	release := func() {
		o := r.host.observe(d)
		ops := Release(Released{Undo: &u, Groups: u.Groups, All: true, Now: boottime()}, o)
		for _, failure := range r.apply(ops...) {
			t.Errorf("%s: %v", kernelOf(o).shell(failure.Op), failure.Err)
		}
		after := r.host.observe(d)
		require.Equal(t, kernelOf(o.With(ops)).String(), kernelOf(after).String())
		require.Equal(t, sysctls, after.Sysctls)
		// The kernel enters local routes of IPv6 a moment later, from a work queue (addrconf_dad_work).
		for deadline := time.Now().Add(5 * time.Second); r.host.look() != before && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		require.Equal(t, before, r.host.look())
		require.Empty(t, Release(Released{Undo: &u, Groups: u.Groups, All: true, Now: boottime()}, after), "a second time")
	}
	work()
	require.Len(t, u.Addresses, 5)
	release()

	work()
	d.fail(0, 1, 1, 1, 1)
	work()
	release()

	d.repair(0)
	for i, owner := range []int{0, 1, 0, 0} {
		d.Groups[0].Addresses[i].Member = owner
	}
	work()
	d.fail(0, 1, 1, 1, 1)
	work()
	d.repair(0)
	for i := range d.Groups[0].Addresses {
		d.Groups[0].Addresses[i].Member = 0
	}
	work()
	release()
}

func TestSeconds(t *testing.T) {
	require.EqualValues(t, 1<<32-1, seconds(0))
	require.EqualValues(t, 1, seconds(time.Millisecond))
	require.EqualValues(t, 90, seconds(90*time.Second))
}
