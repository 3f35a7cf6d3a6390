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
