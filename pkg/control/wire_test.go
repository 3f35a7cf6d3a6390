// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return string(data)
}

// What a reader gets of something of which nothing is known.
func TestEmptyJSON(t *testing.T) {
	for _, tt := range []struct {
		v    any
		want string
	}{
		{Status{}, `{"version":"","heartbeat_age_ns":null,"groups":[],"monitor":[]}`},
		{Group{}, `{"name":"","state":"","failback":false,"detection_time_ns":0,"achievable_detection_time_ns":null,` +
			`"interfaces":[],"addresses":[],"routes":[],"foreign_addresses":[],"foreign_routes":[],"foreign_route_count":0}`},
		{Interface{}, `{"name":"","state":"","active":false,"standby":false,"link":"","probe":"","probe_kind":"","note":"",` +
			`"attach":"","cause":"","flaps":0,"index":null,"mtu":null,"mac":"","test_addresses":[],"probes_from":{},"targets_from":{},"targets":[],"rtt_p50_ns":null,"rtt_p99_ns":null,` +
			`"rounds_sent":null,"rounds_missed":null,"families":{}}`},
		{Family{}, `{"state":"","active":false,"probe":"","targets":[],"rtt_p50_ns":null,"rtt_p99_ns":null,` +
			`"rounds_sent":null,"rounds_missed":null}`},
		{Address{}, `{"address":"","state":"","interface":"","home":""}`},
		{Route{}, `{"to":"","via":"","interfaces":[],"origin":""}`},
		{ForeignAddress{}, `{"address":"","interface":""}`},
		{HistoryEntry{}, `{"id":0,"time":"0001-01-01T00:00:00Z","group":"","kind":"","interface":"","family":"","cause":"",` +
			`"detail":"","moved":[],"complete":false,"failed":[],"timeline_ns":{}}`},
		{Moved{}, `{"address":"","from":"","to":""}`},
		{Failed{}, `{"address":"","step":"","error":""}`},
		{Event{}, `{"time":"0001-01-01T00:00:00Z","event":"","group":"","interface":"","family":"","address":"","detail":""}`},
		{Probe{}, `{"time":"0001-01-01T00:00:00Z","group":"","interface":"","family":"","probe":0,"state":"","target":"",` +
			`"rtt_ns":null,"rtt_avg_ns":null,"rtt_dev_ns":null}`},
		{Version{}, `{"version":"","commit":"","go":"","kernel":"","features":[]}`},
		{List[HistoryEntry](nil), `[]`},
		{Reload{}, `{"summary":"","warnings":[]}`},
	} {
		require.Equal(t, tt.want, mustJSON(t, tt.v), "%T", tt.v)
	}
}

func TestEncodeList(t *testing.T) {
	for _, l := range []List[Moved]{nil, {}, {{To: "hme1"}}, {{To: "hme1"}, {From: "<"}}} {
		var out strings.Builder
		require.NoError(t, l.Encode(&out))
		require.Equal(t, mustJSON(t, l), out.String())
	}
}

func TestFullJSON(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.UTC)
	require.Equal(t, `{"id":7,"time":"2026-01-02T03:04:05.123456789Z","group":"g","kind":"failover","interface":"hme0","family":"ipv4",`+
		`"cause":"probe","detail":"both","moved":[{"address":"192.0.2.10/24","from":"hme0","to":"hme1"}],"complete":true,`+
		`"failed":[{"address":"192.0.2.11/24","step":"add","error":"no"}],`+
		`"timeline_ns":{"last_reply":0,"verdict":301000,"egress_switched":302000,"first_announcement":330000,"announced":350000,"routes":380000,"addresses":420000}}`,
		mustJSON(t, HistoryEntry{ID: 7, Time: at, Group: "g", Kind: "failover", Interface: "hme0", Family: "ipv4",
			Cause: "probe", Detail: "both", Moved: []Moved{{"192.0.2.10/24", "hme0", "hme1"}}, Complete: true,
			Failed: []Failed{{"192.0.2.11/24", "add", "no"}},
			Timeline: Timeline{LastReply: new(int64(0)), Verdict: new(int64(301000)), EgressSwitched: new(int64(302000)),
				FirstAnnouncement: new(int64(330000)), Announced: new(int64(350000)), Routes: new(int64(380000)), Addresses: new(int64(420000))}}))
	require.Equal(t, `{"time":"2026-01-02T03:04:05.123456789Z","event":"gap","group":"","interface":"","family":"","address":"","detail":"3 events lost","lost":3}`,
		mustJSON(t, Event{Time: at, Event: EventGap, Detail: "3 events lost", Lost: 3}))
	require.Equal(t, `{"version":"v","commit":"c","go":"g","kernel":"k","features":["tcx"]}`,
		mustJSON(t, Version{"v", "c", "g", "k", []string{"tcx"}}))
}

// Whatever is added to the wire types must keep the promises of the contract:
// a list is never null, only what the contract says may be absent is, and
// durations say their unit.
func TestWireTypesKeepPromises(t *testing.T) {
	mayBeAbsent := map[string]bool{"Event.Lost": true, "Probe.Lost": true}
	seen := make(map[reflect.Type]bool)
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		if typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
			walk(typ.Elem())
			return
		}
		if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[time.Time]() || seen[typ] {
			return
		}
		seen[typ] = true
		for f := range typ.Fields() {
			name := typ.Name() + "." + f.Name
			tag := f.Tag.Get("json")
			require.NotEmpty(t, tag, name)
			if typ != reflect.TypeFor[Timeline]() && !mayBeAbsent[name] {
				require.NotContains(t, tag, "omit", name)
			}
			if f.Type.Kind() == reflect.Slice || f.Type.Kind() == reflect.Map {
				require.True(t, f.Type.Implements(reflect.TypeFor[json.Marshaler]()), "%s would be null when nil", name)
			}
			require.NotEqual(t, reflect.TypeFor[time.Duration](), f.Type, name)
			require.NotEqual(t, reflect.Interface, f.Type.Kind(), name)
			require.Equal(t, strings.HasSuffix(f.Name, "NS") || f.Type == reflect.TypeFor[Timeline](), strings.HasSuffix(tag, "_ns"), name)
			walk(f.Type)
		}
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[Status](), reflect.TypeFor[HistoryEntry](), reflect.TypeFor[Event](), reflect.TypeFor[Version]()} {
		walk(typ)
	}
	require.Len(t, seen, 14)
}

// The examples of the contract are read without a field left over, and what is
// written has the same fields.
func TestContractExamples(t *testing.T) {
	text, err := os.ReadFile("../../docs/contract.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "## 4. JSON")
	require.True(t, found)
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(section, -1)
	require.Len(t, blocks, 2)

	var status Status
	roundTrip(t, blocks[0][1], &status)
	require.Equal(t, "hme0", status.Groups[0].Interfaces[0].Name)

	// The kind of a moment is not a time in the example.
	history := strings.Replace(blocks[1][1], `"time":"…"`, `"time":"2026-01-02T03:04:05.123456789Z"`, 1)
	var entries List[HistoryEntry]
	roundTrip(t, history, &entries)
	require.Equal(t, int64(420000), *entries[0].Timeline.Addresses)

	event := regexp.MustCompile("one object a line, `\\{(.*?)\\}`").FindStringSubmatch(section)
	require.NotNil(t, event)
	require.Equal(t, strings.Split(strings.ReplaceAll(event[1], `"`, ""), ","), jsonNames(reflect.TypeFor[Event]())[:7])
}

func roundTrip(t *testing.T, text string, v any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(v))
	var want, got bytes.Buffer
	require.NoError(t, json.Compact(&want, []byte(text)))
	require.NoError(t, json.Compact(&got, []byte(mustJSON(t, v))))
	require.JSONEq(t, want.String(), got.String())
}

func jsonNames(typ reflect.Type) []string {
	var names []string
	for f := range typ.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

func TestSetFamilies(t *testing.T) {
	for _, tt := range []struct {
		name     string
		families Families
		want     Interface // Families are left out
	}{
		{"none leaves what was set", nil, Interface{Name: "hme0", State: "missing"}},
		{"only IPv6", Families{"ipv6": {State: "ok", Active: true, Probe: "ok", RTTP50NS: new(int64(5))}},
			Interface{Name: "hme0", State: "ok", Active: true, Probe: "ok", RTTP50NS: new(int64(5))}},
		{"failed is worse than ok, active where either is",
			Families{"ipv4": {State: "failed", Probe: "failed", RoundsMissed: new(uint64(9))}, "ipv6": {State: "ok", Active: true, Probe: "ok"}},
			Interface{Name: "hme0", State: "failed", Active: true, Probe: "failed", RoundsMissed: new(uint64(9))}},
		{"the other way round",
			Families{"ipv4": {State: "ok", Active: true, Probe: "ok"}, "ipv6": {State: "failed", Probe: "failed"}},
			Interface{Name: "hme0", State: "failed", Active: true, Probe: "failed"}},
		{"unknown is worse than ok",
			Families{"ipv4": {State: "ok", Probe: "ok"}, "ipv6": {State: "unknown", Probe: "unknown"}},
			Interface{Name: "hme0", State: "unknown", Probe: "unknown"}},
		{"equal states: the slower",
			Families{"ipv4": {State: "ok", Probe: "ok", RTTP99NS: new(int64(10))}, "ipv6": {State: "ok", Probe: "ok", RTTP99NS: new(int64(20)), Targets: []string{"2001:db8::1"}}},
			Interface{Name: "hme0", State: "ok", Probe: "ok", RTTP99NS: new(int64(20)), Targets: []string{"2001:db8::1"}}},
		{"equal states: the measured one",
			Families{"ipv4": {State: "ok", Probe: "ok", RTTP99NS: new(int64(10))}, "ipv6": {State: "ok", Probe: "ok"}},
			Interface{Name: "hme0", State: "ok", Probe: "ok", RTTP99NS: new(int64(10))}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Interface{Name: "hme0", State: "missing"}
			got.SetFamilies(tt.families)
			require.Equal(t, tt.families, got.Families)
			got.Families = nil
			require.Equal(t, tt.want, got)
		})
	}
}

func TestClone(t *testing.T) {
	e := HistoryEntry{Moved: []Moved{{"a", "b", "c"}}, Failed: []Failed{{"a", "b", "c"}}, Timeline: Timeline{Verdict: new(int64(1)), Routes: new(int64(3))}}
	c := e.Clone()
	require.Equal(t, e, c)
	c.Moved[0].To, c.Failed[0].Step, *c.Timeline.Verdict = "x", "x", 2
	require.Equal(t, HistoryEntry{Moved: []Moved{{"a", "b", "c"}}, Failed: []Failed{{"a", "b", "c"}}, Timeline: Timeline{Verdict: new(int64(1)), Routes: new(int64(3))}}, e)
}

func TestSteps(t *testing.T) {
	require.Empty(t, Timeline{}.Steps())
	require.Equal(t, []Step{{"last_reply", 0}, {"verdict", 3}, {"announced", 4}, {"routes", 4}, {"addresses", 9}},
		Timeline{LastReply: new(int64(0)), Verdict: new(int64(3)), Announced: new(int64(4)), Routes: new(int64(4)), Addresses: new(int64(9))}.Steps())
	require.Equal(t, []Step{{"egress_switched", 1}, {"verdict", 2}},
		Timeline{Verdict: new(int64(2)), EgressSwitched: new(int64(1))}.Steps(), "earliest first")
}
