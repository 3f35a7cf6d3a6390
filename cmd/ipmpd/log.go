// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"log/slog"

	sdjournal "github.com/coreos/go-systemd/v22/journal"
)

// newLogger is the daemon's log: text, a line a record. For the journal, which
// has its own clock, lines carry their priority instead of the time.
func newLogger(w io.Writer, level slog.Leveler, toJournal bool) *slog.Logger {
	if !toJournal {
		return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
	}
	return slog.New(slog.NewTextHandler(priorityWriter{w}, &slog.HandlerOptions{Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
				return slog.Attr{}
			}
			return a
		}}))
}

// stderrIsJournal tells whether systemd has connected stderr to the journal.
func stderrIsJournal() bool {
	is, err := sdjournal.StderrIsJournalStream()
	return err == nil && is
}

// priorityWriter puts sd-daemon(3)'s <PRIORITY> before records that begin with
// their level; slog's text handler writes a record at a time.
type priorityWriter struct{ w io.Writer }

func (p priorityWriter) Write(record []byte) (int, error) {
	priority := "<6>"
	switch {
	case bytes.HasPrefix(record, []byte("level=ERROR")):
		priority = "<3>"
	case bytes.HasPrefix(record, []byte("level=WARN")):
		priority = "<4>"
	case bytes.HasPrefix(record, []byte("level=DEBUG")):
		priority = "<7>"
	}
	if _, err := p.w.Write(append([]byte(priority), record...)); err != nil {
		return 0, err
	}
	return len(record), nil
}
