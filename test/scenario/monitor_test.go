// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

const (
	ownAddress = "198.51.100.13/24" // of the monitored interface, in a subnet of its own on the LAN
	ownGateway = "198.51.100.1"
)

// monitorFile is a group of members by number, and what is in none.
func monitorFile(members []int, more string) string {
	return file(blueText(members, "10")) + "monitor: {" + more + "}\n"
}

// monitorScene has one interface more than its group, hme2, configured by somebody else: an address, a
// route, sysctls.
func monitorScene(t *testing.T, members []int, prepared func(s *scene)) *scene {
	t.Helper()
	names := append([]string{"hme0", "hme1"}[:len(members)], "hme2")
	return stage(t, setup{
		lab: lab.Options{Members: len(names), Names: names}, config: monitorFile(members, "hme2: "),
		prepare: func(t *testing.T, s *scene) {
			require.NoError(t, s.Router.AddAddr("eth0", ownGateway+"/24"))
			require.NoError(t, s.Host.Sysctl("ipv4/conf/hme2/arp_ignore", "1"))
			s.ownAddress()
			if prepared != nil {
				prepared(s)
			}
		},
		ready: (*scene).allOK,
	})
}

// ownAddress gives hme2 its address, and a route that names its target.
func (s *scene) ownAddress() {
	s.t.Helper()
	require.NoError(s.t, s.Host.AddAddr("hme2", ownAddress))
	dev, err := s.Host.Link("hme2")
	require.NoError(s.t, err)
	to, err := netlink.ParseIPNet("203.0.113.0/24")
	require.NoError(s.t, err)
	require.NoError(s.t, s.Host.Netlink.RouteReplace(&netlink.Route{LinkIndex: dev.Attrs().Index, Dst: to, Gw: netip.MustParseAddr(ownGateway).AsSlice()}))
}

// monitored interface of the status; without a name if it is not there.
func (s *scene) monitored(name string) control.Interface {
	s.t.Helper()
	i, err := s.monitoredNow(name)
	require.NoError(s.t, err)
	return i
}

// monitoredNow may fail where the daemon is about to start.
func (s *scene) monitoredNow(name string) (control.Interface, error) {
	st, err := s.client.Status(s.context())
	if err != nil {
		return control.Interface{}, err
	}
	for _, i := range st.Monitor {
		if i.Name == name {
			return i, nil
		}
	}
	return control.Interface{}, nil
}

// is waits until a monitored interface is in a state, in its status.
func (s *scene) is(name, state string) control.Interface {
	s.t.Helper()
	var i control.Interface
	s.wait(name+" "+state, func() (bool, error) {
		if i = s.monitored(name); i.State != state {
			return false, fmt.Errorf("%s is %s", name, i.State)
		}
		return true, nil
	})
	return i
}

// own is everything of the host that has an interface's name, but for our programs.
func (s *scene) own(name string) (list []string) {
	s.t.Helper()
	for what, lines := range s.look() {
		for _, line := range lines {
			if what != "links" && strings.Contains(line, name) {
				list = append(list, what+": "+line)
			}
		}
	}
	slices.Sort(list)
	return list
}

// tells waits for what is told of a monitored interface.
func (s *scene) tells(events <-chan control.Event, detail string) {
	s.t.Helper()
	for {
		e := s.told(events, control.EventInterfaceState)
		require.Equal(s.t, []string{"", "hme2"}, []string{e.Group, e.Interface})
		if strings.HasPrefix(e.Detail, detail) {
			return
		}
	}
}

// file that is reloaded; nobody touches the sysctls of hme2.
func (s *scene) reread(config, summary string) {
	s.t.Helper()
	require.NoError(s.t, s.daemon.Configure(config))
	require.Equal(s.t, summary+"\n", s.run("reload"))
}

// TestMonitor: an interface in no group is watched and told of.
func TestMonitor(t *testing.T) {
	s := monitorScene(t, []int{0}, nil)
	events := s.watchFrom(3)
	m := s.Members[1]

	_, err := s.daemon.Run(s.context(), "offline", "hme2")
	require.ErrorContains(t, err, "hme2 is in no group: it is only watched, and nothing would move off it; put it into a group first")
	_, err = s.daemon.RunAs(s.context(), "if_mpadm", "-d", "hme2")
	require.ErrorContains(t, err, "cannot offline hme2: not a physical interface or not in a group")

	i := s.is("hme2", "ok")
	require.Equal(t, []any{"ok", true, "up", "ok", "icmp", ""}, []any{i.State, i.Active, i.Link, i.Probe, i.ProbeKind, i.Cause})
	require.Equal(t, control.Words{"ipv4": "198.51.100.13"}, i.ProbesFrom)
	require.Equal(t, []string{ownGateway}, []string(i.Targets))
	require.NotEmpty(t, i.Attach)

	_, err = m.CutCarrier()
	require.NoError(t, err)
	s.tells(events, "failed link")
	i = s.is("hme2", "failed")
	require.Equal(t, []any{"down", "link", false}, []any{i.Link, i.Cause, i.Active})
	require.Equal(t, "hme0:blue:yes:up:ok:ok\nhme2::no:down:failed:failed\n",
		s.as("ipmpstat", "-iPo", "interface,group,active,link,probe,state"))
	require.Equal(t, "blue:ok:hme0\n:ok:[hme2]\n", s.as("ipmpstat", "-gPo", "group,state,interfaces"))

	s.reread(monitorFile([]int{0}, ""), "gone: monitor hme2")
	require.Empty(t, s.monitored("hme2").Name)
	require.Empty(t, s.programsAt("hme2", ebpf.AttachTCXIngress))
	require.Empty(t, s.programsAt("hme2", ebpf.AttachTCXEgress))
	s.reread(monitorFile([]int{0}, "hme2: {test: ["+ownAddress+"]}"), "new: monitor hme2")
	require.Len(t, s.programsAt("hme2", ebpf.AttachTCXIngress), 1)
	s.is("hme2", "failed")

	s.release()
	s.ended()
	require.Empty(t, s.programsAt("hme2", ebpf.AttachTCXIngress))
}

// TestMonitorSilent: a path that dies silently is told of within seconds; an interface that goes, comes
// and changes its address is followed; a member of a group may become one that is watched only, and the
// other way round. Nothing of the host changes by it.
func TestMonitorSilent(t *testing.T) {
	long(t)
	var before []string
	s := monitorScene(t, []int{0, 1}, func(s *scene) {
		s.rested()
		before = s.own("hme2")
	})
	events := s.watchFrom(4)
	s.probed()
	require.Equal(t, before, s.own("hme2"))

	cut := faults.Now()
	require.NoError(t, s.Members[2].CutSilent())
	s.tells(events, "failed probe")
	t.Logf("told %v after the cut", time.Duration(faults.Now()-cut))
	i := s.is("hme2", "failed")
	require.Equal(t, []any{"up", "probe", "failed"}, []any{i.Link, i.Cause, i.Probe})
	require.NoError(t, s.Members[2].Repair())
	s.tells(events, "ok")
	require.Equal(t, before, s.own("hme2"))

	// Without an address its link is all there is.
	require.NoError(t, s.Host.DelAddr("hme2", ownAddress))
	s.wait("hme2 by its link", func() (bool, error) { return s.monitored("hme2").Probe == "disabled", nil })
	s.ownAddress()
	s.probed()

	require.NoError(t, s.Members[2].Delete())
	s.tells(events, "missing")
	require.NoError(t, s.Members[2].Recreate())
	s.is("hme2", "unknown")
	require.NoError(t, s.Host.Sysctl("ipv4/conf/hme2/arp_ignore", "1"))
	s.ownAddress()
	s.probed()
	require.NotEmpty(t, s.monitored("hme2").Attach)
	require.Len(t, s.programsAt("hme2", ebpf.AttachTCXIngress), 1)
	require.Empty(t, words(s.history()), "nothing of it is in the history")

	// Into the group, where it gets an address and sysctls; and out of it again.
	s.rested()
	free := s.own("hme2")
	s.reread(file(blueText([]int{0, 1, 2}, "10", "20", "30")), "changed: blue; gone: monitor hme2")
	s.wait("hme2 in the group", s.allOK)
	require.NotEqual(t, free, s.own("hme2"))
	s.news()
	s.reread(monitorFile([]int{0, 1}, "hme2: "), "changed: blue; new: monitor hme2")
	s.probed()
	require.Equal(t, free, s.own("hme2"))
	require.Len(t, s.programsAt("hme2", ebpf.AttachTCXIngress), 1)
	s.at("hme0", blue)

	// A daemon that starts again goes on watching, and what is left of one that is dead is released.
	require.NoError(t, s.daemon.Stop())
	require.NoError(t, s.daemon.Start())
	s.probed()
	require.NoError(t, s.daemon.Kill())
	s.release()
	require.Empty(t, s.programsAt("hme2", ebpf.AttachTCXIngress))
	require.Equal(t, free, s.own("hme2"))
}

// probed waits until hme2 answers its probes.
func (s *scene) probed() {
	s.t.Helper()
	s.wait("hme2 to be probed", func() (bool, error) {
		i, err := s.monitoredNow("hme2")
		return i.State == "ok" && i.Probe == "ok", err
	})
}
