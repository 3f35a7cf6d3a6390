// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
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
