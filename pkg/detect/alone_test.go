// SPDX-License-Identifier: Apache-2.0

package detect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newLoner(t *testing.T, change func(*Settings)) *host {
	return newHost(t, 1, func(s *Settings) {
		s.DetectionTime, s.Alone = 500*time.Millisecond, true
		if change != nil {
			change(s)
		}
	})
}

// Nobody answers for max(3 x detection-time, 2 s): it has failed, and there is no group to fail. It is
// good again after `repair` answered rounds, though nobody else is usable.
func TestAloneFails(t *testing.T) {
	h := newLoner(t, nil)
	h.run(20*time.Millisecond, 0)
	require.Equal(t, []string{"answering 0 both "}, h.took())
	h.run(1990 * time.Millisecond)
	require.Empty(t, h.took())
	h.run(20 * time.Millisecond)
	require.Equal(t, []string{"failed 0 both probesilent"}, h.took())
	require.True(t, h.tracker.GroupFailed(), "its targets stay")
	h.run(5 * time.Second)
	require.Empty(t, h.took())
	h.run(9*time.Millisecond, 0)
	require.Empty(t, h.took(), "hysteresis")
	h.run(time.Millisecond, 0)
	require.Equal(t, []string{"repaired 0 both "}, h.took())
	require.False(t, h.tracker.GroupFailed())
	require.Equal(t, OK, h.state(0))
}

// The time is that of the settings where it is longer.
func TestAloneIsPatient(t *testing.T) {
	h := newLoner(t, func(s *Settings) { s.DetectionTime = time.Second })
	h.run(20*time.Millisecond, 0)
	h.took()
	h.run(2900 * time.Millisecond)
	require.Empty(t, h.took())
	h.run(200 * time.Millisecond)
	require.Equal(t, []string{"failed 0 both probesilent"}, h.took())
}

// One family fails without the other.
func TestAloneFamilies(t *testing.T) {
	h := newLoner(t, nil)
	six := h.samples[0]
	six.Family = IPv6
	h.samples = append(h.samples, six)
	h.run(20*time.Millisecond, 0)
	h.took()
	for range 2100 {
		h.now += ms
		s := &h.samples[1]
		s.Answered, s.Streak, s.Answering, s.LastReply = s.Answered+1, s.Streak+1, s.Answering+1, h.now
		h.observe()
	}
	require.Equal(t, []string{"failed 0 ipv4 probesilent"}, h.took())
	state, _, _ := h.tracker.State(0, IPv6)
	require.Equal(t, OK, state)
}

// The link fails it at once, in both families, and alone decides where there is nobody to ask.
func TestAloneByLink(t *testing.T) {
	for _, targets := range []int{0, 2} {
		h := newLoner(t, func(s *Settings) { s.FlapLimit = 1 })
		h.samples[0].Targets = targets
		h.run(20*time.Millisecond, 0)
		h.took()
		h.samples[0].Link = LinkDown
		h.observe()
		require.Equal(t, []string{"failed 0 both linkcarrier"}, h.took())
		h.run(10 * time.Second)
		require.Empty(t, h.took())
		h.samples[0].Link = LinkUp
		h.run(300*time.Millisecond, 0)
		require.Len(t, h.took(), 1)
		require.True(t, h.tracker.Usable(0, IPv4))

		// A cable that is loose is not told of at every touch.
		h.samples[0].Link = LinkDown
		h.observe()
		h.samples[0].Link = LinkUp
		h.run(300*time.Millisecond, 0)
		require.Equal(t, []string{"failed 0 both linkcarrier", "waits 0 both "}, h.took())
	}
}

// One that never answers has failed, and its link, which was there all the time, does not repair it.
func TestAloneNeverAnswers(t *testing.T) {
	h := newLoner(t, nil)
	h.run(2100 * time.Millisecond)
	require.Equal(t, []string{"failed 0 both probesilent"}, h.took())
	h.run(10 * time.Second)
	require.Empty(t, h.took())
	h.run(20*time.Millisecond, 0)
	require.Equal(t, []string{"repaired 0 both "}, h.took())
}

// One that appears has a second more; without anybody to ask nothing is failed; and what is left out is
// not judged.
func TestAloneIsNotJudged(t *testing.T) {
	h := newLoner(t, nil)
	h.run(20*time.Millisecond, 0)
	h.samples[0].Appeared = h.now
	h.took()
	h.run(2900 * time.Millisecond)
	require.Empty(t, h.took())
	h.run(200 * time.Millisecond)
	require.Len(t, h.took(), 1)

	h = newLoner(t, nil)
	h.run(20*time.Millisecond, 0)
	h.took()
	h.samples[0].Targets = 0
	h.run(5 * time.Second)
	require.Equal(t, []string{"unknown 0 both "}, h.took())
	h.samples[0].Targets, h.samples[0].Disabled = 2, true
	h.run(5 * time.Second)
	require.Empty(t, h.took())

	// Its address, from which it was probed, is gone: its link is all there is to go by.
	h.samples[0].Disabled = false
	h.run(20*time.Millisecond, 0)
	require.Equal(t, []string{"answering 0 both "}, h.took())
	h.samples[0].Kind = KindLink
	h.run(5 * time.Second)
	require.Equal(t, []string{"unknown 0 both "}, h.took())
	require.True(t, h.tracker.Usable(0, IPv4))
}
