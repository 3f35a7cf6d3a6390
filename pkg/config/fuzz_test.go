// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParse: whatever the file holds, the answer is a configuration that keeps the contract's
// limits, or one line of error with a place inside the file.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{two, tested, "groups: {g: {interfaces: {a: }, probe: link}}", "http: {}\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := Parse("f", data)
		if (cfg == nil) == (err == nil) {
			t.Fatalf("config %v and error %v", cfg, err)
		}
		if err != nil {
			checkError(t, data, err)
			return
		}
		if len(cfg.Groups) == 0 || len(cfg.Groups) > maxGroups {
			t.Fatalf("%d groups", len(cfg.Groups))
		}
		for i := range cfg.Groups {
			checkParsed(t, &cfg.Groups[i])
		}
	})
}

func checkError(t *testing.T, data []byte, err error) {
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%T", err)
	}
	if e.Cause == "" || e.Advice == "" || strings.ContainsAny(e.Error(), "\n\r") {
		t.Fatalf("not one line of cause and advice: %q", e.Error())
	}
	lines := bytes.Split(bytes.ReplaceAll(data, []byte("\r"), []byte("\n")), []byte("\n"))
	if e.Line < 1 || e.Line > len(lines) || e.Column < 1 || e.Column > utf8.RuneCount(data)+1 {
		t.Fatalf("%d:%d is no place in a file of %d lines", e.Line, e.Column, len(lines))
	}
}

func checkParsed(t *testing.T, g *Group) {
	if g.Interval() < minInterval || g.Misses < 1 || g.Repair < 1 || g.Announce.Count < 1 {
		t.Fatalf("out of range: %+v", g)
	}
	standby := make(map[string]bool)
	for _, m := range g.Interfaces {
		if _, twice := standby[m.Name]; twice {
			t.Fatalf("%s twice", m.Name)
		}
		standby[m.Name] = m.Standby
	}
	if len(standby) == 0 {
		t.Fatal("no interfaces")
	}
	for _, a := range g.Addresses {
		if is, known := standby[a.Home]; !known || is || !a.Prefix.IsValid() {
			t.Fatalf("home %q of %s", a.Home, a.Prefix)
		}
	}
	for _, r := range g.Routes {
		if r.To != r.To.Masked() || r.Via.IsValid() && r.Via.Is4() != r.To.Addr().Is4() {
			t.Fatalf("route %+v", r)
		}
	}
}
