// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
	"github.com/ipmpd/ipmpd/test/lab/flow"
)

// TestAddressesAreSpread over the members; a failure moves those of the failed one, and the others
// do not notice.
func TestAddressesAreSpread(t *testing.T) {
	other := netip.MustParseAddr("192.0.2.20")
	s := stage(t, setup{addresses: []netip.Prefix{data4, netip.PrefixFrom(other, 24)}})
	s.at("hme0", lab.Data)
	s.at("hme1", other)
	flows, err := flow.Start(
		flow.Spec{Name: "in", From: s.Peer, To: s.Host, Source: lab.Peer, Destination: other},
		flow.Spec{Name: "reference", From: s.Peer, To: s.Router, Source: lab.Peer, Destination: lab.Router})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, flows.Close()) })
	in, reference := flows.Flows[0], flows.Flows[1]
	arrives := func(since int64) {
		t.Helper()
		s.wait("traffic to the other address", func() (bool, error) { return in.ArrivedSince(since) > 500, nil })
	}
	arrives(0)
	from := faults.Now()
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme1", lab.Data, other)
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")
	s.at("hme0", lab.Data)
	s.at("hme1", other)
	arrives(faults.Now())
	to := faults.Now()
	arrives(to)
	if reference.Gap(from, to).Lost == 0 {
		require.Zero(t, in.Gap(from, to).Lost, "of traffic to an address that did not move")
	}
}

// twoGroups have two members each, in subnets of their own.
const twoGroups = `groups:
  blue:
    detection-time: 1ms
    duplicate-check: false
    targets: [192.0.2.1]
    interfaces: {hme0: {test: [192.0.2.11/24]}, hme1: {test: [192.0.2.12/24]}}
    addresses: [192.0.2.10/24]
  red:
    detection-time: 2ms
    duplicate-check: false
    targets: [192.0.3.1]
    interfaces: {hme2: {test: [192.0.3.13/24]}, hme3: {test: [192.0.3.14/24]}}
    addresses: [192.0.3.10/24]
`

// TestTwoGroups of one daemon do not touch each other.
func TestTwoGroups(t *testing.T) {
	second := netip.MustParseAddr("192.0.3.10")
	s := stage(t, setup{
		lab:    lab.Options{Members: 4},
		config: twoGroups,
		prepare: func(t *testing.T, s *scene) {
			require.NoError(t, s.Router.AddAddr("eth0", "192.0.3.1/24"))
			require.NoError(t, s.Peer.AddAddr("eth0", "192.0.3.100/24"))
		},
		ready: func(s *scene) (bool, error) {
			st, err := s.daemon.Status()
			if err != nil || len(st.Groups) != 2 {
				return false, err
			}
			for _, g := range st.Groups {
				for _, i := range g.Interfaces {
					if i.State != "ok" {
						return false, nil
					}
				}
			}
			return true, nil
		},
	})
	s.at("hme0", lab.Data)
	s.at("hme2", second)
	require.NoError(t, s.Members[2].CutSilent())
	require.Equal(t, "red", s.expect("failover hme2")[0].Group)
	s.at("hme3", second)
	s.at("hme0", lab.Data)
	_, err := s.Members[0].CutCarrier()
	require.NoError(t, err)
	require.Equal(t, "blue", s.expect("failover hme0")[0].Group)
	s.at("hme1", lab.Data)
	s.at("hme3", second)
	require.NoError(t, s.Members[2].Repair())
	s.expect("repair hme2", "failback hme2")
	s.at("hme2", second)
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")
	s.at("hme0", lab.Data)
}

// TestSecondFailureWaitsForNobody: two of three members fail, the second while the addresses of the first are
// still to be moved to it. The peer sends to the third, and is answered, before that move is done; in the
// end everything is there.
func TestSecondFailureWaitsForNobody(t *testing.T) {
	long(t)
	binary, fault := faulty(t)
	for name, row := range map[string]struct {
		cut   func(m *lab.Member) error
		setup setup
	}{
		// Of one family: the other one's verdict would come before or after the pause.
		"silent": {(*lab.Member).CutSilent, setup{addresses: []netip.Prefix{data4}}},
		"carrier": {func(m *lab.Member) error { _, err := m.CutCarrier(); return err }, setup{addresses: []netip.Prefix{data4, data6},
			tests: dualTests, targets: []netip.Addr{lab.Router, lab.Router6}}},
	} {
		t.Run(name, func(t *testing.T) {
			row.setup.lab, row.setup.atHome, row.setup.binary = lab.Options{Members: 3}, "hme0", binary
			s := stage(t, row.setup)
			var moving []netip.Addr
			for _, p := range row.setup.addresses {
				moving = append(moving, p.Addr())
			}
			s.at("hme0", moving...)
			fault.armAt("pause", 1, addr.AddAddress.String())
			require.NoError(t, row.cut(s.Members[0]))
			s.wait("the move to begin", func() (bool, error) { return fault.paused(), nil })
			require.NoError(t, row.cut(s.Members[1]))
			for _, a := range moving {
				s.wait(fmt.Sprintf("the peer to send to hme2 for %s", a), func() (bool, error) {
					mac, err := s.Peer.Neighbour("eth0", a)
					return err == nil && mac.String() == s.member("hme2").MAC().String(), err
				})
				s.reached(a)
			}
			require.True(t, fault.paused(), "the first move came in between")
			fault.disarm()
			fault.goOn()
			s.at("hme2", moving...)
			s.wait("both to have failed", func() (bool, error) {
				_, g := s.status("hme0")
				return g.Interfaces[0].State == "failed" && g.Interfaces[1].State == "failed", nil
			})
			s.news()
			require.NoError(t, s.Members[0].Repair())
			require.NoError(t, s.Members[1].Repair())
			s.at("hme0", moving...)
			s.wait("all to answer", s.allOK)
			s.news()
		})
	}
}
