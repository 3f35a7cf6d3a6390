// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
)

// ip runs ip(8) in the lab's host.
func (s *scene) ip(args ...string) string {
	s.t.Helper()
	out, err := exec.Command("ip", append([]string{"-n", s.Host.Name}, args...)...).CombinedOutput()
	require.NoError(s.t, err, "ip %s: %s", strings.Join(args, " "), out)
	return string(out)
}

// adopting is a host as its administrator left it: the data address, a default route and one with an
// MTU on hme0, before any ipmpd.
func adopting() setup {
	return setup{
		lab: lab.Options{Far: true},
		prepare: func(_ *testing.T, s *scene) {
			s.ip("addr", "add", "192.0.2.10/24", "dev", "hme0")
			s.ip("route", "add", "default", "via", "192.0.2.1")
			s.ip("route", "add", "203.0.113.0/24", "via", "192.0.2.1", "mtu", "1300", "metric", "50", "proto", "static")
		},
	}
}

// route waits until the host has a route that says all of this.
func (s *scene) route(to string, words ...string) {
	s.t.Helper()
	s.wait(fmt.Sprintf("a route %s with %q", to, words), func() (bool, error) {
		out := s.ip("route", "show", to)
		for _, w := range words {
			if !strings.Contains(out, w) {
				return false, fmt.Errorf("it is %q", out)
			}
		}
		return true, nil
	})
}

// TestRoutesAreAdopted: what the administrator's routes reached is reached all the way, from the data
// address, whatever becomes of the member that they were through.
func TestRoutesAreAdopted(t *testing.T) {
	s := stage(t, adopting())
	seen := s.listenFar()
	check := func(when string) {
		t.Helper()
		s.route("default", "nhid", "proto 157", "src 192.0.2.10")
		s.route("203.0.113.0/24", "nhid", "proto 157", "src 192.0.2.10", "metric 50", "mtu 1300")
		for range 4 {
			require.Equal(t, lab.Data, seen(lab.Far), when)
		}
	}
	check("at home")
	_, g := s.status("hme0")
	require.Len(t, g.Routes, 2)
	require.Equal(t, "adopted", g.Routes[0].Origin)

	require.NoError(t, s.Members[0].CutSilent())
	s.at("hme1", lab.Data)
	s.expect("failover hme0")
	check("after a silent failure")
	require.NoError(t, s.Members[0].Repair())
	s.at("hme0", lab.Data)
	s.expect("repair hme0", "failback hme0")

	s.ip("link", "set", "hme0", "down")
	s.at("hme1", lab.Data)
	s.expect("failover hme0")
	check("with hme0 down")
	s.ip("link", "set", "hme0", "up")
	s.at("hme0", lab.Data)
	s.expect("repair hme0", "failback hme0")
	check("with hme0 up again")

	// Later ones too, and another gateway for one that is there already.
	s.ip("route", "add", "198.18.7.0/24", "via", "192.0.2.1", "dev", "hme1")
	s.route("198.18.7.0/24", "nhid", "src 192.0.2.10")
	s.ip("route", "replace", "198.18.7.0/24", "via", "192.0.2.100", "dev", "hme1")
	s.route("198.18.7.0/24", "nhid", "via 192.0.2.100", "src 192.0.2.10")
	// What is ours and is taken away comes back.
	s.ip("route", "del", "default")
	check("deleted")
}

// TestAdoptedRoutesOutliveTheDaemon, and the loss of its memory.
func TestAdoptedRoutesOutliveTheDaemon(t *testing.T) {
	s := stage(t, adopting())
	check := func() {
		t.Helper()
		s.route("default", "nhid", "proto 157", "src 192.0.2.10")
		s.route("203.0.113.0/24", "nhid", "metric 50", "mtu 1300")
		s.reachedFrom(lab.Far)
	}
	check()
	require.NoError(t, s.daemon.Kill())
	check()
	require.NoError(t, s.daemon.Start())
	s.wait("the daemon to be ready again", s.ready)
	check()
	require.NoError(t, s.daemon.Kill())
	require.NoError(t, os.Remove(s.daemon.State))
	require.NoError(t, s.daemon.Start())
	s.wait("the daemon to be ready again", s.ready)
	check()
	_, g := s.status("hme0")
	require.Len(t, g.Routes, 2)
	s.ip("link", "set", "hme0", "down")
	s.at("hme1", lab.Data)
	s.expect("failover hme0")
	check()
}

// TestRoutesThatCannotFollow stay where they are: a gateway that only a foreign address reaches, and
// a source that does not move.
func TestRoutesThatCannotFollow(t *testing.T) {
	c := adopting()
	c.prepare = func(_ *testing.T, s *scene) {
		s.ip("addr", "add", "198.18.0.1/24", "dev", "hme0")
		s.ip("route", "add", "198.18.8.0/24", "via", "198.18.0.2")
		s.ip("route", "add", "198.18.9.0/24", "dev", "hme0", "src", "198.18.0.1")
	}
	s := stage(t, c)
	before := s.ip("route", "show", "198.18.8.0/24") + s.ip("route", "show", "198.18.9.0/24")
	require.NoError(t, s.Members[0].CutSilent())
	s.at("hme1", lab.Data)
	s.expect("failover hme0")
	require.Equal(t, before, s.ip("route", "show", "198.18.8.0/24")+s.ip("route", "show", "198.18.9.0/24"))
	require.NotContains(t, before, "nhid")
	_, g := s.status("hme0")
	require.Empty(t, g.Routes)
}

// TestAdvertisedRoutes of IPv6 stay as the kernel made them; one of ours that follows the group stands
// before each, as long as it is there.
func TestAdvertisedRoutes(t *testing.T) {
	c := dual().homes()
	c.lab = lab.Options{Far: true}
	c.prepare = func(_ *testing.T, s *scene) {
		s.ip("-6", "route", "add", "default", "via", "fe80::1", "dev", "hme0", "proto", "ra", "metric", "1024", "expires", "600")
	}
	s := stage(t, c)
	ours := func() string { return s.ip("-6", "route", "show", "default", "metric", "1023") }
	s.wait("a route of ours", func() (bool, error) {
		return strings.Contains(ours(), "nhid") && strings.Contains(ours(), "src "+lab.Data6.String()), nil
	})
	require.Contains(t, s.ip("-6", "route", "show", "default", "metric", "1024"), "proto ra")
	s.ip("-6", "route", "del", "default", "via", "fe80::1", "dev", "hme0", "metric", "1024")
	s.wait("no route of ours", func() (bool, error) { return ours() == "", nil })
}

// TestRoutesOfSeveralHops: one over two gateways through one member, and one through two members, become
// routes over the same gateways by every member. What they reach is reached whichever member is cut, and
// release puts the routes back as they were. One that also goes elsewhere stays, and is named.
func TestRoutesOfSeveralHops(t *testing.T) {
	var far []netip.Addr
	for i := range 6 {
		far = append(far, netip.AddrFrom4([4]byte{198, 51, 100, byte(101 + i)}), netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + i)}))
	}
	var before picture
	c := setup{lab: lab.Options{Far: true}, prepare: func(t *testing.T, s *scene) {
		for _, a := range far {
			require.NoError(t, s.Far.AddAddr("lo", netip.PrefixFrom(a, 32).String()))
		}
		require.NoError(t, s.Router.AddAddr("eth0", "192.0.2.3/24"))
		routes := exec.Command("ip", "-n", s.Router.Name, "route", "add", "203.0.113.0/24", "via", lab.Far.String())
		require.NoError(t, routes.Run())
		s.ip("addr", "add", "192.0.2.10/24", "dev", "hme0")
		s.ip("addr", "add", "192.0.2.12/24", "dev", "hme1")
		s.ip("link", "add", "other0", "type", "veth", "peer", "name", "other1")
		s.ip("link", "set", "other0", "up")
		s.ip("link", "set", "other1", "up")
		s.ip("route", "add", "default", "proto", "static", "nexthop", "via", "192.0.2.1", "dev", "hme0", "weight", "1",
			"nexthop", "via", "192.0.2.3", "dev", "hme0", "weight", "3")
		s.ip("route", "add", "203.0.113.0/24", "metric", "50", "mtu", "1300", "nexthop", "via", "192.0.2.1", "dev", "hme0",
			"nexthop", "via", "192.0.2.3", "dev", "hme1", "onlink")
		s.ip("route", "add", "198.18.5.0/24", "nexthop", "via", "192.0.2.1", "dev", "hme0", "nexthop", "dev", "other0")
		before = s.rested()
	}}
	s := stage(t, c)
	check := func(when string) {
		t.Helper()
		s.route("default", "nhid", "proto 157", "src 192.0.2.10", "via 192.0.2.1 ", "via 192.0.2.3 ", "weight 3")
		s.route("203.0.113.0/24", "nhid", "proto 157", "src 192.0.2.10", "metric 50", "mtu 1300", "via 192.0.2.1 ", "via 192.0.2.3 ")
		for _, a := range far {
			s.reachedFrom(a)
		}
	}
	check("at home")
	_, g := s.status("hme0")
	vias := []string{}
	for _, r := range g.Routes {
		vias = append(vias, r.To+" "+r.Via+" "+r.Origin)
	}
	require.Equal(t, []string{"0.0.0.0/0 192.0.2.1 adopted", "0.0.0.0/0 192.0.2.3 adopted",
		"203.0.113.0/24 192.0.2.1 adopted", "203.0.113.0/24 192.0.2.3 adopted"}, vias)
	require.Len(t, g.ForeignRoutes, 1)
	require.Equal(t, 1, g.ForeignRouteCount)
	require.Equal(t, "198.18.5.0/24", g.ForeignRoutes[0].To)
	require.Equal(t, []string{"hme0", "other0"}, []string(g.ForeignRoutes[0].Interfaces))

	require.NoError(t, s.Members[0].CutSilent())
	s.at("hme1", lab.Data)
	s.expect("failover hme0")
	check("after a silent failure of hme0")
	require.NoError(t, s.Members[0].Repair())
	s.at("hme0", lab.Data)
	s.expect("repair hme0", "failback hme0")
	_, err := s.Members[1].CutCarrier()
	require.NoError(t, err)
	s.state("hme1", "failed")
	check("without the carrier of hme1")
	require.NoError(t, s.Members[1].Repair())
	s.expect("failover hme1", "repair hme1")
	check("with both again")

	require.NoError(t, s.daemon.Kill())
	require.NoError(t, s.daemon.Start())
	s.wait("the daemon to be ready again", s.ready)
	check("after a kill")
	s.release()
	s.ended()
	require.Equal(t, before, s.rested())
}

// The same of IPv6, where the kernel takes several next hops for as many routes.
func TestRoutesOfSeveralHops6(t *testing.T) {
	long(t)
	var before picture
	s := stage(t, setup{
		lab: lab.Options{Far: true}, targets: []netip.Addr{lab.Router6}, addresses: []netip.Prefix{data6}, atHome: "hme0",
		tests: func(i int) []netip.Addr { return []netip.Addr{lab.TestAddr6(i)} },
		prepare: func(t *testing.T, s *scene) {
			require.NoError(t, s.Router.AddAddr("eth0", "2001:db8::3/64"))
			require.NoError(t, s.Host.AddAddr("hme0", data6.String()))
			require.NoError(t, s.Host.AddAddr("hme1", "2001:db8::12/64"))
			s.ip("-6", "route", "add", "2001:db8:1::/64", "metric", "50", "nexthop", "via", "2001:db8::1", "dev", "hme0",
				"nexthop", "via", "2001:db8::3", "dev", "hme1", "weight", "2")
			before = s.rested()
		}})
	check := func() {
		t.Helper()
		s.wait("a route over both gateways", func() (bool, error) {
			out := s.ip("-6", "route", "show", "2001:db8:1::/64")
			for _, w := range []string{"nhid", "src 2001:db8::10 metric 50", "via 2001:db8::1 ", "via 2001:db8::3 "} {
				if !strings.Contains(out, w) {
					return false, fmt.Errorf("it is %q", out)
				}
			}
			return true, nil
		})
		s.reachedFrom(lab.Far6)
	}
	check()
	require.NoError(t, s.Members[0].CutSilent())
	s.at("hme1", lab.Data6)
	s.expect("failover hme0")
	check()
	s.release()
	s.ended()
	require.Equal(t, before, s.rested())
}
