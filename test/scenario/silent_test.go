// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// TestSilentFailure: the link stays up, frames are lost. The address and an established TCP
// connection are on the other member, and come home without losing anything.
func TestSilentFailure(t *testing.T) {
	for _, row := range []struct {
		name   string
		rules  []faults.Rule
		detail string
	}{
		{"both ways", faults.Both(faults.Drop, faults.Any()), "both"},
		{"transmit only", []faults.Rule{faults.Drop(faults.From, faults.Any())}, "tx-path"},
		{"receive only", []faults.Rule{faults.Drop(faults.To, faults.Any())}, "both"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := stage(t, setup{})
			tr := s.traffic()
			s.at("hme0", lab.Data)

			cut := faults.Now()
			require.NoError(t, s.Members[0].Port.Set(row.rules...))
			e := s.expect("failover hme0")[0]
			require.Equal(t, "probe", e.Cause)
			require.Equal(t, row.detail, e.Detail)
			require.Equal(t, "hme1", e.Moved[0].To)
			s.at("hme1", lab.Data)
			tr.flows(faults.Now())
			i, g := s.status("hme0")
			require.Equal(t, "failed", i.State)
			require.Equal(t, "up", i.Link)
			require.Equal(t, "degraded", g.State)
			require.Less(t, cut, faults.Now())

			healed := faults.Now()
			require.NoError(t, s.Members[0].Port.Heal())
			s.expect("repair hme0", "failback hme0")
			s.at("hme0", lab.Data)
			tr.flows(faults.Now())
			tr.lossless(healed)
			tr.finish()
		})
	}
}

// TestChainedFailures: the second member dies before the first failover is over; then the last one
// does, which moves nothing; then one comes back.
func TestChainedFailures(t *testing.T) {
	s := stage(t, setup{lab: lab.Options{Members: 3}})
	require.NoError(t, s.Members[0].CutSilent())
	require.NoError(t, s.Members[1].CutSilent())
	s.expect("failover hme0", "failover hme1")
	s.at("hme2", lab.Data)

	cut := time.Now()
	require.NoError(t, s.Members[2].CutSilent())
	e := s.expect("group-failure")[0]
	require.Empty(t, e.Moved)
	require.GreaterOrEqual(t, time.Since(cut), 1900*time.Millisecond, "a group fails after max(3 x detection-time, 2 s)")
	is, err := s.where(lab.Data)
	require.NoError(t, err)
	require.Equal(t, "hme2", is, "nothing moves")
	_, g := s.status("hme2")
	require.Equal(t, "failed", g.State)

	require.NoError(t, s.Members[1].Repair())
	s.at("hme1", lab.Data)
	back := s.news()
	require.Contains(t, words(back), "group-repair hme1")
	require.NotContains(t, words(back), "failover hme2", "it failed with its group")
}
