// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/test/lab"
)

var (
	blue   = netip.MustParseAddr("192.0.2.10")
	blue2  = netip.MustParseAddr("192.0.2.20")
	red    = netip.MustParseAddr("192.0.3.10")
	always = "duplicate-check: false, flap-limit: 0"
)

// groupText is one group on a line of its own: its members by number, with their test addresses.
func groupText(name, subnet, more string, members []int, addresses ...string) string {
	interfaces := join(members, func(i int) string {
		return fmt.Sprintf("hme%d: {test: [%s.%d/24]}", i, subnet, 11+i)
	})
	data := join(addresses, func(a string) string { return subnet + "." + a + "/24" })
	if more != "" {
		more = ", " + more
	}
	return fmt.Sprintf("  %s: {%s, detection-time: 1ms, targets: [%s.1]%s, interfaces: {%s}, addresses: [%s]}\n",
		name, always, subnet, more, interfaces, data)
}

func blueText(members []int, addresses ...string) string {
	return groupText("blue", "192.0.2", "", members, addresses...)
}

func redText(members []int, addresses ...string) string {
	return groupText("red", "192.0.3", "", members, addresses...)
}

func file(groups ...string) string { return "groups:\n" + strings.Join(groups, "") }

// reloadScene is a lab with members for two groups, whose subnets both are on the LAN.
func reloadScene(t *testing.T, members int, config string, binary ...string) *scene {
	t.Helper()
	return stage(t, setup{
		lab: lab.Options{Members: members}, config: config, binary: strings.Join(binary, ""),
		prepare: func(t *testing.T, s *scene) {
			require.NoError(t, s.Router.AddAddr("eth0", "192.0.3.1/24"))
			require.NoError(t, s.Peer.AddAddr("eth0", "192.0.3.100/24"))
			s.quiet(config, true)
			s.quiet(config, false)
		},
		ready: func(s *scene) (bool, error) { return s.allOK() },
	})
}

// allOK: every member of every group answers, and every address is in use.
func (s *scene) allOK() (bool, error) {
	if s.daemon.Ended() {
		return false, lab.Fatal(errors.New("ipmpd has ended"))
	}
	st, err := s.client.Status(s.context())
	if err != nil {
		return false, err
	}
	for _, g := range st.Groups {
		for _, i := range g.Interfaces {
			if i.State != "ok" {
				return false, fmt.Errorf("%s of %s is %s", i.Name, g.Name, i.State)
			}
		}
		for _, a := range g.Addresses {
			if a.State != "up" {
				return false, fmt.Errorf("%s is %s", a.Address, a.State)
			}
		}
	}
	return true, nil
}

// quiet: an interface of the LAN that is in no group must not answer ARP for addresses that are on
// others, as Linux does unless it is told not to. First those that a file does not name, then those
// that it does.
func (s *scene) quiet(config string, unnamed bool) {
	s.t.Helper()
	for _, m := range s.Members {
		if strings.Contains(config, m.Name+":") != unnamed {
			value := map[bool]string{true: "1", false: "0"}[unnamed]
			require.NoError(s.t, s.Host.Sysctl("ipv4/conf/"+m.Name+"/arp_ignore", value))
		}
	}
}

// reloaded with another file; it returns what the command says.
func (s *scene) reloaded(config string) string {
	s.t.Helper()
	s.quiet(config, true)
	require.NoError(s.t, s.daemon.Configure(config))
	out := s.run("reload")
	s.quiet(config, false)
	return out
}

// reload another file, which must succeed with this summary.
func (s *scene) reload(config, summary string) {
	s.t.Helper()
	require.Equal(s.t, summary+"\n", s.reloaded(config))
}

// group of the status.
func (s *scene) group(name string) control.Group {
	s.t.Helper()
	st, err := s.client.Status(s.context())
	require.NoError(s.t, err)
	at := slices.IndexFunc(st.Groups, func(g control.Group) bool { return g.Name == name })
	require.GreaterOrEqual(s.t, at, 0, "group %s", name)
	return st.Groups[at]
}

// rounds that were sent on a member, which begin anew with another instance.
func (s *scene) rounds(group, name string) uint64 {
	s.t.Helper()
	for _, i := range s.group(group).Interfaces {
		if i.Name == name {
			require.NotNil(s.t, i.RoundsSent)
			return *i.RoundsSent
		}
	}
	s.t.Fatalf("%s is not in %s", name, group)
	panic("unreachable")
}

// watchFrom runs `watch` and returns when the state, of so many groups and interfaces, has been told.
func (s *scene) watchFrom(state int) <-chan control.Event {
	s.t.Helper()
	events := s.watch()
	for range state {
		select {
		case <-events:
		case <-time.After(patience):
			s.t.Fatal("the state is not told")
		}
	}
	return events
}

// told waits for an event of a kind.
func (s *scene) told(events <-chan control.Event, kind string) control.Event {
	s.t.Helper()
	end := time.After(patience)
	for {
		select {
		case e := <-events:
			if e.Event == kind {
				return e
			}
		case <-end:
			s.t.Fatalf("no event %s", kind)
		}
	}
}

// bare requires that nothing of ours is on an interface: no address, no program.
func (s *scene) bare(name string) {
	s.t.Helper()
	prefixes, err := s.Host.Addresses(name)
	require.NoError(s.t, err)
	for _, p := range prefixes {
		require.True(s.t, p.Addr().IsLinkLocalUnicast(), "%s is on %s", p, name)
	}
	require.Zero(s.t, s.programs(name))
	routes, err := s.Host.Netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{}, netlink.RT_FILTER_TABLE)
	require.NoError(s.t, err)
	l, err := s.Host.Link(name)
	require.NoError(s.t, err)
	for _, r := range routes {
		require.NotEqual(s.t, l.Attrs().Index, r.LinkIndex, "%s goes through %s", r, name)
	}
}

// programs of TCX on an interface, both ways.
func (s *scene) programs(name string) (n int) {
	s.t.Helper()
	l, err := s.Host.Link(name)
	require.NoError(s.t, err)
	for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		require.NoError(s.t, s.InHost(func() error {
			result, err := link.QueryPrograms(link.QueryOptions{Target: l.Attrs().Index, Attach: at})
			if err == nil {
				n += len(result.Programs)
			}
			return err
		}))
	}
	return n
}
