// SPDX-License-Identifier: Apache-2.0

package detect

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRotation(t *testing.T) {
	both := addrs("192.0.2.1", "192.0.2.2")
	states := func(a, b uint32) []TargetState {
		return []TargetState{{Addr: both[0], VoidRun: a}, {Addr: both[1], VoidRun: b}}
	}
	r := &Rotation{}
	require.Equal(t, both, r.InRotation(0, 3, time.Millisecond, states(0, 9)))
	require.Equal(t, both, r.InRotation(1, 3, time.Millisecond, states(10, 10)), "if none answers it is not the targets")
	require.Equal(t, both[:1], r.InRotation(2, 3, time.Millisecond, states(0, 10)))
	require.Equal(t, both[:1], r.InRotation(3, 3, time.Millisecond, states(0, 0)), "not asked meanwhile")
	require.Equal(t, both, r.InRotation(4, 3, time.Millisecond, states(3, 0)), "the other one may be all there is")
	require.Equal(t, both[:1], r.InRotation(5, 3, time.Millisecond, states(0, 0)))
	require.Equal(t, both, r.InRotation(2+aside, 3, time.Millisecond, states(0, 0)), "tried again")
	require.Equal(t, both, r.InRotation(3+aside, 20, time.Millisecond, states(0, 39)), "at least twice the misses")
}

// detection.md section 3: target MACs are asked for again after `misses` void rounds and every 30 s.
func TestAskAgain(t *testing.T) {
	one := addrs("192.0.2.1")
	state := func(void uint32) []TargetState { return []TargetState{{Addr: one[0], VoidRun: void}} }
	r := &Rotation{}
	require.Equal(t, one, r.AskAgain(0, 3, state(0)))
	require.Empty(t, r.AskAgain(29_999*ms, 3, state(2)))
	require.Equal(t, one, r.AskAgain(30_000*ms, 3, state(2)))
	require.Empty(t, r.AskAgain(30_099*ms, 3, state(3)))
	require.Equal(t, one, r.AskAgain(30_100*ms, 3, state(3)))

	unknown := []TargetState{{Addr: one[0], Unknown: true}}
	require.Empty(t, r.AskAgain(31_099*ms, 3, unknown))
	require.Equal(t, one, r.AskAgain(31_100*ms, 3, unknown))
}

// Spec sections 2.8 and 3.3: a target that takes longer than a round is not asked for a minute, where
// three others at least take half of one at most.
func TestSlowTarget(t *testing.T) {
	const interval = time.Millisecond
	rtts := func(list ...time.Duration) (out []TargetState) {
		for i, rtt := range list {
			out = append(out, TargetState{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i)}), RTT: rtt})
		}
		return out
	}
	fast, half, over := 20*time.Microsecond, interval/2, interval+1
	for _, row := range []struct {
		name    string
		targets []TargetState
		aside   string
	}{
		{"all are fast", rtts(fast, fast, fast, fast), ""},
		{"one is slow", rtts(fast, half, over, fast), "192.0.2.3"},
		{"of five", rtts(over, fast, fast, fast, fast), "192.0.2.1"},
		{"a round is not slow", rtts(fast, fast, fast, interval), ""},
		{"only two others", rtts(fast, over, fast), ""},
		{"the others are not fast", rtts(fast, half+1, over, fast), ""},
		{"two are slow", rtts(fast, fast, fast, over, over), ""},
		{"one of the others has not answered yet", rtts(fast, fast, over, 0), ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := &Rotation{}
			for at := int64(0); at < slowFor; at += 100 * ms {
				require.Len(t, r.InRotation(at, 3, interval, row.targets), len(row.targets), "not before a second has passed")
			}
			in := r.InRotation(slowFor, 3, interval, row.targets)
			for _, a := range row.targets {
				is := a.Addr.String() == row.aside
				require.Equal(t, is, r.Aside(a.Addr))
				require.NotEqual(t, is, slices.Contains(in, a.Addr))
			}
			if row.aside == "" {
				return
			}
			slow := netip.MustParseAddr(row.aside)
			require.Equal(t, "slow", r.Why(slow))
			require.NotContains(t, r.InRotation(slowFor+slowAside-1, 3, interval, row.targets), slow)
			require.Contains(t, r.InRotation(slowFor+slowAside, 3, interval, row.targets), slow, "tried again")
		})
	}

	r := &Rotation{}
	for i := range int64(100) { // every other look: a machine that stands still now and then
		list := rtts(fast, fast, fast, fast)
		if i%2 == 0 {
			list[3].RTT = over
		}
		require.Len(t, r.InRotation(i*900*ms, 3, interval, list), 4)
	}
}

// If none of the fast ones answers any more, the slow one is asked again.
func TestSlowTargetIsAllThatAnswers(t *testing.T) {
	r := &Rotation{}
	list := make([]TargetState, 4)
	for i := range list {
		list[i] = TargetState{Addr: netip.MustParseAddr(fmt.Sprint("192.0.2.", i+1)), RTT: time.Microsecond}
	}
	list[3].RTT = time.Second
	require.Len(t, r.InRotation(1, 3, time.Millisecond, list), 4)
	require.Len(t, r.InRotation(1+slowFor, 3, time.Millisecond, list), 3)
	for i := range 3 {
		list[i].VoidRun = 10
	}
	require.Len(t, r.InRotation(2+slowFor, 3, time.Millisecond, list), 4, "slow is better than none")
}

func TestSilent(t *testing.T) {
	r := &Rotation{}
	look := func(at time.Duration, voids ...uint32) bool {
		var list []TargetState
		for i, v := range voids {
			list = append(list, TargetState{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i)}), VoidRun: v})
		}
		r.InRotation(1+int64(at), 3, time.Millisecond, list)
		return r.Silent()
	}
	require.False(t, look(0, 10, 10))
	require.False(t, look(499*time.Millisecond, 10, 10), "it may be a stall")
	require.True(t, look(500*time.Millisecond, 10, 10))
	require.False(t, look(600*time.Millisecond, 10, 9))
	require.False(t, look(700*time.Millisecond, 10, 10))
	require.False(t, look(2*time.Second), "there is nobody")
}
