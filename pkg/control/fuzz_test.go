// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// Whatever is asked, the answer is JSON, errors are one line, and nothing is
// changed but by a POST of root to the interface that was named.
func FuzzRequest(f *testing.F) {
	for _, path := range []string{"/v1/status", "/v1/history?id=1", "/v1/history?id=%zz", "/v1/version", "/v1/interfaces/hme0/offline?force=1",
		"/v1/interfaces/hme0/online", "/v1/interfaces/../online", "/v1/interfaces/%2e%2e/online", "/v1/reload", "/v1/release?group=g", "/v1/release", "/v1/release?group=%zz",
		"/v1/probes", "//v1/status", "/v1/", "", "*", "/v1/interfaces/a%2fb/offline", "/v1/interfaces/%00/offline"} {
		f.Add("GET", path, "", false)
		f.Add("POST", path, "x", true)
	}
	f.Fuzz(func(t *testing.T, method, target, body string, root bool) {
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Path == "/v1/events" || u.Path == "/v1/probes" {
			return
		}
		backend := &fakeBackend{status: twoMembers()}
		s := NewServer(ServerOptions{Backend: backend, Events: &Broadcaster{}, Version: func() Version { return Version{} }, Probes: func(_ context.Context, f func(Probe) error) error { return f(Probe{}) }, Log: slog.New(slog.DiscardHandler)})
		uid := uint32(1000)
		if root {
			uid = 0
		}
		r := httptest.NewRequest("GET", "/", strings.NewReader(body))
		r.Method, r.URL = method, u
		w := httptest.NewRecorder()
		s.serve(w, r.WithContext(context.WithValue(r.Context(), peerKey{}, uid)))

		if !json.Valid(w.Body.Bytes()) {
			t.Fatalf("not JSON: %q", w.Body)
		}
		if w.Code != http.StatusOK {
			var e struct{ Error string }
			if json.Unmarshal(w.Body.Bytes(), &e) != nil || e.Error == "" || strings.ContainsAny(e.Error, "\n\r") {
				t.Fatalf("not an error of one line: %q", w.Body)
			}
		}
		for _, c := range backend.commands {
			if method != "POST" || !root {
				t.Fatalf("%s as uid %d did %+v", method, uid, c)
			}
			if c.Verb == Release && u.Path == "/v1/release" && u.RawQuery == "" == (c.Group == "") {
				continue
			}
			if u.Path != "/v1/interfaces/"+c.Interface+"/"+c.Verb || !validIfname(c.Interface) {
				t.Fatalf("%q did %+v", u.Path, c)
			}
		}
		if len(backend.commands) > 1 || len(backend.commands) == 1 && w.Code != http.StatusOK {
			t.Fatalf("%d after %+v", w.Code, backend.commands)
		}
	})
}

// Whatever a peer sends that is no daemon, the client returns.
func FuzzClientAnswers(f *testing.F) {
	f.Add(200, `{"version":"x","groups":null}`)
	f.Add(200, `[`)
	f.Add(409, `{"error":"a; b"}`)
	f.Add(500, `<html>`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		c := NewClient("/nowhere")
		c.http.Transport = answer{status, body}
		if s, err := c.Status(t.Context()); (s == nil) == (err == nil) {
			t.Fatalf("%v, %v", s, err)
		}
		if e, err := c.HistoryEntry(t.Context(), 1); (e == nil) == (err == nil) {
			t.Fatalf("%v, %v", e, err)
		}
		if err := c.Online(t.Context(), "hme0"); (err == nil) != (status == http.StatusOK) {
			t.Fatalf("%d: %v", status, err)
		}
		if c.Watch(t.Context(), func(Event) error { return nil }) == nil {
			t.Fatal("a stream that ends is an error")
		}
	})
}

type answer struct {
	status int
	body   string
}

func (a answer) RoundTrip(*http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.Body.WriteString(a.body)
	resp := w.Result()
	resp.StatusCode = a.status
	return resp, nil
}
