// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// watch starts a reader of events; what it returns ends with the context.
func watch(t *testing.T, ts *testServer) (events <-chan Event, ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, end := make(chan Event, 100), make(chan error, 1)
	go func() {
		end <- ts.client.Watch(ctx, func(e Event) error { out <- e; return nil })
		close(out)
	}()
	t.Cleanup(func() {
		cancel()
		for range out {
		}
	})
	return out, end
}

func next(t *testing.T, events <-chan Event) Event {
	t.Helper()
	select {
	case e, ok := <-events:
		require.True(t, ok, "the stream has ended")
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("no event")
		panic("unreachable")
	}
}

func skipStates(t *testing.T, events <-chan Event, n int) {
	t.Helper()
	for range n {
		next(t, events)
	}
}

func TestWatchStartsWithTheStateNow(t *testing.T) {
	ts := startServer(t, &fakeBackend{status: twoMembers()}, nil)
	events, ended := watch(t, ts)
	var got []string
	for range 4 {
		e := next(t, events)
		require.WithinRange(t, e.Time, time.Now().Add(-time.Hour), time.Now())
		got = append(got, strings.Join([]string{e.Event, e.Group, e.Interface, e.Detail}, " "))
	}
	require.Equal(t, []string{"group-state unrealgrp1  degraded", "interface-state unrealgrp1 hme0 ok",
		"interface-state unrealgrp1 hme1 failed", "interface-state  hme9 ok"}, got)

	moved := Event{Time: time.Now().UTC(), Event: EventAddressMoved, Group: "unrealgrp1", Interface: "hme0", Family: "ipv4", Address: "192.0.2.10/24", Detail: "hme1 to hme0"}
	ts.events.Publish(moved)
	e := next(t, events)
	require.True(t, moved.Time.Equal(e.Time))
	e.Time = moved.Time
	require.Equal(t, moved, e)

	ts.stop()
	require.ErrorIs(t, <-ended, io.ErrUnexpectedEOF, "a daemon that ends is told")
}

func TestWatchEndsWithTheReader(t *testing.T) {
	ts := startServer(t, &fakeBackend{status: twoMembers()}, nil)
	enough := errors.New("enough")
	require.ErrorIs(t, ts.client.Watch(t.Context(), func(Event) error { return enough }), enough)

	ctx, cancel := context.WithCancel(t.Context())
	require.ErrorIs(t, ts.client.Watch(ctx, func(Event) error { cancel(); return nil }), context.Canceled)
	require.Eventually(t, func() bool {
		ts.events.mu.Lock()
		defer ts.events.mu.Unlock()
		return len(ts.events.subs) == 0
	}, 10*time.Second, time.Millisecond, "the server forgets a reader that is gone")
}

// The time for reading a request is no limit for reading events.
func TestWatchOutlivesReadTimeout(t *testing.T) {
	ts := startServer(t, &fakeBackend{status: twoMembers()}, func(s *Server) { s.readTimeout = 20 * time.Millisecond })
	events, _ := watch(t, ts)
	skipStates(t, events, 4)
	// Connections that began later have been cut off three times over.
	for range 3 {
		conn, err := net.Dial("unix", ts.path)
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
		_, err = io.Copy(io.Discard, conn)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
	ts.events.Publish(numbered(1))
	require.Equal(t, "1", next(t, events).Detail)
}

// A reader that stops reading loses events and is told how many; what is
// published does not wait for it.
func TestSlowReader(t *testing.T) {
	ts := startServer(t, &fakeBackend{status: twoMembers()}, func(s *Server) { s.queueLength = 8 })
	conn, err := net.Dial("unix", ts.path)
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprint(conn, "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
	r := bufio.NewReader(conn)
	// Closing the body would read on; closing the connection is enough.
	resp, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	require.Equal(t, "application/x-ndjson", resp.Header.Get("Content-Type"))
	lines := bufio.NewScanner(resp.Body)
	for range 4 {
		require.True(t, lines.Scan())
	}

	published := 0
	publish := func() {
		published++
		e := numbered(published)
		e.Address = strings.Repeat("x", 1000) // fills the socket's buffer sooner
		ts.events.Publish(e)
	}
	var sub *Subscription
	ts.events.mu.Lock()
	for s := range ts.events.subs {
		sub = s
	}
	ts.events.mu.Unlock()
	for lost := uint64(0); lost < 100; {
		publish()
		sub.mu.Lock()
		lost = sub.gap.Lost
		sub.mu.Unlock()
	}

	require.NoError(t, conn.SetReadDeadline(time.Now().Add(30*time.Second)))
	accounted, gaps := 0, 0
	for accounted < published {
		require.True(t, lines.Scan(), "%v", lines.Err())
		var e Event
		require.NoError(t, json.Unmarshal(lines.Bytes(), &e))
		if e.Event == EventGap {
			gaps++
			accounted += int(e.Lost)
			require.Equal(t, fmt.Sprintf("%d events lost", e.Lost), e.Detail)
			continue
		}
		accounted++
		require.Equal(t, strconv.Itoa(accounted), e.Detail)
	}
	require.Equal(t, published, accounted)
	require.Positive(t, gaps)
}

// A reader that does not read at all is dropped, and does not keep the server
// from ending.
func TestStuckReaderIsDropped(t *testing.T) {
	ts := startServer(t, &fakeBackend{status: twoMembers()}, func(s *Server) { s.queueLength, s.writeTimeout = 8, 50*time.Millisecond })
	conn, err := net.Dial("unix", ts.path)
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprint(conn, "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
	subscribed := func() int {
		ts.events.mu.Lock()
		defer ts.events.mu.Unlock()
		return len(ts.events.subs)
	}
	require.Eventually(t, func() bool { return subscribed() == 1 }, 10*time.Second, time.Millisecond)
	e := numbered(1)
	e.Address = strings.Repeat("x", 10_000)
	require.Eventually(t, func() bool {
		for range 8 {
			ts.events.Publish(e)
		}
		return subscribed() == 0
	}, 20*time.Second, time.Millisecond)
}

func TestTooManyReaders(t *testing.T) {
	ts := startServer(t, &fakeBackend{status: twoMembers()}, nil)
	for range maxStreams {
		events, _ := watch(t, ts)
		skipStates(t, events, 1)
	}
	err := ts.client.Watch(t.Context(), func(Event) error { return nil })
	require.EqualError(t, err, "64 readers of events already; end one of them")
	_, err = ts.client.Status(t.Context())
	require.NoError(t, err)
}
