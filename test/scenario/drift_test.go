// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/test/lab"
)

// programs of ours on a member, by where they hang.
func (s *scene) programs(name string, at ebpf.AttachType) []link.AttachedProgram {
	s.t.Helper()
	dev, err := s.Host.Link(name)
	require.NoError(s.t, err)
	var found *link.QueryResult
	require.NoError(s.t, s.InHost(func() error {
		found, err = link.QueryPrograms(link.QueryOptions{Target: dev.Attrs().Index, Attach: at})
		return err
	}))
	return found.Programs
}

// TestProgramsTakenOff by somebody else: they are put on again, and said. Without them no reply is
// seen: the address goes where replies are, and comes back.
func TestProgramsTakenOff(t *testing.T) {
	for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		t.Run(at.String(), func(t *testing.T) {
			s := stage(t, setup{})
			events := s.watch()
			is := s.programs("hme0", at)
			require.Len(t, is, 1)
			id, ok := is[0].LinkID()
			require.True(t, ok)
			l, err := link.NewFromID(id)
			require.NoError(t, err)
			require.NoError(t, l.Detach())
			require.NoError(t, l.Close())
			require.Empty(t, s.programs("hme0", at))
			s.Require(t, "the program on hme0 again", 2*patience, func() (bool, error) {
				is := s.programs("hme0", at)
				return len(is) == 1, nil
			})
			for e := range events {
				if e.Event == control.EventDriftRepaired {
					require.Equal(t, "hme0", e.Interface)
					break
				}
			}
			if at == ebpf.AttachTCXIngress {
				s.expect("failover hme0", "repair hme0", "failback hme0")
			}
			s.at("hme0", lab.Data)
			require.NoError(t, s.Members[0].CutSilent())
			s.expect("failover hme0")
			s.at("hme1", lab.Data)
		})
	}
}
