// SPDX-License-Identifier: Apache-2.0

package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// stream begins an answer of one JSON object a line. The caller ends it with the second function,
// when the reader goes away, stops reading or the server ends.
func (s *Server) stream(w http.ResponseWriter) (write func(any) error, end func(), err error) {
	if s.streams.Add(1) > maxStreams {
		s.streams.Add(-1)
		return nil, nil, &Error{http.StatusServiceUnavailable, fmt.Sprintf("%d readers of events already", maxStreams), "end one of them"}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	rc := http.NewResponseController(w)
	// net/http waits for the reader to hang up, and would take the end of the
	// time for reading the request for that.
	_ = rc.SetReadDeadline(time.Time{})
	write = func(v any) error {
		line, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if err := rc.SetWriteDeadline(time.Now().Add(s.writeTimeout)); err != nil {
			return err
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
		return rc.Flush()
	}
	return write, func() { s.streams.Add(-1) }, nil
}

// events streams the state now, then every event.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	write, end, err := s.stream(w)
	if err != nil {
		return err
	}
	defer end()
	// First subscribe, then look: a change in between is told twice, not never.
	sub := s.opts.Events.Subscribe(s.queueLength)
	defer sub.Close()
	_ = http.NewResponseController(w).Flush()
	for _, e := range s.opts.Backend.Status().StateEvents(time.Now()) {
		if write(e) != nil {
			return nil
		}
	}
	for {
		e, err := sub.Next(r.Context())
		if err != nil || write(e) != nil {
			return nil
		}
	}
}

// probes streams probes as they are answered or lost.
func (s *Server) probes(w http.ResponseWriter, r *http.Request) error {
	write, end, err := s.stream(w)
	if err != nil {
		return err
	}
	defer end()
	_ = http.NewResponseController(w).Flush()
	_ = s.opts.Probes(r.Context(), func(p Probe) error { return write(p) })
	return nil
}
