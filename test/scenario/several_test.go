// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

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
