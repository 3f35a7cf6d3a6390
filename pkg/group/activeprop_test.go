// SPDX-License-Identifier: Apache-2.0

package group

import (
	"math/bits"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestActiveMembersAreThoseThatShouldBe: who is lost is replaced while somebody is there who can, and while
// fewer than N are active; nobody is called beyond N; without failback a repaired member carries nothing,
// unless nobody else does; a standby joins only where one is missing.
func TestActiveMembersAreThoseThatShouldBe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		drawHistory(t, often, func(s *step) {
			for f := range Families {
				s.replaces(t, f)
				s.joins(t, f)
			}
		})
	})
}

func (s *step) replaces(t *rapid.T, f int) {
	after, usable := s.after.Active[f], s.after.Usable[f]
	least := min(bits.OnesCount32(s.wasActive[f]), s.normal(), bits.OnesCount32(usable))
	require.GreaterOrEqual(t, bits.OnesCount32(after), least, "%+v: too few are active; before %+v, after %+v", s.event, s.before, s.after)
	called := after & s.before.Usable[f] &^ s.before.Active[f]
	if s.event != nil && called != 0 {
		stay := bits.OnesCount32(after & s.before.Usable[f])
		require.LessOrEqual(t, stay, max(s.normal(), 1), "%+v: %b are called; before %+v, after %+v", s.event, called, s.before, s.after)
	}
}

func (s *step) joins(t *rapid.T, f int) {
	for i := range each(s.after.Active[f] &^ s.before.Usable[f] & s.seen[f]) {
		others := bits.OnesCount32(s.after.Active[f] &^ bit(i))
		switch {
		case s.cfg.Members[i].Standby:
			require.True(t, others == 0 || others < s.normal(), "%+v: standby %d joins; before %+v, after %+v", s.event, i, s.before, s.after)
		case !s.cfg.Failback && !isReturn(s.event) && !(s.event == nil && s.returned[i]):
			require.True(t, others < s.normal() && s.wasActive[f] != s.before.Active[f]&s.after.Usable[f] || others == 0,
				"%+v: %d is active without failback; before %+v, after %+v", s.event, i, s.before, s.after)
		}
	}
}

// TestOfflineAndOnlineIsARoundTrip: of a group in which all is good, each member can be taken out and put
// back, whatever failback says, and then everything is where it was.
func TestOfflineAndOnlineIsARoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := genConfig(t)
		there := MemberStart{Exists: true, Link: LinkUp, Health: [Families]Health{OK, OK}}
		g, _ := New(cfg, 0, Start{Members: slices.Repeat([]MemberStart{there}, len(cfg.Members))})
		i := rapid.IntRange(0, len(cfg.Members)-1).Draw(t, "member")
		for _, pair := range [][]Event{{Offline{i, true}, Online{i}}, {Suspended{i, "twin"}, Suspended{i, ""}}} {
			before := g.Placement()
			g.Step(1, pair[0])
			require.Zero(t, g.Usable(Both)&bit(i))
			g.Step(1, pair[1])
			after := g.Placement()
			for a, at := range after.Owners {
				if cfg.Addresses[a].Home >= 0 {
					require.Equal(t, before.Owners[a], at, "address %d, member %d", a, i)
				}
			}
			require.Equal(t, before.Usable, after.Usable)
			if g.normal > 0 {
				require.Equal(t, before.Active, after.Active)
			}
		}
	})
}
