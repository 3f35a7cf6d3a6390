// SPDX-License-Identifier: Apache-2.0

package detect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Link loss takes both families in one finding; the repair of each is its own. A family without
// probes follows the other (contract section 1).
func TestFamilies(t *testing.T) {
	h := newHost(t, 2, nil)
	v6 := Sample{Member: 1, Family: IPv6, Kind: KindICMP, Link: LinkUp, Targets: 1, Answered: 50, LastReply: 5}
	h.samples = append(h.samples, v6, Sample{Member: 0, Family: IPv6, Kind: KindNone, Link: LinkUp})
	h.run(100*time.Millisecond, 0, 1)
	require.Equal(t, []string{"answering 0 both ", "answering 1 ipv4 ", "answering 1 ipv6 "}, h.took())
	require.Equal(t, "single target", h.tracker.Note(1, IPv6))
	s, _, _ := h.tracker.State(0, IPv6)
	require.Equal(t, OK, s)

	require.Len(t, h.tracker.Link(h.now, 1, false), 1)
	require.Empty(t, h.tracker.Link(h.now, 1, false))
	require.False(t, h.tracker.Usable(1, IPv6))
	h.tracker.Link(h.now, 1, true)
	h.run(99*time.Millisecond, 0, 1)
	require.Empty(t, h.took(), "100 ms since carrier up")
	h.run(time.Millisecond, 0, 1)
	require.Equal(t, []string{"repaired 1 ipv4 ", "repaired 1 ipv6 "}, h.took())

	h.tracker.Verdict(h.now, 1, IPv4, false)
	require.False(t, h.tracker.Usable(1, IPv4))
	require.True(t, h.tracker.Usable(1, IPv6), "IPv4 alone has failed")
	h.tracker.Verdict(h.now, 0, IPv4, true)
	require.False(t, h.tracker.Usable(0, IPv6))
}

// TestMeet: what happens to a link before the first Observe is not forgotten, or the member would be failed for ever.
func TestMeet(t *testing.T) {
	tracker := NewTracker(Settings{DetectionTime: time.Millisecond, Misses: 3})
	sample := func(link Link) Sample { return Sample{Member: 3, Kind: KindLink, Link: link} }
	require.Empty(t, tracker.Link(1, 3, false), "nothing that it could be recorded for")
	tracker.Meet(1, sample(LinkUp))
	require.Len(t, tracker.Link(2, 3, false), 1)
	tracker.Meet(2, sample(LinkUp))
	require.Empty(t, tracker.Link(2, 3, false), "it is known, and down")
	tracker.Link(3, 3, true)
	var repaired []Finding
	for now := int64(3); now < int64(time.Second); now += int64(10 * time.Millisecond) {
		for _, f := range tracker.Observe(now, []Sample{sample(LinkUp)}) {
			if f.Kind == FindRepaired {
				repaired = append(repaired, f)
			}
		}
	}
	require.Len(t, repaired, 1)
}

// probe: link, and no targets: unknown with link is usable; hold-down and 100 ms after carrier up.
func TestLinkOnly(t *testing.T) {
	for _, row := range []struct {
		kind    Kind
		targets int
		state   State
	}{{KindLink, 0, Disabled}, {KindICMP, 0, Unknown}, {KindNone, 0, Unknown}} {
		t.Run(row.kind.String(), func(t *testing.T) {
			h := newHost(t, 2, func(s *Settings) { s.HoldDown = 5 * time.Second })
			for i := range h.samples {
				h.samples[i].Kind, h.samples[i].Targets = row.kind, row.targets
			}
			h.run(time.Minute)
			require.Empty(t, h.took(), "silence says nothing")
			require.Equal(t, row.state, h.state(0))
			require.True(t, h.tracker.Usable(0, IPv4))
			h.samples[0].Link = LinkDown
			h.run(time.Millisecond)
			require.Equal(t, []string{"failed 0 both linkcarrier"}, h.took())
			h.samples[0].Link = LinkUp
			h.run(4999 * time.Millisecond)
			require.Empty(t, h.took())
			h.run(2 * time.Millisecond)
			require.Equal(t, []string{"repaired 0 both "}, h.took())
			require.Equal(t, row.state, h.state(0))
		})
	}
}

// A member whose targets never answered anyone is not kept out by rounds that never come.
func TestLinkFlapWithoutAnswers(t *testing.T) {
	h := newHost(t, 2, nil)
	h.run(time.Millisecond)
	h.samples[0].Link = LinkDown
	h.run(time.Millisecond)
	h.samples[0].Link = LinkUp
	h.run(time.Second)
	require.Equal(t, []string{"failed 0 both linkcarrier", "repaired 0 both "}, h.took())
}

// Its carrier is back, but the way behind it is not, as a switch port takes its time to forward. That the
// prober counts from 0 again does not mean that nobody ever answered.
func TestLinkFlapCountsAnew(t *testing.T) {
	h := newHost(t, 2, nil)
	h.run(100*time.Millisecond, 0, 1)
	h.took()
	h.samples[0].Link = LinkDown
	h.run(time.Millisecond, 1)
	h.samples[0].Link = LinkUp
	h.samples[0].Answered, h.samples[0].LastReply, h.samples[0].Streak, h.samples[0].Answering = 0, 0, 0, 0
	h.run(0)
	require.Equal(t, []string{"failed 0 both linkcarrier"}, h.took())
	for range 10 {
		h.samples[0].Answered = 0 // not judged by what its sibling answers
		h.run(100 * time.Millisecond)
	}
	require.Empty(t, h.took(), "it has not answered since")
	h.run(200*time.Millisecond, 0, 1)
	require.Equal(t, []string{"repaired 0 both "}, h.took())
}

// A family whose target is found while the member has failed waits for the other one's word.
func TestFamilyHasATargetLater(t *testing.T) {
	h := newHost(t, 2, nil)
	for m := range 2 {
		h.samples = append(h.samples, Sample{Member: m, Family: IPv6, Kind: KindICMP, Link: LinkUp})
	}
	h.run(100*time.Millisecond, 0, 1)
	h.took()
	h.tracker.Verdict(h.now, 0, IPv4, true)
	require.False(t, h.tracker.Usable(0, IPv6), "it follows")
	h.run(10*time.Millisecond, 1)
	for i := range h.samples {
		h.samples[i].Targets = 1
	}
	h.run(300 * time.Millisecond) // its first round is not over yet
	require.False(t, h.tracker.Usable(0, IPv6))
	h.took()
	h.run(300*time.Millisecond, 0, 1)
	require.True(t, h.tracker.Usable(0, IPv6))
	require.True(t, h.tracker.Usable(0, IPv4))
}

// Spec section 1.3: the last target of a failed member goes; it stays failed, as nothing shows that it
// is good again. One that is good has nothing to be judged by then: unknown, and usable by its link.
func TestTargetsGone(t *testing.T) {
	h := newHost(t, 2, nil)
	h.run(100*time.Millisecond, 0, 1)
	h.tracker.Verdict(h.now, 1, IPv4, true)
	h.took()
	targets := func(n int) {
		for i := range h.samples {
			h.samples[i].Targets = n
		}
	}
	targets(0)
	h.run(time.Second)
	require.Empty(t, h.took(), "a reload may leave it without a target for a moment")
	h.run(time.Second + time.Millisecond)
	require.Equal(t, []string{"unknown 0 both "}, h.took())
	h.run(time.Minute)
	require.Empty(t, h.took(), "and nobody has failed, or is good, by waiting")
	require.Equal(t, Unknown, h.state(0))
	require.Equal(t, "no target", h.tracker.Note(0, IPv4))
	require.True(t, h.tracker.Usable(0, IPv4))
	require.Equal(t, Failed, h.state(1))
	require.False(t, h.tracker.GroupFailed())

	// There is one again: who answers is ok, who failed has to be repaired.
	targets(1)
	h.run(3*time.Millisecond, 0)
	require.Equal(t, []string{"answering 0 both "}, h.took())
	h.run(100*time.Millisecond, 0, 1)
	require.Equal(t, []string{"repaired 1 both "}, h.took())

	// Without a target a failed member is still better than none.
	h.tracker.Verdict(h.now, 1, IPv4, true)
	targets(0)
	h.samples[0].Link = LinkDown
	h.run(time.Millisecond)
	require.Equal(t, []string{"failed 0 both linkcarrier", "repaired 1 both "}, h.took())
}

// A group that has failed by its probes is not good again because its targets are gone: a neighbour
// that does not answer leaves the kernel's table.
func TestTargetsGoneInAGroupFailure(t *testing.T) {
	h := newHost(t, 2, nil)
	h.run(100*time.Millisecond, 0, 1)
	h.took()
	h.run(2 * time.Second)
	require.Equal(t, []string{"group failed -1 both probesilent"}, h.took())
	for i := range h.samples {
		h.samples[i].Targets = 0
	}
	h.run(time.Minute)
	require.Empty(t, h.took())
	require.True(t, h.tracker.GroupFailed())
}

// Spec section 1.3: when a member is not probed any more, its link decides, whatever its last probes said.
func TestProbesEnd(t *testing.T) {
	h := newHost(t, 2, nil)
	h.run(100*time.Millisecond, 0, 1)
	h.tracker.Verdict(h.now, 1, IPv4, true)
	h.took()
	for i := range h.samples {
		h.samples[i].Kind, h.samples[i].Targets = KindLink, 0
	}
	h.run(99 * time.Millisecond)
	require.Empty(t, h.took())
	h.run(time.Millisecond)
	require.Equal(t, []string{"repaired 1 both "}, h.took())
	require.Equal(t, Disabled, h.state(1))
	require.True(t, h.tracker.Usable(1, IPv4))
}

// A family that is asked nowhere follows the member's other one, as one that is not probed does: a LAN
// without an IPv6 target says nothing of IPv6 (contract section 1).
func TestAFamilyWithoutTargets(t *testing.T) {
	h := newHost(t, 2, func(s *Settings) { s.FlapLimit = 0 })
	for m := range 2 {
		h.samples = append(h.samples, Sample{Member: m, Family: IPv6, Kind: KindICMP, Link: LinkUp})
	}
	both := func(member int) (list []State) {
		for f := range Family(families) {
			s, _, _ := h.tracker.State(member, f)
			list = append(list, s)
		}
		return list
	}
	h.run(100*time.Millisecond, 0, 1)
	require.Equal(t, []string{"answering 0 both ", "answering 1 both "}, h.took())
	require.Equal(t, []State{OK, Unknown}, both(1), "nobody is asked by IPv6")
	require.Empty(t, h.tracker.Note(1, IPv4))
	require.Equal(t, "no target", h.tracker.Note(1, IPv6))

	// The kernel's verdict takes both; the link of a member that is silent is no reason to use it for IPv6.
	h.tracker.Verdict(h.now, 1, IPv4, true)
	h.run(time.Minute, 0)
	require.Empty(t, h.took())
	require.Equal(t, []State{Failed, Failed}, both(1))
	require.False(t, h.tracker.Usable(1, IPv6))
	h.run(100*time.Millisecond, 0, 1)
	require.Equal(t, []string{"repaired 1 both "}, h.took())
	require.Equal(t, []State{OK, Unknown}, both(1))

	// Nobody answers: that IPv6 has link everywhere does not keep the group.
	h.run(2 * time.Second)
	require.Equal(t, []string{"group failed -1 both probesilent"}, h.took())
	h.run(time.Minute)
	require.Empty(t, h.took())
	h.run(200*time.Millisecond, 0, 1)
	require.ElementsMatch(t, []string{"repaired 0 both ", "group repaired -1 both ", "repaired 1 both "}, h.took())

	// It gets a target: judged for itself from what it followed.
	h.samples[3].Targets = 1
	h.observe()
	require.True(t, h.tracker.Usable(1, IPv6))
	h.run(100*time.Millisecond, 0, 1)
	require.Equal(t, []string{"answering 1 ipv6 "}, h.took())
	h.tracker.Verdict(h.now, 1, IPv6, false)
	require.Equal(t, []State{OK, Failed}, both(1))
}

// What the last usable member misses takes the family along that follows, and its repair brings it back:
// with a target of its own it starts from there.
func TestAFollowerFailsAndIsRepaired(t *testing.T) {
	h := newHost(t, 2, func(s *Settings) { s.HoldDown = time.Hour })
	h.samples = append(h.samples, Sample{Member: 0, Family: IPv6, Kind: KindICMP, Link: LinkUp, Targets: 2})
	h.run(100*time.Millisecond, 0, 1)
	h.samples[2].Targets = 0
	h.tracker.Verdict(h.now, 1, IPv4, true)
	h.took()
	h.run(3*time.Millisecond, 1)
	require.Equal(t, []string{"repaired 1 both ", "failed 0 both probelast"}, h.took())
	h.samples[2].Targets = 2
	h.observe()
	require.False(t, h.tracker.Usable(0, IPv6), "it has to be repaired, like the other")
}
