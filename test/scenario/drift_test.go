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

// programsAt one hook of a member.
func (s *scene) programsAt(name string, at ebpf.AttachType) []link.AttachedProgram {
	s.t.Helper()
	list, err := s.programsNow(name, at)
	require.NoError(s.t, err)
	return list
}

// programsNow may fail where they change while they are listed.
func (s *scene) programsNow(name string, at ebpf.AttachType) (list []link.AttachedProgram, err error) {
	dev, err := s.Host.Link(name)
	if err != nil {
		return nil, err
	}
	err = s.InHost(func() error {
		found, err := link.QueryPrograms(link.QueryOptions{Target: dev.Attrs().Index, Attach: at})
		if err == nil {
			list = found.Programs
		}
		return err
	})
	return list, err
}

// TestProgramsTakenOff by somebody else: they are put on again, and said. Without them no reply is
// seen: the address goes where replies are, and comes back.
func TestProgramsTakenOff(t *testing.T) {
	for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		t.Run(at.String(), func(t *testing.T) {
			s := stage(t, setup{})
			events := s.watch()
			is := s.programsAt("hme0", at)
			require.Len(t, is, 1)
			id, ok := is[0].LinkID()
			require.True(t, ok)
			l, err := link.NewFromID(id)
			require.NoError(t, err)
			require.NoError(t, l.Detach())
			require.NoError(t, l.Close())
			if at == ebpf.AttachTCXEgress {
				// Nobody tells of it: it is looked for when it is needed, and every ten seconds.
				require.NoError(t, s.Members[0].CutSilent())
			}
			s.wait("the program on hme0 again", func() (bool, error) {
				is, err := s.programsNow("hme0", at)
				if err != nil || len(is) != 1 {
					return false, err
				}
				again, _ := is[0].LinkID()
				return again != id, nil
			})
			for e := range events {
				if e.Event == control.EventDriftRepaired {
					require.Equal(t, "hme0", e.Interface)
					break
				}
			}
			if at == ebpf.AttachTCXEgress {
				s.expect("failover hme0")
				s.at("hme1", lab.Data)
				require.NoError(t, s.Members[0].Repair())
				s.expect("repair hme0", "failback hme0")
			} else {
				s.expect("failover hme0", "repair hme0", "failback hme0")
			}
			s.at("hme0", lab.Data)
			require.NoError(t, s.Members[0].CutSilent())
			s.expect("failover hme0")
			s.at("hme1", lab.Data)
		})
	}
}
