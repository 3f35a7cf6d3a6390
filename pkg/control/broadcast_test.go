// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func numbered(n int) Event { return Event{Event: EventVerdict, Detail: strconv.Itoa(n)} }

// drain takes what waits, in a form that reads well.
func drain(s *Subscription) []string {
	var out []string
	for {
		e, ok := s.take()
		if !ok {
			return out
		}
		out = append(out, e.Detail)
	}
}

func TestBroadcastGap(t *testing.T) {
	var b Broadcaster
	b.Publish(numbered(0)) // nobody there, nothing kept
	s := b.Subscribe(4)
	defer s.Close()
	for n := 1; n <= 7; n++ {
		b.Publish(numbered(n))
	}
	require.EqualValues(t, 3, s.Lost())
	require.Equal(t, []string{"1", "2", "3", "4", "3 events lost"}, drain(s))
	require.Empty(t, drain(s))
	require.Zero(t, s.Lost(), "told")

	// The gap stands where the loss was, and the queue takes events again.
	for n := 1; n <= 5; n++ {
		b.Publish(numbered(n))
	}
	for range 2 {
		_, ok := s.take()
		require.True(t, ok)
	}
	b.Publish(numbered(6))
	require.Equal(t, []string{"3", "4", "1 events lost", "6"}, drain(s))
}

func TestBroadcastEachForItself(t *testing.T) {
	var b Broadcaster
	fast, slow := b.Subscribe(100), b.Subscribe(1)
	b.Publish(numbered(1))
	b.Publish(numbered(2))
	require.Equal(t, []string{"1", "2"}, drain(fast))
	require.Equal(t, []string{"1", "1 events lost"}, drain(slow))
	slow.Close()
	b.Publish(numbered(3))
	require.Equal(t, []string{"3"}, drain(fast))
	require.Empty(t, drain(slow))
	fast.Close()
	require.Empty(t, b.subs)
}

func TestBroadcastNextWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Broadcaster
		s := b.Subscribe(0)
		got := make(chan string)
		go func() {
			e, err := s.Next(context.Background())
			if err != nil {
				got <- err.Error()
				return
			}
			got <- e.Detail
		}()
		synctest.Wait()
		select {
		case d := <-got:
			t.Fatalf("Next did not wait: %s", d)
		default:
		}
		b.Publish(numbered(1))
		require.Equal(t, "1", <-got)

		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, err := s.Next(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// However publishing and reading interleave: what is read is in order, and
// with what the gaps name it is all that was published.
func TestBroadcastNothingUntold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Broadcaster
		s := b.Subscribe(rapid.IntRange(1, 5).Draw(t, "length"))
		published, accounted := 0, 0
		read := func() bool {
			e, ok := s.take()
			switch {
			case !ok:
			case e.Event == EventGap:
				accounted += int(e.Lost)
			default:
				accounted++
				require.Equal(t, strconv.Itoa(accounted), e.Detail)
			}
			return ok
		}
		for _, publish := range rapid.SliceOf(rapid.Bool()).Draw(t, "publish") {
			if publish {
				published++
				b.Publish(numbered(published))
			} else {
				read()
			}
		}
		for read() {
		}
		require.Equal(t, published, accounted)
	})
}

func TestBroadcastConcurrently(t *testing.T) {
	var b Broadcaster
	ctx, cancel := context.WithCancel(context.Background())
	var readers, writers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			s := b.Subscribe(8)
			defer s.Close()
			for {
				if _, err := s.Next(ctx); err != nil {
					return
				}
			}
		})
	}
	for range 4 {
		writers.Go(func() {
			for n := range 1000 {
				b.Publish(numbered(n))
			}
		})
	}
	writers.Wait()
	cancel()
	readers.Wait()
	require.Empty(t, b.subs)
}

func BenchmarkPublish(b *testing.B) {
	var bc Broadcaster
	s := bc.Subscribe(0)
	defer s.Close()
	e := numbered(1)
	for b.Loop() {
		bc.Publish(e)
	}
}
