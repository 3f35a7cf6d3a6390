// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"fmt"
	"sync"
)

// QueueLength is how many events wait for one reader before it loses some.
const QueueLength = 1024

// Broadcaster hands every event to every subscriber. The zero value is ready.
type Broadcaster struct {
	mu   sync.Mutex
	subs map[*Subscription]struct{}
}

// Publish queues e for every subscriber. It never waits for one: whose queue
// is full loses the event and gets a gap event in its place.
func (b *Broadcaster) Publish(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.subs {
		s.put(e)
	}
}

// Subscribe starts a subscription to what is published from now on, with a
// queue of length events (0: QueueLength). Close it when done.
func (b *Broadcaster) Subscribe(length int) *Subscription {
	if length <= 0 {
		length = QueueLength
	}
	s := &Subscription{from: b, length: length, wake: make(chan struct{}, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subs == nil {
		b.subs = make(map[*Subscription]struct{})
	}
	b.subs[s] = struct{}{}
	return s
}

// Subscription is one reader's queue. One goroutine may read it.
type Subscription struct {
	from   *Broadcaster
	length int
	wake   chan struct{}

	mu    sync.Mutex
	queue []Event
	gap   Event // what was lost since the queue ran full
}

func (s *Subscription) put(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// After a loss the queue takes events again when it is half empty, so that
	// a reader that is always a little too slow sees few long gaps.
	if s.gap.Lost > 0 && len(s.queue) <= s.length/2 {
		s.queue = append(s.queue, s.takeGap())
	}
	if s.gap.Lost > 0 || len(s.queue) >= s.length {
		if s.gap.Lost == 0 {
			s.gap = Event{Time: e.Time, Event: EventGap}
		}
		s.gap.Lost++
		return
	}
	s.queue = append(s.queue, e)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Subscription) takeGap() Event {
	e := s.gap
	e.Detail = fmt.Sprintf("%d events lost", e.Lost)
	s.gap = Event{}
	return e
}

func (s *Subscription) take() (Event, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) > 0 {
		e := s.queue[0]
		s.queue = s.queue[1:]
		return e, true
	}
	if s.gap.Lost > 0 {
		return s.takeGap(), true
	}
	return Event{}, false
}

// Next returns the next event, or the context's error.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	for {
		if e, ok := s.take(); ok {
			return e, nil
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
}

// Lost is how many events were lost that no gap event has told of yet.
func (s *Subscription) Lost() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gap.Lost
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.from.mu.Lock()
	defer s.from.mu.Unlock()
	delete(s.from.subs, s)
}
