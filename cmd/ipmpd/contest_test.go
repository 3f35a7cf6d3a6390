// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestContest: somebody undoes what is repaired, each time after a while; from the third repair on
// the pauses grow, up to a minute, and what is said is said once.
func TestContest(t *testing.T) {
	type repair struct {
		after time.Duration // the undoing
		said  word
	}
	for _, row := range []struct {
		name   string
		undone time.Duration // this long after each repair
		want   []repair
	}{
		{"at once", 0, []repair{
			{0, wordRepaired}, {0, wordRepaired}, {0, wordContested}, {time.Second, wordNothing},
			{2 * time.Second, wordNothing}, {4 * time.Second, wordNothing}, {8 * time.Second, wordNothing},
			{16 * time.Second, wordNothing}, {32 * time.Second, wordNothing}, {time.Minute, wordNothing}, {time.Minute, wordNothing},
		}},
		{"after a second and a half", 1500 * time.Millisecond, []repair{
			{0, wordRepaired}, {0, wordRepaired}, {0, wordContested}, {0, wordNothing}, {500 * time.Millisecond, wordNothing},
		}},
		{"a moment before it is forgiven", forgiven - 1, []repair{
			{0, wordRepaired}, {0, wordRepaired}, {0, wordContested}, {0, wordNothing}, {0, wordNothing},
		}},
		{"once in a while", forgiven, []repair{
			{0, wordRepaired}, {0, wordRepaired}, {0, wordRepaired}, {0, wordRepaired}, {0, wordRepaired},
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var c contest
			now := int64(12345)
			for i, want := range row.want {
				undone := now
				if !c.due(now) {
					require.False(t, c.due(c.until-1), "repair %d", i+1)
					now = c.until
					require.True(t, c.due(now), "repair %d", i+1)
				}
				require.Equal(t, want.after, time.Duration(now-undone), "repair %d", i+1)
				require.Equal(t, want.said, c.repaired(now), "repair %d", i+1)
				require.False(t, c.over(now))
				now += row.undone.Nanoseconds()
			}
			require.True(t, c.over(now+forgiven.Nanoseconds()))
		})
	}
}

// A long pause is none of the time that a repair has stood.
func TestContestIsNotForgivenForItsPause(t *testing.T) {
	var c contest
	now := int64(0)
	for range 20 { // undone at once, however long the pause was
		if !c.due(now) {
			require.False(t, c.over(now+10*forgiven.Nanoseconds()), "it is under way")
			now = c.until
			require.True(t, c.due(now))
		}
		c.repaired(now)
	}
	require.False(t, c.due(now))
	require.Equal(t, lastPause, time.Duration(c.until-now))
	require.Equal(t, 20, c.repairs)
}
