// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// drain what a watch has, as "NAME acked|lost".
func drain(w *Watch) (words []string, all []Outcome) {
	for {
		select {
		case o := <-w.C:
			word := o.Name + " lost"
			if o.Acked {
				word = o.Name + " acked"
			}
			words, all = append(words, word), append(all, o)
		default:
			return words, all
		}
	}
}

// Every lost probe is told, a void round's too; of the answered ones 100 a second. What was not sent
// is not told.
func TestWatch(t *testing.T) {
	l := newLab(t, 2, 1)
	l.track.name, l.track.members[0].name, l.track.members[1].name = "g", "a", "b"
	both := []int{0, 1}
	l.begin(time.Second, both, both)
	l.closeRounds(l.track, l.watching()) // nobody watches
	w, other := l.Watch(), l.Watch()
	l.Unwatch(other)
	n := l.begin(time.Second, both, both)
	l.begin(time.Second-time.Millisecond, both, both) // too soon to be told again
	l.begin(time.Second-2*time.Millisecond, both, []int{0})
	l.begin(time.Second-3*time.Millisecond, both, nil)
	l.begin(time.Second-4*time.Millisecond, []int{1}, nil)
	l.begin(time.Second-15*time.Millisecond, both, both)
	l.closeRounds(l.track, l.watching())
	words, all := drain(w)
	require.Equal(t, []string{"a acked", "b acked", "b lost", "a lost", "b lost", "b lost", "a acked", "b acked"}, words)
	require.Equal(t, "g", all[0].Group)
	require.Equal(t, n, all[0].Round)
	require.Equal(t, "192.0.2.1", all[0].Target.String())
	require.Equal(t, 1000*time.Nanosecond, all[0].RTT)
	require.Zero(t, all[2].RTT)
	words, _ = drain(other)
	require.Empty(t, words)
	l.Unwatch(w)
	require.Nil(t, l.watches.Load(), "the prober looks no further")
}

// A reader that does not read holds nothing up, and learns how many it has lost.
func TestWatchSlowReader(t *testing.T) {
	l := newLab(t, 1, 1)
	w := l.Watch()
	defer l.Unwatch(w)
	for range watchLength + 10 {
		l.begin(time.Second, []int{0}, nil)
		l.closeRounds(l.track, l.watching())
	}
	require.EqualValues(t, 10, w.Lost())
	require.Zero(t, w.Lost())
	words, _ := drain(w)
	require.Len(t, words, watchLength)
}

// Watched or not, closing a round allocates nothing.
func TestWatchAllocatesNothing(t *testing.T) {
	l := newLab(t, 4, 1)
	all := []int{0, 1, 2, 3}
	w := l.Watch()
	defer l.Unwatch(w)
	require.Zero(t, testing.AllocsPerRun(200, func() {
		l.begin(time.Second, all, all[:2])
		l.closeRounds(l.track, l.watching())
	}))
}

// What a closed round of two members costs the prober thread, watched or not.
func BenchmarkCloseRounds(b *testing.B) {
	for _, watched := range []bool{false, true} {
		b.Run(map[bool]string{false: "nobody watches", true: "watched"}[watched], func(b *testing.B) {
			l := newLab(b, 2, 1)
			if watched {
				w := l.Watch()
				defer l.Unwatch(w)
				go func() {
					for range w.C {
					}
				}()
				defer close(w.c)
			}
			both := []int{0, 1}
			for b.Loop() {
				l.begin(time.Second, both, both)
				l.closeRounds(l.track, l.watching())
			}
		})
	}
}
