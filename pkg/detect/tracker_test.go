// SPDX-License-Identifier: Apache-2.0

package detect

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const ms = int64(time.Millisecond)

// host is a group whose members' rounds are made up: what the prober and the kernel would see.
type host struct {
	t        require.TestingT
	tracker  *Tracker
	settings Settings
	now      int64
	samples  []Sample
	findings []Finding
}

func newHost(t require.TestingT, members int, change func(*Settings)) *host {
	s := Settings{DetectionTime: 400 * time.Microsecond, Misses: 3, Repair: 10}
	if change != nil {
		change(&s)
	}
	h := &host{t: t, tracker: NewTracker(s), settings: s, now: 1000 * ms}
	for m := range members {
		h.samples = append(h.samples, Sample{Member: m, Family: IPv4, Kind: KindICMP, Link: LinkUp, Targets: 2})
	}
	return h
}

// run rounds for d, one each ms, answered by the members in `by`; and observe.
func (h *host) run(d time.Duration, by ...int) {
	for range d / time.Millisecond {
		h.now += ms
		for i := range h.samples {
			s := &h.samples[i]
			if s.Kind != KindICMP || s.Targets == 0 || len(by) == 0 {
				continue
			}
			s.Answered++
			s.Judged = min(s.Judged+1, 1000)
			if slices.Contains(by, s.Member) {
				s.Streak++
				s.Answering, s.Missing = s.Answering+1, 0
				s.LastReply = h.now
			} else {
				s.Missed++
				s.Streak = 0
				s.Answering, s.Missing = 0, s.Missing+1
				s.LastMiss = h.now
			}
		}
		h.observe()
	}
}

func (h *host) observe() {
	h.findings = append(h.findings, h.tracker.Observe(h.now, h.samples)...)
}

// took the findings, without the limits, as words.
func (h *host) took() []string {
	words := map[FindingKind]string{
		FindAnswering: "answering", FindFailed: "failed", FindRepaired: "repaired",
		FindGroupFailed: "group failed", FindGroupRepaired: "group repaired",
		FindUnknown: "unknown", FindWaits: "waits",
	}
	out := []string{}
	for _, f := range h.findings {
		if f.Kind != FindLimit {
			require.NotEmpty(h.t, f.Why)
			out = append(out, fmt.Sprintf("%s %d %s %s%s", words[f.Kind], f.Member, f.Family, f.Cause, f.Detail))
		}
	}
	h.findings = nil
	return out
}

func (h *host) state(member int) State {
	s, _, _ := h.tracker.State(member, IPv4)
	return s
}

// detection.md section 1: armed after `repair` answered rounds in the current map generation.
func TestArming(t *testing.T) {
	h := newHost(t, 2, nil)
	h.run(9*time.Millisecond, 0)
	require.Zero(t, h.tracker.Limit(1, IPv4), "acked = 0 at start is no verdict")
	h.run(time.Millisecond, 0)
	require.Equal(t, 3, h.tracker.Limit(0, IPv4))
	require.Equal(t, 3, h.tracker.Limit(1, IPv4), "a member that never answered is judged too")
	h.samples[1].Epoch++
	h.observe()
	require.Equal(t, 3, h.tracker.Limit(0, IPv4))
	require.Zero(t, h.tracker.Limit(1, IPv4), "new maps: disarmed")
	h.run(10*time.Millisecond, 0, 1)
	require.Equal(t, 3, h.tracker.Limit(1, IPv4))
	h.samples[1].Disabled = true
	h.observe()
	require.Zero(t, h.tracker.Limit(1, IPv4), "offline")
}

// An interface that appears has a second to answer for the first time, and is judged from then on.
func TestArmingOfWhatAppears(t *testing.T) {
	for _, answers := range []bool{false, true} {
		h := newHost(t, 2, nil)
		h.run(10*time.Millisecond, 0, 1)
		h.samples[1].Epoch++
		h.samples[1].Appeared = h.now
		h.run(900*time.Millisecond, 0)
		require.Zero(t, h.tracker.Limit(1, IPv4))
		if answers {
			h.run(10*time.Millisecond, 0, 1)
		} else {
			h.run(100*time.Millisecond, 0)
		}
		require.NotZero(t, h.tracker.Limit(1, IPv4))
	}
}

// What a member missed without a link is no evidence against it once it has one.
func TestArmingWaitsForTheLink(t *testing.T) {
	h := newHost(t, 2, nil)
	h.samples[1].Link = LinkDown
	h.run(100*time.Millisecond, 0)
	require.Equal(t, 3, h.tracker.Limit(0, IPv4))
	require.Zero(t, h.tracker.Limit(1, IPv4))
	h.samples[1].Link = LinkUp
	h.observe()
	require.Zero(t, h.tracker.Limit(1, IPv4))
	h.run(9*time.Millisecond, 0)
	require.Zero(t, h.tracker.Limit(1, IPv4))
	h.run(time.Millisecond, 0)
	require.Equal(t, 3, h.tracker.Limit(1, IPv4), "and judged then, like any other")
}

// detection.md section 1: random loss raises the limit; at half of the probes status says so.
func TestLossAwareLimit(t *testing.T) {
	h := newHost(t, 2, nil)
	h.run(10*time.Millisecond, 0, 1)
	h.samples[1].Share, h.samples[1].Judged = 0.5, 10
	h.observe()
	require.Equal(t, 10, h.tracker.Limit(1, IPv4), "as if it were 5 of 100: ten rounds say little")
	h.samples[1].Share, h.samples[1].Judged = 0.1, 1000
	h.observe()
	require.Equal(t, 12, h.tracker.Limit(1, IPv4))
	require.Empty(t, h.tracker.Note(1, IPv4))
	h.samples[1].Share = 0.5
	h.observe()
	require.Zero(t, h.tracker.Limit(1, IPv4))
	require.Equal(t, "loss too high to judge", h.tracker.Note(1, IPv4))
}

// detection.md section 3: repair waits for `repair` answered rounds, and at least 100 ms since carrier
// up or the last miss.
func TestRepair(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*Settings)
		after  time.Duration // of answered rounds
	}{
		{"100 ms", nil, 100 * time.Millisecond},
		{"repair rounds", func(s *Settings) { s.Repair = 500 }, 500 * time.Millisecond},
		{"hold-down", func(s *Settings) { s.HoldDown = 2 * time.Second }, 2 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := newHost(t, 2, row.change)
			h.run(time.Second, 0, 1)
			require.Equal(t, []string{"answering 0 both ", "answering 1 both "}, h.took())
			h.run(5*time.Millisecond, 0)
			h.tracker.Verdict(h.now, 1, IPv4, true)
			require.Equal(t, Failed, h.state(1))
			h.run(300*time.Millisecond, 0)
			h.run(row.after-time.Millisecond, 0, 1)
			require.Empty(t, h.took())
			h.run(time.Millisecond, 0, 1)
			require.Equal(t, []string{"repaired 1 both "}, h.took())
			require.Equal(t, OK, h.state(1))
		})
	}
}

// A miss begins it anew.
func TestRepairBeginsAnew(t *testing.T) {
	h := newHost(t, 2, nil)
	h.run(100*time.Millisecond, 0, 1)
	h.tracker.Verdict(h.now, 1, IPv4, false)
	h.took()
	for range 20 {
		h.run(90*time.Millisecond, 0, 1)
		h.run(time.Millisecond, 0)
	}
	require.Empty(t, h.took())
	h.run(100*time.Millisecond, 0, 1)
	require.Equal(t, []string{"repaired 1 both "}, h.took())
}

// Contract: flap-limit repairs a minute; the next waits until the minute has passed.
func TestFlapLimit(t *testing.T) {
	h := newHost(t, 2, func(s *Settings) { s.FlapLimit = 2 })
	h.run(100*time.Millisecond, 0, 1)
	begin := h.now
	for range 2 {
		h.tracker.Verdict(h.now, 1, IPv4, true)
		h.run(200*time.Millisecond, 0, 1)
	}
	h.took()
	h.tracker.Verdict(h.now, 1, IPv4, true)
	h.run(30*time.Second, 0, 1)
	require.Equal(t, []string{"waits 1 both "}, h.took(), "told once")
	require.Equal(t, "repair waits for the flap limit", h.tracker.Note(1, IPv4))
	h.run(31*time.Second, 0, 1)
	require.Equal(t, []string{"repaired 1 both "}, h.took())
	require.Empty(t, h.tracker.Note(1, IPv4))
	require.GreaterOrEqual(t, h.now-begin, minute)
}

// Contract section 3: repair, hold-down and flap-limit are not applied to a member when no other is
// usable.
func TestNoHysteresisForTheOnlyOne(t *testing.T) {
	h := newHost(t, 2, func(s *Settings) { s.Repair, s.HoldDown, s.FlapLimit = 10000, time.Hour, 1 })
	h.run(100*time.Millisecond, 0, 1)
	h.tracker.Link(h.now, 0, false)
	h.samples[0].Link = LinkDown
	for range 3 {
		h.tracker.Verdict(h.now, 1, IPv4, true)
		h.took()
		h.run(2*time.Millisecond, 1)
		require.Contains(t, h.took(), "repaired 1 both ")
	}
}

// detection.md section 2: a verdict never clears the last bit. Where a failed member answers what the
// last usable one misses, it takes over at once.
func TestLastResort(t *testing.T) {
	h := newHost(t, 3, func(s *Settings) { s.HoldDown = time.Hour })
	h.run(100*time.Millisecond, 0, 1, 2)
	h.tracker.Verdict(h.now, 1, IPv4, true)
	h.tracker.Verdict(h.now, 2, IPv4, true)
	h.run(time.Second, 0, 1)
	h.took()
	h.run(2*time.Millisecond, 1)
	require.Empty(t, h.took(), "two misses are below the limit")
	h.run(time.Millisecond, 1)
	require.Equal(t, []string{"repaired 1 both ", "failed 0 both probelast"}, h.took())
	require.False(t, h.tracker.Usable(0, IPv4))
	require.False(t, h.tracker.Usable(2, IPv4))
	h.run(time.Millisecond, 1)
	require.Empty(t, h.took(), "once")
}

// The same at once after the kernel's event.
func TestLastEvent(t *testing.T) {
	h := newHost(t, 2, func(s *Settings) { s.HoldDown = time.Hour })
	h.run(100*time.Millisecond, 0, 1)
	h.tracker.Verdict(h.now, 1, IPv4, true)
	h.run(100*time.Millisecond, 0, 1)
	h.took()
	h.samples[0].Answering, h.samples[0].Missing = 0, 3
	h.findings = h.tracker.Last(h.now, h.samples)
	require.Equal(t, []string{"repaired 1 both ", "failed 0 both probelast"}, h.took())
}

// Nobody answers: void, until max(3 x detection-time, 2 s); then the group has failed, and that is
// one finding. detection.md section 1, contract section 1.
func TestGroupFailure(t *testing.T) {
	for _, row := range []struct {
		detection time.Duration
		after     time.Duration
	}{{400 * time.Microsecond, 2 * time.Second}, {time.Second, 3 * time.Second}} {
		h := newHost(t, 2, func(s *Settings) { s.DetectionTime = row.detection; s.FlapLimit = 1 })
		h.run(100*time.Millisecond, 0, 1)
		h.took()
		last := h.now
		h.run(row.after - time.Millisecond)
		require.Empty(t, h.took())
		h.run(time.Millisecond)
		require.Equal(t, last, h.findings[0].LastReply)
		require.Equal(t, []string{"group failed -1 both probesilent"}, h.took())
		require.Equal(t, Failed, h.state(0))
		require.True(t, h.tracker.GroupFailed())
		h.run(time.Minute)
		require.Empty(t, h.took(), "one finding, and nobody is good again by waiting")
		h.run(time.Millisecond, 1)
		require.Equal(t, []string{"repaired 1 both ", "group repaired -1 both "}, h.took())
		require.False(t, h.tracker.GroupFailed())
	}
}

// A group with one member is judged by elapsed time, and comes back with its first rounds.
func TestSingleMember(t *testing.T) {
	h := newHost(t, 1, nil)
	h.run(100*time.Millisecond, 0)
	h.run(3 * time.Second)
	h.samples[0].Answering = 0
	h.run(10*time.Millisecond, 0)
	require.Equal(t, []string{
		"answering 0 both ", "group failed -1 both probesilent", "repaired 0 both ", "group repaired -1 both ",
	}, h.took())
}

// No link anywhere is a group failure too; links come back with the first one that answers.
func TestNoLink(t *testing.T) {
	h := newHost(t, 2, nil)
	h.run(100*time.Millisecond, 0, 1)
	h.took()
	h.samples[0].Link, h.samples[1].Link = LinkDown, LinkDown
	h.run(time.Millisecond)
	require.Equal(t, []string{"failed 0 both linkcarrier", "failed 1 both linkcarrier"}, h.took())
	h.run(3 * time.Second)
	require.Equal(t, []string{"group failed -1 both linkcarrier"}, h.took())
	h.samples[1].Link = LinkUp
	h.samples[1].Answering = 0
	h.run(2*time.Millisecond, 1)
	require.Empty(t, h.took(), "carrier alone is no answer")
	h.run(time.Millisecond, 1)
	require.Equal(t, []string{"repaired 1 both ", "group repaired -1 both "}, h.took())
}

// detection.md section 1, send errors: void while TX counters advance, failure after max(10 x
// detection-time, 100 ms) without one probe accepted.
func TestTxHang(t *testing.T) {
	h := newHost(t, 2, nil)
	h.run(100*time.Millisecond, 0, 1)
	h.took()
	h.samples[1].Refused = h.now
	for range 50 {
		h.samples[1].TxPackets++
		h.run(10*time.Millisecond, 0, 1)
	}
	require.Empty(t, h.took(), "load must never cause a failover")
	h.samples[1].Refused = h.now
	h.run(99*time.Millisecond, 0, 1)
	require.Empty(t, h.took())
	h.run(time.Millisecond, 0, 1)
	require.Equal(t, []string{"failed 1 both probetx-hang"}, h.took())
}

// With nowhere to go a full queue is no failure.
func TestTxHangOfTheLast(t *testing.T) {
	h := newHost(t, 2, nil)
	h.run(100*time.Millisecond, 0, 1)
	h.tracker.Verdict(h.now, 0, IPv4, true)
	h.took()
	h.samples[1].Refused = h.now
	h.samples[0].Missing, h.samples[0].Answering = 3, 0
	h.now += 150 * ms
	h.observe()
	require.Empty(t, h.took())
}
