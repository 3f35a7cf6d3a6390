// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// TestStandby: it carries nothing while the others do, takes over, and is released.
func TestStandby(t *testing.T) {
	s := stage(t, setup{standby: "hme1"})
	tr := s.traffic()
	unused := func() {
		t.Helper()
		i, _ := s.status("hme1")
		require.True(t, i.Standby)
		require.False(t, i.Active)
		s.at("hme0", lab.Data)
		sent := s.count(s.Members[1].Port, faults.From, faults.IP(faults.Data))
		tr.flows(faults.Now())
		require.Equal(t, sent, s.count(s.Members[1].Port, faults.From, faults.IP(faults.Data)), "data over the standby")
	}
	unused()
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme1", lab.Data)
	tr.flows(faults.Now())
	i, _ := s.status("hme1")
	require.True(t, i.Active)

	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")
	unused()
	tr.finish()
}

// TestNoFailback: the address stays where it is, until the operator or a failure moves it.
func TestNoFailback(t *testing.T) {
	s := stage(t, setup{group: []string{"failback: false"}})
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme1", lab.Data)
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0")
	s.state("hme0", "ok")
	i, g := s.status("hme0")
	require.False(t, i.Active)
	require.False(t, g.Failback)
	s.at("hme1", lab.Data)
	require.NoError(t, s.daemon.Stop())
	require.NoError(t, s.daemon.Start())
	s.wait("the daemon to be ready", s.ready)
	s.at("hme1", lab.Data)

	require.NoError(t, s.Members[1].CutSilent())
	s.expect("failover hme1")
	s.at("hme0", lab.Data)
}
