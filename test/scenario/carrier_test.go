// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// TestCarrierLost: the second of two cuts within a second is the one that the kernel tells of late.
func TestCarrierLost(t *testing.T) {
	tap := lab.CableOptions{TAP: true}
	for name, cables := range map[string][]lab.CableOptions{"veth": nil, "TAP": {tap, tap, tap}} {
		t.Run(name, func(t *testing.T) {
			// Probes are slow here, so that only the carrier can be the cause; a TAP is pumped by
			// this process, which is not to be drowned.
			s := stage(t, setup{lab: lab.Options{Members: 3, Cables: cables}, detection: 100 * time.Millisecond})
			tr := s.trafficEvery(time.Millisecond)
			events := s.watchFrom(4)
			for range 2 {
				first, err := s.Members[0].CutCarrier()
				require.NoError(t, err)
				s.wait("the address on hme1", func() (bool, error) {
					is, err := s.where(lab.Data)
					return is == "hme1", err
				})
				second, err := s.Members[1].CutCarrier()
				require.NoError(t, err)
				t.Logf("the second %v after the first", time.Duration(second-first))
				for _, e := range s.expect("failover hme0", "failover hme1") {
					require.Equal(t, "link", e.Cause, e.Interface)
					require.Equal(t, "both", e.Family, e.Interface)
				}
				s.at("hme2", lab.Data)
				tr.flows(faults.Now())
				i, _ := s.status("hme0")
				require.Equal(t, "down", i.Link)

				require.NoError(t, s.Members[0].Repair())
				require.NoError(t, s.Members[1].Repair())
				s.expect("repair hme0", "repair hme1", "failback hme0")
				s.at("hme0", lab.Data)
				for e := s.told(events, control.EventInterfaceState); e.Interface != "hme0" || e.Detail != "failed link: link is up"; {
					e = s.told(events, control.EventInterfaceState)
				}
				tr.flows(faults.Now())
			}
			tr.finish()
		})
	}
}

// TestCarrierByLinkOnly: nothing is probed, so that only the carrier tells. Within the second after news of a link
// the kernel keeps those of the next cut to itself; and who is back loses nothing.
func TestCarrierByLinkOnly(t *testing.T) {
	long(t)
	s := stage(t, setup{detection: 10 * time.Second, atHome: "hme0", group: []string{"probe: link", "hold-down: 0s"}})
	// A NIC that is in no group, for the kernel's linkwatch: the same index at both ends.
	ip := func(args ...string) {
		t.Helper()
		out, err := exec.Command("ip", args...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	ip("-n", s.Host.Name, "link", "add", "other", "index", "901", "up", "type", "veth", "peer", "name", "other", "index", "901", "netns", s.Peer.Name)
	other := func(to string) { ip("-n", s.Peer.Name, "link", "set", "other", to) }
	other("up")
	tr := s.traffic()
	m := s.Members[0]

	pulled := func(what string) {
		t.Helper()
		at, err := m.CutCarrier()
		require.NoError(t, err)
		require.Equal(t, "link", s.expect("failover hme0")[0].Cause)
		s.at("hme1", lab.Data)
		tr.flows(faults.Now())
		in, out := tr.in.Gap(at, faults.Now()), tr.out.Gap(at, faults.Now())
		t.Logf("%s: nothing came in for %v, and out for %v", what, in.Longest, out.Longest)
		// The kernel's own message comes after 0.7 to 1 s, or at once where it is not held back.
		require.Less(t, max(in.Longest, out.Longest), 300*time.Millisecond, what)
	}
	plugged := func() (at int64) {
		t.Helper()
		at = faults.Now()
		require.NoError(t, m.Repair())
		// To ask the switch makes its kernel look at its port, where it would drop everything for up to a second.
		s.wait("the switch to use its port", m.Forwards)
		forwards := faults.Now()
		s.expect("repair hme0", "failback hme0")
		s.at("hme0", lab.Data)
		tr.flows(faults.Now())
		if forwards-at < int64(100*time.Millisecond) { // before 6.8 it makes it not
			tr.lossless(at)
		}
		return at
	}
	for range 2 {
		pulled("after a quiet while or another cut")
		at := plugged()
		pulled("just plugged in")
		at = plugged()
		s.wait("a second and a half", func() (bool, error) { return faults.Now() > at+int64(1500*time.Millisecond), nil })
		pulled("plugged in a second and a half before")
		at = plugged()
		s.wait("all news to be old", func() (bool, error) { return faults.Now() > at+int64(2500*time.Millisecond), nil })
		other("down")
		s.wait("news of another link", func() (bool, error) {
			link, err := s.Host.Link("other")
			return err == nil && link.Attrs().OperState != netlink.OperUp, err
		})
		pulled("another link changed just before")
		plugged()
		other("up")
	}
	tr.finish()
}
