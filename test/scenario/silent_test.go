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
		attach string
		lab    lab.Options
	}{
		{"both ways", faults.Both(faults.Drop, faults.Any()), "both", "tcx", lab.Options{}},
		{"transmit only", []faults.Rule{faults.Drop(faults.From, faults.Any())}, "tx-path", "auto", lab.Options{}},
		{"receive only", []faults.Rule{faults.Drop(faults.To, faults.Any())}, "both", "auto", lab.Options{}},
		{"both ways, XDP", faults.Both(faults.Drop, faults.Any()), "both", "xdp", lab.Options{}},
		{"both ways, two switches", faults.Both(faults.Drop, faults.Any()), "both", "auto", lab.Options{SecondSwitch: 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.attach == "tcx" {
				needsTCX(t)
			}
			s := stage(t, setup{lab: row.lab, group: []string{"attach: " + row.attach}})
			tr := s.traffic()
			s.at("hme0", lab.Data)
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
			if row.attach != "auto" {
				require.Equal(t, row.attach, i.Attach)
			}

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
	s.expect("group-repair hme1", "repair hme1") // hme2 failed with its group
	s.at("hme1", lab.Data)
}
