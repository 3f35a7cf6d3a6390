// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/detect"
	"github.com/ipmpd/ipmpd/pkg/group"
)

// listener is an engine of which only the events count; heard returns those since the last call, as
// EVENT GROUP INTERFACE FAMILY ADDRESS | DETAIL.
func listener(t *testing.T, units ...*unit) (e *engine, heard func() []string) {
	e = &engine{log: slog.New(slog.DiscardHandler), public: &control.Broadcaster{}, units: units}
	s := e.public.Subscribe(0)
	t.Cleanup(s.Close)
	heard = func() []string {
		list := []string{}
		e.event(control.Event{Event: "mark"})
		for {
			ev, err := s.Next(t.Context())
			require.NoError(t, err)
			if ev.Event == "mark" {
				return list
			}
			require.False(t, ev.Time.IsZero())
			list = append(list, fmt.Sprintf("%s %s %s %s %s | %s", ev.Event, ev.Group, ev.Interface, ev.Family, ev.Address, ev.Detail))
		}
	}
	return e, heard
}

// sketch of a unit with members and a group in a state of its own.
func sketch(name string, members ...string) *unit {
	u := &unit{cfg: &config.Group{Name: name}}
	var c group.Config
	var start group.Start
	for i, m := range members {
		u.members = append(u.members, &member{cfg: &config.Interface{Name: m}, index: i, ifindex: i + 1})
		c.Members = append(c.Members, group.MemberConfig{Name: m})
		start.Members = append(start.Members, group.MemberStart{Exists: true, Link: group.LinkUp})
	}
	u.state, _ = group.New(c, 0, start)
	return u
}

// What no step leads to is told all the same: everything at a start, what is new after a reload.
func TestTellStates(t *testing.T) {
	blue := sketch("blue", "a", "b")
	e, heard := listener(t, blue)
	e.tellStates(nil)
	require.Equal(t, []string{
		"group-state blue    | ok", "interface-state blue a both  | unknown", "interface-state blue b both  | unknown",
	}, heard())

	before := e.states()
	e.tellStates(before)
	require.Empty(t, heard())
	blue.state.Step(time.Second, group.LinkChanged{Member: 1, Link: group.LinkDown})
	e.units = append(e.units, sketch("red", "c"))
	e.tellStates(before)
	require.Equal(t, []string{
		"group-state blue    | degraded", "interface-state blue b both  | failed link",
		"group-state red    | ok", "interface-state red c both  | unknown",
	}, heard())
}

func TestTellKinds(t *testing.T) {
	for _, r := range []struct {
		old, is detect.Kind
		want    string
	}{
		{detect.KindICMP, detect.KindARP, "interface-state blue a ipv6  | unknown: its test address is gone, probed by arp"},
		{detect.KindARP, detect.KindICMP, "interface-state blue a ipv6  | unknown: it has a test address, probed by icmp"},
		{detect.KindICMP, detect.KindNone, "interface-state blue a ipv6  | unknown: its test address is gone, not probed"},
		{detect.KindNone, detect.KindICMP, ""},
		{detect.KindICMP, detect.KindICMP, ""},
		{detect.KindARP, detect.KindNone, ""},
	} {
		u := sketch("blue", "a")
		e, heard := listener(t, u)
		u.members[0].kind[1] = r.is
		e.tellKinds(u, u.members[0], [2]detect.Kind{detect.KindNone, r.old})
		if r.want == "" {
			require.Empty(t, heard())
			continue
		}
		require.Equal(t, []string{r.want}, heard())
		u.state = nil
		e.tellKinds(u, u.members[0], [2]detect.Kind{detect.KindNone, r.old})
		require.Empty(t, heard(), "at the start there is nothing to compare with")
		u = sketch("blue", "a")
		u.members[0].kind[1], u.members[0].ifindex = r.is, 0
		e.tellKinds(u, u.members[0], [2]detect.Kind{detect.KindNone, r.old})
		require.Empty(t, heard(), "of an interface that is gone that is said")
	}
}

// Findings of the tracker that change no state, and the link that is back before the member is good.
func TestTellsWhatWaits(t *testing.T) {
	u := sketch("blue", "a", "b")
	e, heard := listener(t, u)
	u.state.Step(time.Second, group.HealthChanged{Member: 1, Family: group.Both, Health: group.Failed, Cause: group.CauseProbe})
	e.finding(u, u.members[1], detect.Finding{Kind: detect.FindWaits, Family: detect.Both, Why: "repair waits, 2 in the last minute are enough"})
	require.Equal(t, []string{"interface-state blue b both  | failed probe: repair waits, 2 in the last minute are enough"}, heard())
}
