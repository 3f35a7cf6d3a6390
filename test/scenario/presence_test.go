// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
)

// TestInterfaceDeletedAndMadeAgain under the same name: its addresses live on another member, and it
// is a full member again when it is back.
func TestInterfaceDeletedAndMadeAgain(t *testing.T) {
	s := stage(t, setup{})
	m := s.Members[0]
	for range 4 { // link news and the interface's end race each other
		s.at("hme0", lab.Data)
		require.NoError(t, m.Delete())
		e := s.expect("failover hme0")[0]
		require.Contains(t, []string{"missing", "link"}, e.Cause, "the carrier goes a moment before the interface")
		s.at("hme1", lab.Data)
		s.state("hme0", "missing")

		require.NoError(t, m.Recreate())
		s.expect("repair hme0", "failback hme0")
		s.at("hme0", lab.Data)
		prefixes, err := s.Host.Addresses("hme0")
		require.NoError(t, err)
		require.Contains(t, prefixes, netip.PrefixFrom(lab.TestAddr(0), 24))
		i, _ := s.status("hme0")
		require.NotEmpty(t, i.Attach, "programs on the new interface")
	}

	// The new interface is judged like the old one.
	require.NoError(t, m.CutSilent())
	s.expect("failover hme0")
	s.at("hme1", lab.Data)
}

// TestMissingFromTheStart: the address lives on another member, and the interface joins.
func TestMissingFromTheStart(t *testing.T) {
	s := stage(t, setup{prepare: func(t *testing.T, s *scene) {
		require.NoError(t, s.Members[0].Delete())
	}})
	s.at("hme1", lab.Data)
	s.state("hme0", "missing")
	require.NoError(t, s.Members[0].Recreate())
	s.at("hme0", lab.Data)
	s.state("hme0", "ok")
	for _, e := range s.news() {
		require.Contains(t, []string{"repair", "failback"}, e.Kind)
		require.Equal(t, "hme0", e.Interface)
	}
}
