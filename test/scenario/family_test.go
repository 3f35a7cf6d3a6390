// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

func dual() setup {
	return setup{
		targets: []netip.Addr{lab.Router, lab.Router6}, tests: dualTests,
		addresses: []netip.Prefix{data4, data6},
		group:     nil,
	}
}

// homes makes the first member the home of both addresses.
func (c setup) homes() setup {
	c.atHome = "hme0"
	return c
}

// TestIPv6Only: the peer follows an unsolicited neighbour advertisement.
func TestIPv6Only(t *testing.T) {
	s := stage(t, setup{
		targets: []netip.Addr{lab.Router6}, addresses: []netip.Prefix{data6},
		tests: func(i int) []netip.Addr { return []netip.Addr{lab.TestAddr6(i)} },
	})
	s.at("hme0", lab.Data6)
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme1", lab.Data6)
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")
	s.at("hme0", lab.Data6)
}

// TestFamiliesApart: what loses frames of one family moves that family.
func TestFamiliesApart(t *testing.T) {
	const ipv4, arp, ipv6 = 0x0800, 0x0806, 0x86dd
	for _, row := range []struct {
		family      string
		types       []uint16
		moves, stay netip.Addr
	}{
		{"ipv6", []uint16{ipv6}, lab.Data6, lab.Data},
		{"ipv4", []uint16{ipv4, arp}, lab.Data, lab.Data6},
	} {
		t.Run(row.family, func(t *testing.T) {
			s := stage(t, dual().homes())
			s.at("hme0", lab.Data, lab.Data6)
			var rules []faults.Rule
			for _, typ := range row.types {
				rules = append(rules, faults.Both(faults.Drop, faults.Ethertype(typ))...)
			}
			require.NoError(t, s.Members[0].Port.Set(rules...))
			e := s.expect("failover hme0")[0]
			require.Equal(t, row.family, e.Family)
			s.at("hme1", row.moves)
			s.at("hme0", row.stay)
			i, _ := s.status("hme0")
			require.Equal(t, "failed", i.Families[row.family].State)
			require.True(t, i.Active, "for the other family")

			require.NoError(t, s.Members[0].Repair())
			for _, e := range s.expect("repair hme0", "failback hme0") {
				require.Equal(t, row.family, e.Family, e.Kind)
			}
			s.at("hme0", lab.Data, lab.Data6)
		})
	}
}

// TestBothFamilies of a member that is cut move, each by its own verdict or by one for both.
func TestBothFamilies(t *testing.T) {
	for name, cut := range map[string]func(m *lab.Member) error{
		"silent":  (*lab.Member).CutSilent,
		"carrier": func(m *lab.Member) error { _, err := m.CutCarrier(); return err },
	} {
		t.Run(name, func(t *testing.T) {
			s := stage(t, dual().homes())
			require.NoError(t, cut(s.Members[0]))
			s.at("hme1", lab.Data, lab.Data6)
			moved := map[string]int{}
			for _, e := range s.settled("failover hme0") {
				for _, m := range e.Moved {
					moved[m.Address]++
				}
			}
			require.Equal(t, map[string]int{data4.String(): 1, data6.String(): 1}, moved)

			require.NoError(t, s.Members[0].Repair())
			s.at("hme0", lab.Data, lab.Data6)
			s.settled("repair hme0", "failback hme0")
		})
	}
}

// settled waits until no member of the group has failed in one family only, and takes entries of
// these kinds only: one for both families, or one each.
func (s *scene) settled(kinds ...string) []control.HistoryEntry {
	s.t.Helper()
	s.wait("both families in the history", func() (bool, error) {
		families := map[string]map[string]bool{}
		for _, e := range s.history() {
			word := e.Kind + " " + e.Interface
			require.Contains(s.t, kinds, word)
			if families[word] == nil {
				families[word] = map[string]bool{}
			}
			for _, f := range map[string][]string{"both": {"ipv4", "ipv6"}, "ipv4": {"ipv4"}, "ipv6": {"ipv6"}}[e.Family] {
				require.False(s.t, families[word][f], "%s twice for %s", word, f)
				families[word][f] = true
			}
		}
		for _, k := range kinds {
			if len(families[k]) != 2 {
				return false, nil
			}
		}
		return true, nil
	})
	return s.news()
}

// TestNoLinkLocalAddress to ask from on one member: it is not probed by IPv6, and all else is probed.
func TestNoLinkLocalAddress(t *testing.T) {
	c := dual().homes()
	c.tests, c.group, c.detection = noTests, []string{"probe: arp"}, 20*time.Millisecond
	c.prepare = func(_ *testing.T, s *scene) {
		s.ip("link", "set", "hme0", "addrgenmode", "none")
		s.ip("-6", "addr", "flush", "dev", "hme0", "scope", "link")
	}
	s := stage(t, c)
	i, _ := s.status("hme0")
	require.Equal(t, "disabled", i.Families["ipv6"].Probe)
	require.Equal(t, "ok", i.Families["ipv4"].Probe)
	require.NotContains(t, s.daemon.Tail(1000), "the plan for the prober is wrong")
	require.NoError(t, s.Members[0].CutSilent())
	s.at("hme1", lab.Data, lab.Data6)
	s.settled("failover hme0")
	require.NoError(t, s.Members[0].Repair())
	s.at("hme0", lab.Data, lab.Data6)
	s.settled("repair hme0", "failback hme0")
}
