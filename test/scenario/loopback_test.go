// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"net/netip"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
	"github.com/ipmpd/ipmpd/test/lab/flow"
)

// TestAddressOnLoopback: addresses on the host's lo that a peer reaches through a member, by a route to
// the data address or by asking for it on the LAN, answer before, during and after a failover.
func TestAddressOnLoopback(t *testing.T) {
	routed, onLink := netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("192.0.2.50")
	s := stage(t, setup{prepare: func(t *testing.T, s *scene) {
		s.ip("addr", "add", "203.0.113.5/32", "dev", "lo")
		s.ip("addr", "add", "192.0.2.50/32", "dev", "lo")
		out, err := exec.Command("ip", "-n", s.Peer.Name, "route", "add", "203.0.113.5", "via", "192.0.2.10").CombinedOutput()
		require.NoError(t, err, "%s", out)
	}})
	ask := func(a netip.Addr) {
		t.Helper()
		out, err := exec.Command("ip", "-n", s.Peer.Name, "neigh", "flush", "to", "192.0.2.50", "dev", "eth0").CombinedOutput()
		require.NoError(t, err, "%s", out)
		s.reached(a)
	}
	ask(onLink)
	s.reached(routed)
	flows, err := flow.Start(
		flow.Spec{Name: "in", From: s.Peer, To: s.Host, Source: lab.Peer, Destination: routed},
		flow.Spec{Name: "out", From: s.Host, To: s.Peer, Source: routed, Destination: lab.Peer},
		flow.Spec{Name: "reference", From: s.Peer, To: s.Router, Source: lab.Peer, Destination: lab.Router})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, flows.Close()) })
	tr := &traffic{s: s, in: flows.Flows[0], out: flows.Flows[1], reference: flows.Flows[2]}
	arrive := func() {
		t.Helper()
		since := faults.Now()
		s.wait("traffic both ways", func() (bool, error) {
			return tr.in.ArrivedSince(since) > 200 && tr.out.ArrivedSince(since) > 200, nil
		})
	}
	arrive()
	for name, cut := range map[string]func() error{
		"silent":  s.Members[0].CutSilent,
		"carrier": func() error { _, err := s.Members[0].CutCarrier(); return err },
	} {
		before := faults.Now()
		require.NoError(t, cut())
		arrive() // as soon as it is decided
		s.expect("failover hme0")
		s.at("hme1", lab.Data)
		over := faults.Now()
		ask(onLink)
		s.reached(routed)
		arrive()
		tr.lossless(over)
		require.NoError(t, s.Members[0].Repair())
		s.expect("repair hme0", "failback hme0")
		s.at("hme0", lab.Data)
		ask(onLink)
		arrive()
		tr.lossless(over)
		t.Logf("%s: longest gaps until the address had moved: in %v, out %v", name,
			tr.in.Gap(before, over).Longest, tr.out.Gap(before, over).Longest)
	}
}
