// SPDX-License-Identifier: Apache-2.0

package group

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestView: what status shows, where the tables' short form does not.
func TestView(t *testing.T) {
	s, _ := newScript(t, "A B S4+ a1@A x1@A")
	for i, text := range []string{"A ok", "B ok", "S.4 ok", "A.6 failed probe tx-path", "B failed link carrier"} {
		s.g.Step(time.Duration(i+1)*time.Second, s.event(text))
	}
	v := s.g.View()
	require.Equal(t, View{
		Name: "g", State: GroupDegraded,
		Members: []MemberView{
			{Name: "A", State: StateFailed, Active: true, Usable: true, Link: LinkUp, Cause: CauseProbe, Detail: "tx-path",
				Since: 4 * time.Second, Families: [2]FamilyView{
					{State: StateOK, Active: true, Usable: true, Health: OK, Probed: true},
					{State: StateFailed, Health: Failed, Probed: true}}},
			// The probes have not said that it failed, the link has (spec 10, item 19).
			{Name: "B", State: StateFailed, Link: LinkUp, Cause: CauseLink, Detail: "carrier",
				Since: 5 * time.Second, Families: [2]FamilyView{
					{State: StateFailed, Health: Unknown, Probed: true},
					{State: StateFailed, Health: Unknown, Probed: true}}},
			{Name: "S", Standby: true, State: StateOK, Active: true, Usable: true, Link: LinkUp,
				Since: 3 * time.Second, Families: [2]FamilyView{
					{State: StateOK, Active: true, Usable: true, Health: OK, Probed: true},
					{State: StateOK, Active: true, Usable: true, Health: OK}}},
		},
		Addresses: []AddressView{{Owner: 0, Up: true}, {Owner: 2, Up: true}},
	}, v)
	require.Equal(t, uint32(0b101), s.g.Usable(IPv4))
	require.Equal(t, uint32(0b100), s.g.Active(IPv6))
	require.Equal(t, uint32(0b101), s.g.Active(Both))
}

// TestUp: an address is up on a usable member, and on one with link while the group has not failed
// (contract section 1), even if nobody can carry its family.
func TestUp(t *testing.T) {
	s, _ := newScript(t, "A B a1@A x1@B")
	up := func(events ...string) []bool {
		for _, text := range events {
			s.g.Step(0, s.event(text))
		}
		return []bool{s.g.View().Addresses[0].Up, s.g.View().Addresses[1].Up}
	}
	require.Equal(t, []bool{true, true}, up("A ok", "B ok"))
	require.Equal(t, []bool{true, true}, up("A.4 failed probe", "B.4 failed probe"), "on B with link")
	require.Equal(t, []bool{true, true}, up("A link down"), "still on B")
	require.Equal(t, []bool{false, false}, up("B.6 failed probe"), "the group has failed")
	require.Equal(t, []bool{true, true}, up("B.6 ok"))
	require.Equal(t, []bool{false, true}, up("A link up", "A.6 ok", "B link down"), "IPv4 still on B, which has no link")
}

// TestSince: the time is that of the worse family's state, not of every event.
func TestSince(t *testing.T) {
	s, _ := newScript(t, "A B")
	since := func(now time.Duration, text string) time.Duration {
		s.g.Step(now, s.event(text))
		return s.g.View().Members[0].Since
	}
	require.EqualValues(t, 1, since(1, "A ok"))
	require.EqualValues(t, 2, since(2, "A.4 failed probe"))
	require.EqualValues(t, 2, since(3, "A.6 failed probe"))
	require.EqualValues(t, 2, since(4, "A link down"))
	require.EqualValues(t, 5, since(5, "A gone"))
}

// TestNobody: what is out of range is nobody's, and more members than a mask has bits are none.
func TestNobody(t *testing.T) {
	s, _ := newScript(t, "A B a1@A")
	for _, i := range []int{-1, 1, math.MaxInt} {
		require.Equal(t, -1, s.g.Owner(i))
	}
	require.Equal(t, 0, s.g.Owner(0))
	require.Nil(t, s.g.Survivors(2, IPv4))
	require.Nil(t, s.g.Survivors(0, Both))
	require.Equal(t, []int{1}, s.g.Survivors(0, IPv6))
	require.Equal(t, s.g.Placement(), s.g.Contingency(-1, IPv4))

	g, _ := New(Config{Members: make([]MemberConfig, 40), Addresses: make([]AddressConfig, 1)}, 0, Start{})
	require.Len(t, g.View().Members, MaxMembers)
	for i := range 40 {
		g.Step(0, PresenceChanged{i, true})
		g.Step(0, HealthChanged{Member: i, Family: Both, Health: OK})
	}
	require.Equal(t, uint32(math.MaxUint32), g.Usable(IPv4))
	require.Equal(t, GroupOK, g.View().State)
}

// TestSurvivors order: active by fewest addresses, standbys as they would be called, then those
// that only have link, but not the operator's.
func TestSurvivorOrder(t *testing.T) {
	s, _ := newScript(t, "A B S+ T+ C D E! F/ G a1@A a2@B a3@B a4@C a5@D")
	for _, text := range []string{"A ok", "B ok", "S ok", "T ok", "C ok", "F link up", "F failed probe", "G failed probe", "G link down"} {
		s.g.Step(0, s.event(text))
	}
	// N = 7; D has no verdict; S and T stand in.
	require.Equal(t, "A ok* B ok* S ok* T ok* C ok* D unknown* E offline F failed G failed a1@A a2@B a3@B a4@C a5@D degraded", s.state())
	require.Equal(t, []int{2, 3, 4, 1, 5, 7}, s.g.Survivors(0, IPv4))

	s, _ = newScript(t, "C B T+ S+ a1@B nofailback")
	for _, text := range []string{"C ok", "B ok", "T ok", "S ok", "C failed probe", "C ok"} {
		s.g.Step(0, s.event(text))
	}
	require.Equal(t, "C ok B ok* T ok* S ok a1@B ok", s.state())
	require.Equal(t, []int{2, 3, 0}, s.g.Survivors(1, IPv4), "a standby is called before an inactive member")
}

// TestWords are those of the contract's JSON.
func TestWords(t *testing.T) {
	words := func(n int, of func(int) string) (all []string) {
		for i := range n {
			all = append(all, of(i))
		}
		return all
	}
	require.Equal(t, []string{"ipv4", "ipv6", "both", "?"}, words(4, func(i int) string { return Family(i).String() }))
	require.Equal(t, []string{"unknown", "ok", "failed"}, words(3, func(i int) string { return Health(i).String() }))
	require.Equal(t, []string{"unknown", "up", "down"}, words(3, func(i int) string { return Link(i).String() }))
	require.Equal(t, []string{"unknown", "ok", "failed", "offline", "missing"}, words(5, func(i int) string { return State(i).String() }))
	require.Equal(t, []string{"ok", "degraded", "failed"}, words(3, func(i int) string { return GroupState(i).String() }))
	require.Equal(t, []string{"", "probe", "link", "admin", "missing"}, words(5, func(i int) string { return Cause(i).String() }))
	require.Equal(t, []string{"failover", "failback", "offline", "online", "repair", "group-failure", "group-repair"},
		words(7, func(i int) string { return Kind(i).String() }))
	require.Equal(t, []string{"start", "unusable", "home", "not-needed"}, words(4, func(i int) string { return Why(i).String() }))
	require.Equal(t, IPv4, FamilyOf(netip.MustParsePrefix("192.0.2.10/24")))
	require.Equal(t, IPv6, FamilyOf(netip.MustParsePrefix("2001:db8::1/64")))
}
