// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// TestOffline moves everything without losing a packet, and back. Of ten moves one is let off: about
// one in 400 loses a few packets here, while the flow that nothing cuts loses none (docs/benchmark.md).
func TestOffline(t *testing.T) {
	s := stage(t, setup{})
	tr := s.traffic()
	s.at("hme0", lab.Data)
	var lost []string
	judge := func(from int64) {
		t.Helper()
		if l := tr.loses(from); l != "" {
			t.Log(l)
			lost = append(lost, l)
		}
	}
	for range 5 {
		from := faults.Now()
		s.run("offline", "hme0")
		s.run("offline", "hme0")
		s.expect("offline hme0")
		s.at("hme1", lab.Data)
		s.state("hme0", "offline")
		tr.flows(faults.Now())
		judge(from)

		from = faults.Now()
		s.run("online", "hme0")
		s.run("online", "hme0")
		h := s.expect("online hme0", "failback hme0")
		require.NotEmpty(t, h)
		s.at("hme0", lab.Data)
		tr.flows(faults.Now())
		judge(from)
	}
	require.Empty(t, lost, "moves that lost something")
	tr.finish()
}

// TestOfflinePausesProbes: the test address stays, nothing is sent from it.
func TestOfflinePausesProbes(t *testing.T) {
	s := stage(t, setup{})
	s.run("offline", "hme0")
	s.expect("offline hme0")
	p := s.Members[0].Port
	s.wait("the probes to end", func() (bool, error) {
		before := s.count(p, faults.From, faults.Echoes)
		s.pass(50e6)
		return s.count(p, faults.From, faults.Echoes) == before, nil
	})
	s.reached(lab.TestAddr(0))
	s.run("online", "hme0")
	s.expect("online hme0", "failback hme0")
}

// TestOfflineOfTheLastUsableMember is refused, unless forced.
func TestOfflineOfTheLastUsableMember(t *testing.T) {
	s := stage(t, setup{})
	require.NoError(t, s.Members[1].CutSilent())
	s.expect("failover hme1")
	_, err := s.daemon.Run(s.context(), "offline", "hme0")
	require.ErrorContains(t, err, "exit status 1")
	require.ErrorContains(t, err, "--force")
	s.at("hme0", lab.Data)
	s.run("offline", "hme0", "--force")
	s.state("hme0", "offline")
	s.run("online", "hme0")
	s.at("hme0", lab.Data)
	require.Equal(t, "offline hme0", words(s.news())[0])
}
