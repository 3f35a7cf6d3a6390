// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const ms = int64(time.Millisecond)

// Whom the asker asks, when it is woken at the time that it named, or later.
func TestAskTimes(t *testing.T) {
	list := []Watched{
		{Member: 1, Ifindex: 11, Group: 0, Every: 2 * time.Millisecond, For: 5 * time.Millisecond, Strange: 3 * time.Millisecond},
		{Member: 2, Ifindex: 12, Group: 1, Every: 3 * time.Millisecond, For: 4 * time.Millisecond},
	}
	var own [2]int64
	var strange int64
	times := &askTimes{}
	turn := func(now int64, list *[]Watched) (asked []string, next int64) {
		next = times.turn(now, list, func(g int) (int64, int64) { return own[g], strange }, func(w *Watched) {
			asked = append(asked, fmt.Sprint(w.Member, " on ", w.Ifindex))
		})
		return asked, next
	}
	one, two := "1 on 11", "2 on 12"
	for _, row := range []struct {
		what  string
		now   int64
		news  func()
		asked []string
		next  int64
	}{
		{"no news", 1, nil, nil, 0},
		{"of a group", 100, func() { own[0] = 100 * ms }, []string{one}, 102},
		{"too early", 101, nil, nil, 102},
		{"late, and not made up for", 103, nil, []string{one}, 105},
		{"the last", 105, nil, []string{one}, 0},
		{"over", 107, nil, nil, 0},
		{"strange ones, which only one of them cares for", 200, func() { strange = 200 * ms }, []string{one}, 202},
		{"and of the other group", 201, func() { own[1] = 201 * ms }, []string{two}, 202},
		{"each in its turn", 202, nil, []string{one}, 204},
		{"the first is over", 204, nil, []string{two}, 0},
		{"both at once", 300, func() { own = [2]int64{300 * ms, 300 * ms} }, []string{one, two}, 302},
	} {
		if row.news != nil {
			row.news()
		}
		asked, next := turn(row.now*ms, &list)
		require.Equal(t, row.asked, asked, row.what)
		require.Equal(t, row.next*ms, next, row.what)
	}
	fewer := []Watched{list[1]}
	asked, _ := turn(301*ms, &fewer)
	require.Equal(t, []string{two}, asked, "another list begins anew")
	asked, next := turn(302*ms, nil)
	require.Empty(t, asked)
	require.Zero(t, next)
}

// News wake the asker; it asks until their time is over, and then it sleeps.
func TestAskerWatches(t *testing.T) {
	q, err := NewQuestions()
	require.NoError(t, err)
	t.Cleanup(func() { q.Close() })
	var asked atomic.Int64
	answered := make(chan int64, 1<<16)
	asker := &Asker{
		Questions: q,
		Carrier:   func(int) (bool, bool, error) { asked.Add(1); return true, false, nil },
		Answer: func(member, ifindex int, up, sends bool, at int64) {
			if member == 3 && ifindex == 33 && up && !sends {
				answered <- at
			}
		},
	}
	const long, short = 10 * time.Second, 50 * time.Millisecond
	q.Watch([]Watched{{Member: 3, Ifindex: 33, Group: 5, Every: time.Millisecond, For: long}, {Member: 4, Ifindex: 44, Group: 6, Every: time.Millisecond, For: long}})
	start(t, asker.Run)
	q.News(5, NowNs())
	for range 5 {
		require.Positive(t, <-answered)
	}
	// A shorter time, which is over at some time: a question that is asked then is the only one.
	news := NowNs()
	q.Watch([]Watched{{Member: 3, Ifindex: 33, Group: 7, Every: time.Millisecond, For: short}, {Member: 4, Ifindex: 44, Group: 8, Every: time.Millisecond, For: short}})
	q.News(7, news)
	require.Eventually(t, func() bool { return NowNs() > news+4*short.Nanoseconds() }, long, time.Millisecond)
	before := asked.Load()
	q.Ask(4, 44)
	require.Eventually(t, func() bool { return asked.Load() > before }, long, time.Millisecond)
	require.LessOrEqual(t, asked.Load(), before+1)
}
