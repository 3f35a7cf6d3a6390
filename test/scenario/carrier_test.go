// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
