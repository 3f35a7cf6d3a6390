// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// hostState is what the daemon has made of the host, as text.
func (s *scene) hostState() map[string][]string {
	s.t.Helper()
	state := map[string][]string{}
	for _, m := range s.Members {
		prefixes, err := s.Host.Addresses(m.Name)
		require.NoError(s.t, err)
		for _, p := range prefixes {
			state[m.Name] = append(state[m.Name], p.String())
		}
	}
	routes, err := s.Host.Netlink.RouteList(nil, netlink.FAMILY_V4)
	require.NoError(s.t, err)
	for _, r := range routes {
		state["routes"] = append(state["routes"], r.String())
	}
	for _, list := range state {
		slices.Sort(list)
	}
	return state
}

// TestEndAndStartAgain: addresses, routes and traffic stay while there is no daemon, and the next
// one takes over what it finds. SIGKILL ends it like a crash.
func TestEndAndStartAgain(t *testing.T) {
	s := stage(t, setup{})
	tr := s.traffic()
	s.at("hme0", lab.Data)
	before := s.hostState()
	from := faults.Now()
	for _, end := range []func() error{s.daemon.Stop, s.daemon.Kill} {
		s.news()
		require.NoError(t, end(), "exit 0")
		require.Equal(t, before, s.hostState())
		s.at("hme0", lab.Data)
		tr.flows(faults.Now())

		require.NoError(t, s.daemon.Start())
		s.wait("everything that is probed to answer", s.ready)
		s.at("hme0", lab.Data)
		require.Empty(t, words(s.history()), "nothing moved, and what was is not told again")
		require.Equal(t, before, s.hostState())
	}
	tr.flows(faults.Now())
	tr.lossless(from)

	// It detects again.
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme1", lab.Data)

	// Ended with the address away from home: it stays there, and is adopted there.
	require.NoError(t, s.daemon.Stop())
	s.at("hme1", lab.Data)
	require.NoError(t, s.daemon.Start())
	s.wait("the daemon", func() (bool, error) { _, err := s.client.Status(s.context()); return err == nil, err })
	s.at("hme1", lab.Data)
	tr.flows(faults.Now())
	tr.finish()
	s.news()
}

// TestMeanwhile: what the former run knew of a member is not believed against what it shows now.
func TestMeanwhile(t *testing.T) {
	s := stage(t, setup{})
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	require.NoError(t, s.daemon.Stop())
	require.NoError(t, s.Members[0].Repair())
	require.NoError(t, s.Members[1].CutSilent())
	require.NoError(t, s.daemon.Start())
	s.at("hme0", lab.Data)
	s.state("hme0", "ok")
	s.state("hme1", "failed")
	s.news()

	require.NoError(t, s.daemon.Stop())
	require.NoError(t, s.Members[1].Repair())
	require.NoError(t, s.daemon.Start())
	s.wait("the daemon to be ready", s.ready)
	s.state("hme1", "ok")
	s.at("hme0", lab.Data)
	s.news()
}

// TestHistoryOutlivesTheDaemon: entries stay, and ids never repeat.
func TestHistoryOutlivesTheDaemon(t *testing.T) {
	s := stage(t, setup{})
	s.run("offline", "hme1")
	s.expect("offline hme1")
	for _, end := range []func() error{s.daemon.Stop, s.daemon.Kill} {
		all, err := s.client.History(s.context())
		require.NoError(t, err)
		require.NoError(t, end())
		require.NoError(t, s.daemon.Start())
		s.wait("the same history", func() (bool, error) {
			now, err := s.client.History(s.context())
			return err == nil && len(now) >= len(all) && now[0].ID == all[0].ID && now[len(all)-1].Kind == all[len(all)-1].Kind, err
		})
	}
	s.state("hme1", "offline")
	s.run("online", "hme1")
	s.wait("online in the history", func() (bool, error) { return slices.Contains(words(s.history()), "online hme1"), nil })
	all, err := s.client.History(s.context())
	require.NoError(t, err)
	ids := map[uint64]bool{}
	for _, e := range all {
		require.False(t, ids[e.ID], "id %d twice", e.ID)
		ids[e.ID] = true
	}
	s.news()
}

// decode takes JSON by the wire types: a field that they do not have is an error.
func decode(t *testing.T, text string, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(into), text)
	_, err := d.Token()
	require.ErrorIs(t, err, io.EOF, "one value")
}

// TestWhatReadersGet of a silent failure: status, history with its timeline, and the events.
func TestWhatReadersGet(t *testing.T) {
	s := stage(t, setup{})
	events := s.watch()
	want := []string{control.EventGroupState + " ", control.EventInterfaceState + " hme0", control.EventInterfaceState + " hme1"}
	for _, w := range want {
		e := <-events
		require.Equal(t, w, e.Event+" "+e.Interface, "first the state now, in file order")
		require.Equal(t, "ok", e.Detail)
	}

	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")

	var status struct {
		control.Status
		Monitor []any `json:"monitor"`
	}
	decode(t, s.run("status", "--json"), &status)
	require.Len(t, status.Groups, 1)
	g := status.Groups[0]
	require.Equal(t, "unrealgrp1", g.Name)
	require.Equal(t, "degraded", g.State)
	require.EqualValues(t, time.Millisecond, g.DetectionTimeNS)
	require.NotNil(t, status.HeartbeatAgeNS)
	require.Equal(t, "hme0", g.Interfaces[0].Name)
	require.Equal(t, "failed", g.Interfaces[0].State)
	require.Equal(t, "up", g.Interfaces[0].Link)
	require.Equal(t, "probe", g.Interfaces[0].Cause)
	require.Equal(t, "ok", g.Interfaces[1].State)
	require.Equal(t, []string{lab.Router.String()}, []string(g.Interfaces[1].Targets))
	require.NotNil(t, g.Interfaces[1].RTTP50NS)
	require.Equal(t, control.Address{Address: data4.String(), State: "up", Interface: "hme1", Home: "hme0"}, g.Addresses[0])
	require.Contains(t, s.run("status"), "hme1")

	var history []control.HistoryEntry
	decode(t, s.run("history", "--json"), &history)
	e := history[len(history)-1]
	require.Equal(t, "failover", e.Kind)
	require.True(t, e.Complete)
	require.Empty(t, e.Failed)
	require.Equal(t, []control.Moved{{Address: data4.String(), From: "hme0", To: "hme1"}}, []control.Moved(e.Moved))
	ordered(t, e.Timeline)
	require.Contains(t, s.run("history"), "hme0")

	seen := map[string]control.Event{}
	for len(seen) < 3 {
		select {
		case e := <-events:
			switch e.Event {
			case control.EventVerdict, control.EventAddressMoved, control.EventGroupState:
				seen[e.Event] = e
			}
		case <-time.After(patience):
			t.Fatalf("the events had %v only", seen)
		}
	}
	require.Equal(t, "hme0", seen[control.EventVerdict].Interface)
	require.Equal(t, "hme1", seen[control.EventAddressMoved].Interface)
	require.Equal(t, data4.String(), seen[control.EventAddressMoved].Address)
	require.Equal(t, "degraded", seen[control.EventGroupState].Detail)
}

// ordered requires the steps of a silent failure's timeline, in the order of detection.md section 7.
func ordered(t *testing.T, tl control.Timeline) {
	t.Helper()
	last := int64(0)
	for _, step := range []struct {
		name string
		at   *int64
	}{
		{"last_reply", tl.LastReply}, {"verdict", tl.Verdict}, {"first_announcement", tl.FirstAnnouncement},
		{"announced", tl.Announced}, {"routes", tl.Routes}, {"addresses", tl.Addresses},
	} {
		require.NotNil(t, step.at, step.name)
		require.GreaterOrEqual(t, *step.at, last, step.name)
		last = *step.at
	}
	require.Zero(t, *tl.LastReply)
	require.NotNil(t, tl.EgressSwitched)
	require.GreaterOrEqual(t, *tl.EgressSwitched, *tl.Verdict)
}

// watch runs `ipmpd watch --json` and hands its lines over, until the test ends.
func (s *scene) watch() <-chan control.Event {
	s.t.Helper()
	cmd := exec.Command(program, "watch", "--json", "--socket", s.daemon.Socket)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	require.NoError(s.t, err)
	require.NoError(s.t, cmd.Start())
	events := make(chan control.Event, 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var e control.Event
			d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
			d.DisallowUnknownFields()
			if err := d.Decode(&e); err != nil {
				s.t.Errorf("event %s: %v", lines.Text(), err)
			}
			events <- e
		}
	}()
	s.t.Cleanup(func() {
		require.NoError(s.t, cmd.Process.Kill())
		<-done
		_ = cmd.Wait() // killed
	})
	return events
}
