// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/test/lab"
)

// wrong is something of ours that somebody else changes.
type wrong struct {
	name string
	do   func(s *scene)
	// right again; asked often.
	right func(s *scene) bool
	told  string // in the event
}

// group4 is the nexthop group of the IPv4 connected route: slot 0, on link.
const group4 = 'i'<<24 | 32

func (s *scene) has(name string, prefix netip.Prefix) bool {
	list, err := s.Host.Addresses(name)
	return err == nil && slices.Contains(list, prefix)
}

// routesOurs of the main table, by destination.
func (s *scene) routesOurs() map[string]bool {
	list, err := s.Host.Netlink.RouteListFiltered(unix.AF_UNSPEC, &netlink.Route{Protocol: 157}, netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return nil
	}
	found := map[string]bool{}
	for _, r := range list {
		found[r.Dst.String()] = true
	}
	return found
}

// nexthops as ip(8) lists them.
func (s *scene) nexthops() string { return s.ip("nexthop", "show", "protocol", "157") }

// sysctlIs asks for a value without ending the test.
func (s *scene) sysctlIs(key, value string) bool {
	var is []byte
	err := s.Host.Do(func() (err error) {
		is, err = os.ReadFile("/proc/sys/net/" + key)
		return err
	})
	return err == nil && strings.TrimSpace(string(is)) == value
}

// wrongs are all kinds of drift that are repaired by notification. The scene has a default route.
func wrongs() []wrong {
	set := func(key, value string) func(*scene) {
		return func(s *scene) { require.NoError(s.t, s.Host.Sysctl(key, value)) }
	}
	is := func(key, value string) func(*scene) bool {
		return func(s *scene) bool { return s.sysctlIs(key, value) }
	}
	test := netip.PrefixFrom(lab.TestAddr(1), 24)
	return []wrong{
		{"data address deleted", func(s *scene) { require.NoError(s.t, s.Host.DelAddr("hme0", data4.String())) },
			func(s *scene) bool {
				r := s.routesOurs()
				return s.has("hme0", data4) && r["192.0.2.0/24"] && r["0.0.0.0/0"]
			}, "deleted it"},
		{"IPv6 data address deleted", func(s *scene) { require.NoError(s.t, s.Host.DelAddr("hme0", data6.String())) },
			func(s *scene) bool { return s.has("hme0", data6) }, "deleted it"},
		{"test address deleted", func(s *scene) { require.NoError(s.t, s.Host.DelAddr("hme1", test.String())) },
			func(s *scene) bool { return s.has("hme1", test) }, "deleted it"},
		{"copy on another member", func(s *scene) { require.NoError(s.t, s.Host.AddAddr("hme1", data4.String())) },
			func(s *scene) bool { return s.has("hme0", data4) && !s.has("hme1", data4) }, "put it on this interface too"},
		// Not `ip route flush`: iproute2 6.1 cannot delete a route through a nexthop group so.
		{"routes deleted", func(s *scene) { s.ip("route", "del", "192.0.2.0/24"); s.ip("route", "del", "default") },
			func(s *scene) bool { r := s.routesOurs(); return r["192.0.2.0/24"] && r["0.0.0.0/0"] }, "deleted the route"},
		{"nexthop group deleted", func(s *scene) { s.ip("nexthop", "del", "id", fmt.Sprint(group4)) },
			func(s *scene) bool { return s.routesOurs()["192.0.2.0/24"] }, "deleted nexthop group"},
		{"nexthop group changed", func(s *scene) {
			s.ip("nexthop", "replace", "id", fmt.Sprint(group4), "group", fmt.Sprint(group4-32), "type", "resilient")
		}, func(s *scene) bool {
			return strings.Contains(s.nexthops(), fmt.Sprintf("id %d group %d/%d ", group4, group4-32, group4-31))
		}, "changed nexthop group"},
		{"nexthops flushed", func(s *scene) { s.ip("nexthop", "flush") },
			func(s *scene) bool { r := s.routesOurs(); return r["192.0.2.0/24"] && r["0.0.0.0/0"] }, "deleted nexthop"},
		{"arp_announce", set("ipv4/conf/hme0/arp_announce", "0"), is("ipv4/conf/hme0/arp_announce", "2"), "set net/ipv4/conf/hme0/arp_announce to 0"},
		{"rp_filter", set("ipv4/conf/hme1/rp_filter", "1"), is("ipv4/conf/hme1/rp_filter", "2"), "set net/ipv4/conf/hme1/rp_filter to 1"},
		{"promote_secondaries", set("ipv4/conf/hme1/promote_secondaries", "0"), is("ipv4/conf/hme1/promote_secondaries", "1"), "set net/ipv4/conf/hme1/promote_secondaries to 0"},
		{"keep_addr_on_down", set("ipv6/conf/hme0/keep_addr_on_down", "0"), is("ipv6/conf/hme0/keep_addr_on_down", "1"), "set net/ipv6/conf/hme0/keep_addr_on_down to 0"},
	}
}

func drifting() setup {
	return setup{
		tests:     dualTests,
		addresses: []netip.Prefix{data4, data6},
		atHome:    "hme0",
		targets:   []netip.Addr{lab.Router, lab.Router6},
		group:     []string{"routes:", fmt.Sprintf("  - {to: 0.0.0.0/0, via: %s}", lab.Router)},
	}
}

// TestDriftIsRepaired, said once, and nothing fails over for it; what is foreign stays.
func TestDriftIsRepaired(t *testing.T) {
	s := stage(t, drifting())
	events := s.watchFrom(3)
	f := s.foreign("hme0")
	said := map[string]int{}
	for _, w := range wrongs() {
		t.Run(w.name, func(t *testing.T) {
			w.do(s)
			s.wait("it to be right again", func() (bool, error) { return w.right(s), nil })
			for told := false; !told; {
				e := s.told(events, control.EventDriftRepaired)
				told = strings.Contains(e.Detail, "somebody "+w.told)
				require.Equal(t, "unrealgrp1", e.Group)
				said[fmt.Sprint(e.Interface, e.Address, e.Detail)]++
			}
			f.untouched()
		})
	}
	s.pass(100 * time.Millisecond)
	for len(events) > 0 {
		e := <-events
		require.NotEqual(t, control.EventStepFailed, e.Event, e.Detail)
		said[fmt.Sprint(e.Interface, e.Address, e.Detail)]++
	}
	for text, n := range said {
		if !strings.Contains(text, "nexthop") { // whoever flushes them deletes again what is repaired meanwhile
			require.Equal(t, 1, n, text)
		}
	}
	s.at("hme0", lab.Data, lab.Data6)
}

// TestAddressesFlushed: with the last IPv4 address of an interface the kernel takes more along.
func TestAddressesFlushed(t *testing.T) {
	s := stage(t, setup{group: []string{"routes:", fmt.Sprintf("  - {to: 0.0.0.0/0, via: %s}", lab.Router)}})
	before := s.nexthops()
	s.ip("-4", "address", "flush", "dev", "hme0")
	s.wait("everything again", func() (bool, error) {
		r := s.routesOurs()
		return s.has("hme0", data4) && s.has("hme0", netip.PrefixFrom(lab.TestAddr(0), 24)) &&
			r["192.0.2.0/24"] && r["0.0.0.0/0"] && s.nexthops() == before, nil
	})
	s.at("hme0", lab.Data)
	s.state("hme0", "ok")
	s.news() // whether its test address was away too long for its probes
}

// TestDriftIsContested: somebody deletes an address again and again. After three repairs that is
// said, and the next one waits; a failover does not.
func TestDriftIsContested(t *testing.T) {
	s := stage(t, setup{})
	events := s.watchFrom(3)
	for i := range contestedRounds {
		require.NoError(t, s.Host.DelAddr("hme0", data4.String()))
		s.wait("the address again", func() (bool, error) { return s.has("hme0", data4), nil })
		want := control.EventDriftRepaired
		if i == contestedRounds-1 {
			want = control.EventStepFailed
		}
		e := s.told(events, want)
		require.Equal(t, data4.String(), e.Address)
		require.Equal(t, i == contestedRounds-1, strings.Contains(e.Detail, "again and again"), e.Detail)
	}
	require.NoError(t, s.Host.DelAddr("hme0", data4.String()))
	s.pass(200 * time.Millisecond)
	require.False(t, s.has("hme0", data4), "it waits")
	// Other things are put right meanwhile.
	require.NoError(t, s.Host.Sysctl("ipv4/conf/hme0/arp_announce", "0"))
	s.wait("the sysctl", func() (bool, error) { return s.sysctlIs("ipv4/conf/hme0/arp_announce", "2"), nil })
	require.False(t, s.has("hme0", data4), "it still waits")
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme1", lab.Data)
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")
	s.at("hme0", lab.Data)
}

// contestedRounds is cmd/ipmpd's constant.
const contestedRounds = 3

// gone is hme0; the data address is on hme1, and the peer sends to it there.
func (s *scene) gone(name string) {
	s.t.Helper()
	_, err := s.Host.Link(name)
	require.Error(s.t, err)
	s.wait("the data address on hme1", func() (bool, error) { return s.has("hme1", data4), nil })
	s.reached(lab.Data)
	s.wait("the peer to send to hme1", func() (bool, error) {
		mac, err := s.Peer.Neighbour("eth0", lab.Data)
		return err == nil && mac.String() == s.member("hme1").MAC().String(), err
	})
}

// TestMemberRenamed: the member is missing, what is ours goes from the interface that has another name
// now, and what is not stays; with its name it joins again.
func TestMemberRenamed(t *testing.T) {
	s := stage(t, setup{prepare: func(t *testing.T, s *scene) {
		// The data address is the administrator's, so it is adopted.
		require.NoError(t, s.Host.AddAddr("hme0", data4.String(), "198.18.0.1/24"))
	}})
	s.at("hme0", lab.Data)
	s.ip("link", "set", "hme0", "name", "renamed0")
	require.Equal(t, "missing", s.expect("failover hme0")[0].Cause)
	s.state("hme0", "missing")
	s.gone("hme0")
	s.wait("only what is foreign on it", func() (bool, error) {
		list, err := s.Host.Addresses("renamed0")
		list = slices.DeleteFunc(list, func(p netip.Prefix) bool { return p.Addr().IsLinkLocalUnicast() })
		if err == nil && !slices.Equal(list, []netip.Prefix{netip.MustParsePrefix("198.18.0.1/24")}) {
			err = fmt.Errorf("it has %v", list)
		}
		return err == nil, err
	})
	require.NotContains(t, s.nexthops(), "renamed0")
	require.Zero(t, s.programs("renamed0"))

	s.ip("link", "set", "renamed0", "name", "hme0")
	s.expect("repair hme0", "failback hme0")
	s.at("hme0", lab.Data)
	require.True(t, s.has("hme0", netip.MustParsePrefix("198.18.0.1/24")))
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme1", lab.Data)
}

// TestMemberInAnotherNamespace: it is missing here, and has nothing of ours there; it joins when it
// is back.
func TestMemberInAnotherNamespace(t *testing.T) {
	s := stage(t, setup{})
	s.ip("link", "set", "hme0", "netns", s.Peer.Name)
	e := s.expect("failover hme0")[0]
	require.Contains(t, []string{"missing", "link"}, e.Cause)
	s.state("hme0", "missing")
	s.gone("hme0")
	there, err := s.Peer.Link("hme0")
	require.NoError(t, err)
	for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		s.wait("no program on it, "+at.String(), func() (bool, error) {
			var found *link.QueryResult
			err := s.Peer.Do(func() (err error) {
				found, err = link.QueryPrograms(link.QueryOptions{Target: there.Attrs().Index, Attach: at})
				return err
			})
			return err == nil && len(found.Programs) == 0, err
		})
	}
	out, err := exec.Command("ip", "-n", s.Peer.Name, "link", "set", "hme0", "netns", s.Host.Name).CombinedOutput()
	require.NoError(t, err, "%s", out)
	s.ip("link", "set", "hme0", "up")
	s.expect("repair hme0", "failback hme0")
	s.at("hme0", lab.Data)
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme1", lab.Data)
}

// TestDataAddressElsewhere on an interface that is in no group: it stays, and is told and shown.
func TestDataAddressElsewhere(t *testing.T) {
	s := stage(t, setup{})
	events := s.watchFrom(3)
	require.NoError(t, s.Host.AddAddr("lo", "192.0.2.10/32"))
	e := s.told(events, control.EventAddressDuplicate)
	require.Equal(t, "lo", e.Interface)
	require.Equal(t, "192.0.2.10/32", e.Address)
	_, g := s.status("hme0")
	require.Equal(t, []control.ForeignAddress{{Address: "192.0.2.10/32", Interface: "lo"}}, []control.ForeignAddress(g.ForeignAddresses))
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.wait("the move", func() (bool, error) { return s.has("hme1", data4) && !s.has("hme0", data4), nil })
	s.reached(lab.Data)
	require.True(t, s.has("lo", netip.MustParsePrefix("192.0.2.10/32")))
	for len(events) > 0 {
		require.NotEqual(t, control.EventAddressDuplicate, (<-events).Event, "said once")
	}
}

// TestMemberWithAnotherMAC: the peer learns it at once, and the member answers its probes again.
func TestMemberWithAnotherMAC(t *testing.T) {
	s := stage(t, setup{group: []string{"failback: false"}})
	s.at("hme0", lab.Data)
	s.ip("link", "set", "hme0", "address", "02:00:00:00:77:01")
	s.wait("the peer to send to the new one", func() (bool, error) {
		if _, err := s.Peer.Reaches(lab.Data); err != nil {
			return false, err
		}
		mac, err := s.Peer.Neighbour("eth0", lab.Data)
		on, werr := s.where(lab.Data)
		if err != nil || werr != nil {
			return false, err
		}
		if on == "hme1" { // targets were told too late for some rounds
			return mac.String() == s.Members[1].MAC().String(), nil
		}
		return mac.String() == "02:00:00:00:77:01", nil
	})
	s.reached(lab.Data)
	s.state("hme0", "ok")
	for _, e := range s.news() {
		require.Contains(t, []string{"failover", "repair"}, e.Kind)
	}
}

// TestMemberWithAnotherMTU is told, once each time.
func TestMemberWithAnotherMTU(t *testing.T) {
	s := stage(t, setup{})
	events := s.watchFrom(3)
	s.ip("link", "set", "hme1", "mtu", "1400")
	e := s.told(events, control.EventStepFailed)
	require.Contains(t, e.Detail, "hme0 1500, hme1 1400")
	s.ip("link", "set", "hme1", "mtu", "1500")
	s.at("hme0", lab.Data)
}

// TestForeignProgramComesLater, around ours, and stays; ours go on working.
func TestForeignProgramComesLater(t *testing.T) {
	s := stage(t, setup{})
	f := s.foreign("hme0")
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme1", lab.Data)
	f.untouched()
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")
	s.at("hme0", lab.Data)
	f.untouched()
}
