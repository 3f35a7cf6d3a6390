// SPDX-License-Identifier: Apache-2.0

package detect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// path is a prober and a network that lose as told.
type path struct {
	adapt Adapt
	now   int64
	load  Load
}

// run for d in steps of 100 ms, with this share of rounds late; the events that came.
func (p *path) run(d time.Duration, late float64) (events []AdaptEvent) {
	for range d / (100 * time.Millisecond) {
		p.now += 100 * ms
		ticks := uint64(100 * time.Millisecond / p.adapt.Interval())
		p.load.Rounds += ticks
		p.load.Late += uint64(late * float64(ticks))
		if ev := p.adapt.Observe(p.now, p.load); ev != AdaptNone {
			events = append(events, ev)
		}
	}
	return events
}

// detection.md section 3, but for docs/decisions/0006: more than half of the rounds late over 1 s doubles the interval, 60 s without
// (10 s below 10 ms) halves it again; adapt: false only says so.
func TestAdaptOverload(t *testing.T) {
	for _, row := range []struct {
		interval, calm time.Duration
	}{{100 * time.Microsecond, 10 * time.Second}, {25 * time.Millisecond, time.Minute}} {
		p := &path{adapt: Adapt{Configured: row.interval, Enabled: true}}
		require.Empty(t, p.run(9100*time.Millisecond, 0.5), "half is not more than half")
		require.Equal(t, []AdaptEvent{AdaptOverload}, p.run(time.Second, 0.75))
		require.Equal(t, 2*row.interval, p.adapt.Interval())
		require.Empty(t, p.run(row.calm-3*time.Second, 0))
		require.Equal(t, []AdaptEvent{AdaptFaster}, p.run(6*time.Second, 0))
		require.Equal(t, row.interval, p.adapt.Interval())
		require.Empty(t, p.run(2*row.calm, 0))
	}
}

// A machine that stood still for a while has left out many ticks, but no interval helps against that.
func TestAdaptStall(t *testing.T) {
	p := &path{adapt: Adapt{Configured: 100 * time.Microsecond, Enabled: true}}
	for range 20 {
		require.Empty(t, p.run(time.Second, 0))
		p.now += (200 * time.Millisecond).Nanoseconds()
		p.load.Rounds++
		p.load.Late++
	}
}

func TestAdaptEnds(t *testing.T) {
	p := &path{adapt: Adapt{Configured: 50 * time.Microsecond, Enabled: true}}
	require.Len(t, p.run(time.Minute, 0.75), 6)
	require.Equal(t, 64*50*time.Microsecond, p.adapt.Interval())
}

func TestAdaptOff(t *testing.T) {
	p := &path{adapt: Adapt{Configured: time.Millisecond}}
	require.Equal(t, []AdaptEvent{AdaptOverload}, p.run(1100*time.Millisecond, 0.75))
	require.Equal(t, time.Millisecond, p.adapt.Interval())
}

// detection.md section 3: steady loss on all members at one rate is policing: slower rounds and an
// event. If slower rounds lose as much, it was no policer.
func TestAdaptPolicing(t *testing.T) {
	p := &path{adapt: Adapt{Configured: time.Millisecond, Enabled: true}}
	p.load.Policed = 0.4
	p.run(200*time.Millisecond, 0)
	require.Equal(t, 2*time.Millisecond, p.adapt.Interval(), "on trial")
	p.load.Policed = 0
	require.Equal(t, []AdaptEvent{AdaptPoliced}, p.run(3*time.Second, 0))
	require.Empty(t, p.run(9*time.Minute, 0))
	require.Equal(t, 2*time.Millisecond, p.adapt.Interval())
	require.Equal(t, []AdaptEvent{AdaptFaster}, p.run(2*time.Minute, 0), "tried again later")
	require.Equal(t, time.Millisecond, p.adapt.Interval())

	p = &path{adapt: Adapt{Configured: time.Millisecond, Enabled: true}}
	p.load.Policed = 0.1
	require.Equal(t, []AdaptEvent{AdaptFaster}, p.run(time.Minute, 0))
	require.Equal(t, time.Millisecond, p.adapt.Interval(), "random loss does not depend on the rate")
}

func TestPolicedShare(t *testing.T) {
	probed := func(shares ...float64) (out []Sample) {
		for i, share := range shares {
			out = append(out, Sample{Member: i, Kind: KindICMP, Share: share, Judged: 1000})
		}
		return out
	}
	require.InDelta(t, 0.2, PolicedShare(probed(0.19, 0.21)), 1e-9)
	require.Zero(t, PolicedShare(probed(0.2)), "nothing to compare with")
	require.Zero(t, PolicedShare(probed(0.1, 0.3)), "one cable is bad")
	require.Zero(t, PolicedShare(probed(0.01, 0.01)), "too little to slow down for")
	young := probed(0.2, 0.2)
	young[0].Judged = 10
	require.Zero(t, PolicedShare(young))
	gone := probed(0.2, 0.2, 0.9)
	gone[2].Link = LinkDown
	require.InDelta(t, 0.2, PolicedShare(gone), 1e-9)
}

// Spec section 10, item 17: what one group had to slow down for does not keep another from being fast.
func TestAdaptEachForItself(t *testing.T) {
	adapt := Adapt{Configured: time.Millisecond, Enabled: true}
	calm, busy := &path{adapt: adapt}, &path{adapt: adapt}
	require.Len(t, calm.run(1100*time.Millisecond, 0.75), 1)
	for range 5 { // the other one is raised again and again while this one comes back
		require.Len(t, busy.run(1100*time.Millisecond, 0.75), 1)
		calm.run(2100*time.Millisecond, 0)
	}
	require.Equal(t, time.Millisecond, calm.adapt.Interval())
	require.Equal(t, 32*time.Millisecond, busy.adapt.Interval())
}
