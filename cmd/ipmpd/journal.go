// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/control"
)

const (
	// maxHistory is how many entries are kept (contract section 4).
	maxHistory = 1000
	// idReserve is how far the file's next_id is ahead of the ids in use, so
	// that a daemon that is killed before its last write does not give an id
	// twice. A clean end writes the exact number.
	idReserve = 64
	// retryWrite is the time to the next try when the file could not be written.
	retryWrite = 5 * time.Second
)

// journal is what the daemon remembers over restarts: its history, what the operator has taken out
// of service, and what the host was before.
// Writing to the file is Run's work, so Add and Update never wait for a disk; SetUndo does.
// All methods may be called concurrently.
type journal struct {
	path  string
	log   *slog.Logger
	dirty chan struct{}

	writing  sync.Mutex // the file; taken before mu
	mu       sync.Mutex
	state    State
	reserved uint64 // the next_id of the file
}

// openJournal reads the state file at path. Its loss is survivable: a file
// that is damaged is set aside, one that cannot be read is as good as none;
// both are logged.
func openJournal(path string, log *slog.Logger) *journal {
	j := &journal{path: path, log: log, dirty: make(chan struct{}, 1), state: loadState(path, log)}
	for i := range j.state.History {
		e := &j.state.History[i]
		e.Moved = j.shared(e.Moved)
	}
	if another := j.state.here(); another != "" {
		log.Info("the state file is of another "+another+"; only its history is used", "file", path)
	}
	j.reserve()
	j.touch() // the first write makes the reservation good
	return j
}

// reserve keeps the reservation ahead of the ids in use. Called with mu held,
// or before anybody else knows j.
func (j *journal) reserve() {
	if j.reserved < j.state.NextID+idReserve/2 {
		j.reserved = j.state.NextID + idReserve
	}
}

func (j *journal) touch() {
	select {
	case j.dirty <- struct{}{}:
	default:
	}
}

// Add appends an entry and returns the id that it was given.
func (j *journal) Add(e control.HistoryEntry) uint64 {
	e = e.Clone()
	j.mu.Lock()
	defer j.mu.Unlock()
	e.ID = j.state.NextID
	j.state.NextID++
	j.reserve()
	e.Moved = j.shared(e.Moved)
	j.state.History = append(j.state.History, e)
	if over := len(j.state.History) - maxHistory; over > 0 {
		j.state.History = slices.Clone(j.state.History[over:])
	}
	j.touch()
	return e.ID
}

// Update changes an entry, and tells whether it is still there.
func (j *journal) Update(id uint64, change func(*control.HistoryEntry)) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	i, ok := slices.BinarySearchFunc(j.state.History, id, func(e control.HistoryEntry, id uint64) int {
		return cmp.Compare(e.ID, id)
	})
	if !ok {
		return false
	}
	// Readers may hold the old entry, so a new one takes its place.
	e := j.state.History[i].Clone()
	change(&e)
	e.ID = id
	e = e.Clone()
	e.Moved = j.shared(e.Moved)
	j.state.History[i] = e
	j.touch()
	return true
}

// shared is the same list of moves as an entry has already, if one has: a member's failure moves the same
// addresses each time, and of a thousand there may be a thousand entries. Called with mu held.
func (j *journal) shared(moved control.List[control.Moved]) control.List[control.Moved] {
	for i := range j.state.History {
		if other := j.state.History[i].Moved; len(other) > 0 && slices.Equal(other, moved) {
			return other
		}
	}
	return moved
}

// SetOffline remembers that an interface is out of service, or no longer.
func (j *journal) SetOffline(ifname string, offline bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	others := slices.DeleteFunc(slices.Clone(j.state.Offline), func(name string) bool { return name == ifname })
	if offline {
		others = append(others, ifname)
	}
	j.state.Offline = others
	j.touch()
}

// Offline tells whether an interface is out of service by the operator's word.
func (j *journal) Offline(ifname string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Contains(j.state.Offline, ifname)
}

// Undo returns what the host was before. It is the caller's to change.
func (j *journal) Undo() addr.Undo {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state.Undo.Clone()
}

// SetUndo remembers what the host was before, and returns when that is on the disk.
func (j *journal) SetUndo(u addr.Undo) error {
	u = u.Clone()
	j.mu.Lock()
	j.state.Undo = u
	j.mu.Unlock()
	return j.write(false)
}

// write the file as of now, so that no older state replaces a newer one.
func (j *journal) write(exact bool) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	return writeState(j.path, j.snapshot(exact))
}

// History returns the entries, newest last. They are the caller's to read,
// and do not change.
func (j *journal) History() []control.HistoryEntry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone([]control.HistoryEntry(j.state.History))
}

// snapshot is what to write; exact is for the last time.
func (j *journal) snapshot(exact bool) State {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.state
	s.History = slices.Clone(s.History)
	if !exact {
		s.NextID = j.reserved
	}
	return s
}

// Run writes the file after every change, until ctx ends, and once more then.
// A file that cannot be written is logged and tried again; it is no reason to
// end.
func (j *journal) Run(ctx context.Context) error {
	failing := false
	write := func(exact bool) bool {
		err := j.write(exact)
		if err != nil && !failing {
			j.log.Warn("the state file is not written; history will not survive a restart", "error", err)
		}
		if err == nil && failing {
			j.log.Info("the state file is written again", "file", j.path)
		}
		failing = err != nil
		return !failing
	}
	for {
		select {
		case <-ctx.Done():
			write(true)
			return nil
		case <-j.dirty:
		}
		if write(false) {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryWrite):
			j.touch()
		}
	}
}
