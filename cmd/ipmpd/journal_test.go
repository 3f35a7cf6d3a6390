// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/control"
)

// runJournal opens a journal and starts its writer; end stops that in good order.
func runJournal(t *testing.T, path string) (j *journal, end func()) {
	t.Helper()
	j = openJournal(path, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx) }()
	end = sync.OnceFunc(func() { cancel(); require.NoError(t, <-ended) })
	t.Cleanup(end)
	return j, end
}

func readState(t *testing.T, path string) (s State) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &s))
	return s
}

func ids(entries []control.HistoryEntry) []uint64 {
	var out []uint64
	for _, e := range entries {
		out = append(out, e.ID)
	}
	return out
}

func TestJournalOverRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "ipmpd.sock.state")
	j, end := runJournal(t, path)
	require.Empty(t, j.History())
	require.Equal(t, uint64(1), j.Add(control.HistoryEntry{Kind: "failover", ID: 99}))
	require.Equal(t, uint64(2), j.Add(control.HistoryEntry{Kind: "repair", Timeline: control.Timeline{Verdict: new(int64(5))}}))
	end()
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.Equal(t, uint64(3), readState(t, path).NextID)

	again, _ := runJournal(t, path)
	want, err := json.Marshal(j.History())
	require.NoError(t, err)
	got, err := json.Marshal(again.History())
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
	require.Equal(t, uint64(3), again.Add(control.HistoryEntry{}))
	require.Equal(t, []uint64{1, 2, 3}, ids(again.History()))
}

// A thousand failovers of a thousand addresses are as much to remember as one.
func TestJournalSharesMoves(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	j, end := runJournal(t, path)
	moves := func(n int) (list control.List[control.Moved]) {
		for i := range n {
			list = append(list, control.Moved{Address: fmt.Sprintf("10.0.%d.%d/16", i/256, i%256), From: "hme0", To: "hme1"})
		}
		return list
	}
	check := func(h []control.HistoryEntry) {
		require.Len(t, h, 4)
		require.Equal(t, moves(500), h[3].Moved)
		require.Same(t, &h[0].Moved[0], &h[2].Moved[0])
		require.Same(t, &h[0].Moved[0], &h[3].Moved[0])
		require.NotSame(t, &h[0].Moved[0], &h[1].Moved[0])
	}
	j.Add(control.HistoryEntry{Moved: moves(500)})
	j.Add(control.HistoryEntry{Moved: moves(499)})
	j.Add(control.HistoryEntry{Moved: moves(500)})
	id := j.Add(control.HistoryEntry{Moved: moves(1)})
	require.True(t, j.Update(id, func(e *control.HistoryEntry) { e.Moved = moves(500) }))
	check(j.History())
	require.True(t, j.Update(1, func(e *control.HistoryEntry) { e.Moved[0].To = "hme2" }))
	require.Equal(t, moves(500), j.History()[3].Moved, "nobody else's")
	require.True(t, j.Update(1, func(e *control.HistoryEntry) { e.Moved = moves(500) }))
	end()
	again, _ := runJournal(t, path)
	check(again.History())
}

func TestEncodeState(t *testing.T) {
	for _, history := range []control.List[control.HistoryEntry]{nil, {{ID: 1}}, {{ID: 1, Detail: `"history":[]`}, {ID: 2, Complete: true}}} {
		s := State{Layout: stateLayout, NextID: 7, History: history, Boot: `"history":[]`, Offline: control.List[string]{"hme0"}}
		want, err := json.Marshal(s)
		require.NoError(t, err)
		var got bytes.Buffer
		require.NoError(t, encodeState(&got, s))
		require.Equal(t, string(want)+"\n", got.String())
	}
}

func TestJournalKeepsTheLast(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	j, end := runJournal(t, path)
	for range maxHistory + 5 {
		j.Add(control.HistoryEntry{})
	}
	h := j.History()
	require.Len(t, h, maxHistory)
	require.Equal(t, uint64(6), h[0].ID)
	require.False(t, j.Update(5, func(*control.HistoryEntry) { t.Error("it is gone") }))
	require.True(t, j.Update(6, func(*control.HistoryEntry) {}))
	end()
	require.Len(t, readState(t, path).History, maxHistory)
}

func TestJournalUpdate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	j, end := runJournal(t, path)
	given := control.HistoryEntry{Moved: []control.Moved{{Address: "a"}}, Timeline: control.Timeline{Verdict: new(int64(1))}}
	id := j.Add(given)
	before := j.History()
	change := func(e *control.HistoryEntry) {
		e.ID, e.Complete, e.Moved[0].To, *e.Timeline.Verdict = 77, true, "hme1", 2
	}
	require.True(t, j.Update(id, change))
	require.False(t, j.Update(id+1, change))
	require.Equal(t, "", before[0].Moved[0].To, "what a reader holds does not change")
	require.Equal(t, int64(1), *before[0].Timeline.Verdict)
	require.Equal(t, "", given.Moved[0].To, "nor what was given")
	after := j.History()[0]
	require.Equal(t, control.HistoryEntry{ID: id, Complete: true, Moved: []control.Moved{{Address: "a", To: "hme1"}},
		Timeline: control.Timeline{Verdict: new(int64(2))}}, after)
	end()
	require.Equal(t, after.Moved, readState(t, path).History[0].Moved)
}

// A daemon that is killed at any moment after its first write gives no id
// twice, though its last entries may be lost.
func TestJournalIDsAfterKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	j, _ := runJournal(t, path)
	eventually(t, func() bool { _, err := os.Stat(path); return err == nil })
	killed, err := os.ReadFile(path)
	require.NoError(t, err)
	var last uint64
	for range idReserve / 2 {
		last = j.Add(control.HistoryEntry{}) // never reach the file of which killed is a copy
	}
	other := filepath.Join(t.TempDir(), "s")
	require.NoError(t, os.WriteFile(other, killed, 0o600))
	again := openJournal(other, slog.New(slog.DiscardHandler))
	require.Greater(t, again.Add(control.HistoryEntry{}), last)
}

func TestJournalRaisesItsReservation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	j, _ := runJournal(t, path)
	var last uint64
	for range 3 * idReserve {
		last = j.Add(control.HistoryEntry{})
	}
	eventually(t, func() bool {
		data, err := os.ReadFile(path)
		var s State
		return err == nil && json.Unmarshal(data, &s) == nil && s.NextID > last+1
	})
}

func TestJournalDamaged(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		next       uint64
		cause      string
	}{
		{"empty", "", 1, "unexpected end of JSON"},
		{"cut off", `{"layout":1,"next_id":12,"history":[{"id":7,"time":"20`, 12 + idReserve, "unexpected end of JSON"},
		{"no next_id", `{"layout":1,"history":[{"id": 7},{"id":9`, 9 + idReserve, "unexpected end of JSON"},
		{"other layout", `{"layout":2,"next_id":5}`, 5 + idReserve, "its layout is 2, this version knows 1"},
		{"no layout", `{}`, 1, "its layout is 0"},
		{"ids twice", `{"layout":1,"next_id":5,"history":[{"id":3},{"id":3}]}`, 5 + idReserve, "do not ascend"},
		{"not an object", `[1]`, 1, "cannot unmarshal"},
		{"zeros", strings.Repeat("\x00", 4096), 1, "invalid character"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			require.NoError(t, os.WriteFile(path, []byte(tt.text), 0o600))
			var log bytes.Buffer
			j := openJournal(path, slog.New(slog.NewTextHandler(&log, nil)))
			require.Empty(t, j.History())
			require.Equal(t, tt.next, j.Add(control.HistoryEntry{}))
			aside, err := os.ReadFile(path + ".damaged")
			require.NoError(t, err)
			require.Equal(t, tt.text, string(aside))
			require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
			require.Contains(t, log.String(), tt.cause)
			require.Contains(t, log.String(), path+".damaged")
		})
	}
}

func TestJournalSurvivesOddFiles(t *testing.T) {
	s, err := parseState([]byte(`{"layout":1,"next_id":2,"history":[{"id":3}],"from_the_future":{"x":[1]}}`))
	require.NoError(t, err)
	require.Equal(t, uint64(4), s.NextID, "an id in use is never the next one")
	s, err = parseState([]byte(`{"layout":1}`))
	require.NoError(t, err)
	require.Equal(t, uint64(1), s.NextID)

	// Where the file cannot be, the daemon goes on without it and says so once.
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	require.NoError(t, os.Mkdir(path, 0o755))
	require.NoError(t, os.Mkdir(path+".damaged", 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(path+".damaged", "x"), nil, 0o600))
	var log lockedBuffer
	j := openJournal(path, slog.New(slog.NewTextHandler(&log, nil)))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx) }()
	eventually(t, func() bool { return strings.Contains(log.String(), "the state file is not written") })
	require.Equal(t, uint64(1), j.Add(control.HistoryEntry{}))
	cancel()
	require.NoError(t, <-ended)
	require.Equal(t, 1, strings.Count(log.String(), "is not written"), log.String())
	require.NoFileExists(t, path+".tmp")
}

// At every moment the file is whole: a reader never sees half of it.
func TestJournalIsReplacedAtomically(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	j, end := runJournal(t, path)
	eventually(t, func() bool { _, err := os.Stat(path); return err == nil })
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			for range 50 {
				id := j.Add(control.HistoryEntry{Detail: fmt.Sprint(n)})
				j.Update(id, func(e *control.HistoryEntry) { e.Complete = true })
			}
		})
	}
	for range 50 {
		readState(t, path)
	}
	wg.Wait()
	end()
	s := readState(t, path)
	require.Len(t, s.History, 200)
	for _, e := range s.History {
		require.True(t, e.Complete)
	}
	goleak.VerifyNone(t)
}

func FuzzStateFile(f *testing.F) {
	f.Add([]byte(`{"layout":1,"next_id":3,"history":[{"id":1,"timeline_ns":{"verdict":1}},{"id":2}]}`))
	f.Add([]byte(`{"layout":1,"next_id":-1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseState(data)
		if err != nil {
			salvageNextID(data)
			return
		}
		if n := len(s.History); n > maxHistory || n > 0 && s.NextID <= s.History[n-1].ID {
			t.Fatalf("%d entries, next %d", n, s.NextID)
		}
	})
}

func TestOfflineOutlivesTheDaemonButNotTheBoot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	j := openJournal(path, slog.New(slog.DiscardHandler))
	j.SetOffline("hme0", true)
	j.SetOffline("hme0", true)
	j.SetOffline("hme1", true)
	j.SetOffline("hme1", false)
	require.NoError(t, writeState(path, j.snapshot(true)))

	j = openJournal(path, slog.New(slog.DiscardHandler))
	require.True(t, j.Offline("hme0"))
	require.False(t, j.Offline("hme1"))

	s := j.snapshot(true)
	s.Boot = "another"
	require.NoError(t, writeState(path, s))
	j = openJournal(path, slog.New(slog.DiscardHandler))
	require.False(t, j.Offline("hme0"), "until reboot")
}

// Who had failed is remembered, of the same interface, in the same boot and network namespace.
func TestFailedOutlivesTheDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	j := openJournal(path, slog.New(slog.DiscardHandler))
	list := []failedMember{{"hme0", 7, [bpf.Families]bool{true, false}}}
	j.SetFailed(list)
	require.NoError(t, j.write(true))
	j = openJournal(path, slog.New(slog.DiscardHandler))
	require.Equal(t, [bpf.Families]bool{true, false}, j.Failed("hme0", 7))
	require.Zero(t, j.Failed("hme0", 8), "another interface of that name")
	require.Zero(t, j.Failed("hme1", 7))
	for _, change := range []func(*State){func(s *State) { s.Boot = "another" }, func(s *State) { s.NetNS++ }} {
		s := j.snapshot(true)
		change(&s)
		require.NoError(t, writeState(path, s))
		require.Zero(t, openJournal(path, slog.New(slog.DiscardHandler)).Failed("hme0", 7))
	}
}
