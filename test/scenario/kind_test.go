// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// TestLinkOnly: no test address, no probe; the carrier is all there is.
func TestLinkOnly(t *testing.T) {
	s := stage(t, setup{tests: noTests, group: []string{"probe: link", "hold-down: 0s"}})
	s.at("hme0", lab.Data)
	require.Zero(t, s.count(s.Members[0].Port, faults.From, faults.Echoes)-s.count(s.Members[0].Port, faults.To, faults.Echoes), "only answers")
	_, err := s.Members[0].CutCarrier()
	require.NoError(t, err)
	require.Equal(t, "link", s.expect("failover hme0")[0].Cause)
	s.at("hme1", lab.Data)
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")
	s.at("hme0", lab.Data)
}

// TestARPProbes: no test address, and the operator's word that the switch bears them.
func TestARPProbes(t *testing.T) {
	s := stage(t, setup{tests: noTests, group: []string{"probe: arp"}, detection: 20 * time.Millisecond})
	i, _ := s.status("hme0")
	require.Equal(t, "arp", i.ProbeKind)
	s.at("hme0", lab.Data)
	require.NoError(t, s.Members[0].CutSilent())
	e := s.expect("failover hme0")[0]
	require.Equal(t, "probe", e.Cause)
	s.at("hme1", lab.Data)
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")
	s.at("hme0", lab.Data)
}

// TestAutoProbesWithoutTestAddress are ARP at a rate that every switch tolerates, and still find a
// silent failure.
func TestAutoProbesWithoutTestAddress(t *testing.T) {
	s := stage(t, setup{tests: noTests})
	i, _ := s.status("hme0")
	require.Equal(t, "arp", i.ProbeKind)
	p := s.Members[1].Port // carries no data, whose neighbours would be asked for
	begin, from := faults.Now(), s.count(p, faults.From, faults.ARP(faults.Other))
	s.pass(3 * time.Second)
	sent, took := s.count(p, faults.From, faults.ARP(faults.Other))-from, time.Duration(faults.Now()-begin)
	require.LessOrEqual(t, float64(sent), 10*took.Seconds()+1)
	require.Greater(t, sent, uint64(5), "it is probed")

	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme1", lab.Data)
}
