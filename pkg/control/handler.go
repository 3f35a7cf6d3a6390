// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// serve is every request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	// A body has no meaning here yet; it is read so far that one which is too
	// large is told so.
	n, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		writeError(w, &Error{http.StatusRequestEntityTooLarge, fmt.Sprintf("the request's body is larger than %d bytes", maxBody), "send none"})
		return
	case err != nil:
		writeError(w, badRequest(fmt.Sprintf("the request's body broke off after %d bytes", n), "send all of it, or none"))
		return
	}
	rt, err := parseRequest(r.Method, r.URL.Path)
	if err == nil && rt.write && !mayWrite(r.Context()) {
		err = &Error{http.StatusForbidden, "only root may change something", "use sudo"}
	}
	if err == nil {
		err = s.answer(rt, w, r)
	}
	if err != nil {
		writeError(w, err)
	}
}

// answer carries out a request that may be carried out. An error means that
// nothing has been written.
func (s *Server) answer(rt route, w http.ResponseWriter, r *http.Request) error {
	switch rt.name {
	case "status":
		writeJSON(w, http.StatusOK, s.opts.Backend.Status())
	case "history":
		return s.history(w, r)
	case "version":
		writeJSON(w, http.StatusOK, s.opts.Version())
	case "events":
		return s.events(w, r)
	case "probes":
		return s.probes(w, r)
	case Offline, Online:
		return s.moveCommand(rt, w, r)
	case "reload":
		return s.reload(w, r)
	case Release:
		return s.release(w, r)
	default:
		return NotBuilt(rt.name)
	}
	return nil
}

func (s *Server) history(w http.ResponseWriter, r *http.Request) error {
	entries := List[HistoryEntry](s.opts.Backend.History())
	query := r.URL.Query()
	if !query.Has("id") {
		w.Header().Set("Content-Type", "application/json")
		out := bufio.NewWriter(w)
		_ = entries.Encode(out) // who reads is gone, if anything
		_ = out.WriteByte('\n')
		_ = out.Flush()
		return nil
	}
	id, err := strconv.ParseUint(query.Get("id"), 10, 64)
	if err != nil {
		return badRequest(fmt.Sprintf("%.40q is no history id", query.Get("id")), "give a number from the list that `ipmpd history` prints")
	}
	for _, e := range entries {
		if e.ID == id {
			writeJSON(w, http.StatusOK, List[HistoryEntry]{e})
			return nil
		}
	}
	return NotFound(fmt.Sprintf("no history entry %d", id), "the ids that exist are listed by `ipmpd history`")
}

func (s *Server) moveCommand(rt route, w http.ResponseWriter, r *http.Request) error {
	force := false
	if query := r.URL.Query(); query.Has("force") {
		var err error
		if force, err = strconv.ParseBool(query.Get("force")); err != nil {
			return badRequest(fmt.Sprintf("force=%.40q is neither 1 nor 0", query.Get("force")), "say force=1, or leave it out")
		}
	}
	return s.command(Command{Verb: rt.name, Interface: rt.ifname, Force: force}, w, r)
}

// release takes its query seriously: whatever names no group is not all of them.
func (s *Server) release(w http.ResponseWriter, r *http.Request) error {
	if r.URL.RawQuery == "" {
		return s.command(Command{Verb: Release}, w, r)
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(query) != 1 || len(query["group"]) != 1 || query.Get("group") == "" {
		return badRequest(fmt.Sprintf("%.60q does not name one group", r.URL.RawQuery), "say group=NAME, or leave it out to release all of them")
	}
	return s.command(Command{Verb: Release, Group: query.Get("group")}, w, r)
}

func (s *Server) command(c Command, w http.ResponseWriter, r *http.Request) error {
	// The engine may take as long as the move takes; the reader waits.
	rc := http.NewResponseController(w)
	_ = errors.Join(rc.SetReadDeadline(time.Time{}), rc.SetWriteDeadline(time.Time{}))
	if err := s.opts.Backend.Command(r.Context(), c); err != nil {
		return fmt.Errorf("%s: %w", strings.TrimSpace(c.Verb+" "+c.Interface), err)
	}
	_ = rc.SetWriteDeadline(time.Now().Add(s.writeTimeout))
	writeJSON(w, http.StatusOK, struct{}{})
	return nil
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) error {
	rc := http.NewResponseController(w)
	_ = errors.Join(rc.SetReadDeadline(time.Time{}), rc.SetWriteDeadline(time.Time{}))
	answer, err := s.opts.Backend.Reload(r.Context())
	if err != nil {
		return err // it names a place in a file, which comes first
	}
	_ = rc.SetWriteDeadline(time.Now().Add(s.writeTimeout))
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func errorBody(text string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	// A struct of one string always encodes.
	_ = enc.Encode(struct {
		Error string `json:"error"`
	}{strings.ToValidUTF8(text, "?")})
	return b.Bytes()
}

func writeError(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var e *Error
	if errors.As(err, &e) && e.Status != 0 {
		status = e.Status
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(errorBody(err.Error()))
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		writeError(w, fmt.Errorf("encode the answer: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
