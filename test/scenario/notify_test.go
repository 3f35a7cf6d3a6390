// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// TestNotify: a program that hangs is in nobody's way but that of the programs after it, which get every
// event of the failover in the end; a reload changes the programs and loses nothing.
func TestNotify(t *testing.T) {
	dir := t.TempDir()
	program := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\ncd "+dir+"\n"+text+"\n"), 0o755))
		return path
	}
	stuck := program("stuck", "touch begun; while [ ! -e go ]; do sleep 0.02; done")
	first := program("first", `echo "$1 $IPMPD_SOCKET $(cat)" >>first.out`)
	second := program("second", `echo "$1 $IPMPD_SOCKET $(cat)" >>second.out`)
	groups := file(blueText([]int{0, 1}, "10"))
	s := reloadScene(t, 2, groups)
	reload := func(programs ...string) {
		require.NoError(t, s.daemon.Configure(groups+fmt.Sprintf("notify: [%s]\n", strings.Join(programs, ", "))))
		s.run("reload")
	}
	// events that a program was given, each with its name as its argument and the JSON of `watch`.
	events := func(of string) (list []control.Event) {
		data, _ := os.ReadFile(filepath.Join(dir, of+".out"))
		for line := range strings.Lines(string(data)) {
			words := strings.SplitN(line, " ", 3)
			var ev control.Event
			require.NoError(t, json.Unmarshal([]byte(words[2]), &ev))
			require.Equal(t, []string{ev.Event, s.daemon.Socket}, words[:2])
			list = append(list, ev)
		}
		return list
	}
	has := func(of, event, iface, detail string) bool {
		return slices.ContainsFunc(events(of), func(e control.Event) bool {
			return e.Event == event && e.Interface == iface && strings.HasPrefix(e.Detail, detail)
		})
	}

	s.at("hme0", blue)
	reload(stuck, first)
	s.wait("the stuck program", func() (bool, error) {
		_, err := os.Stat(filepath.Join(dir, "begun"))
		return err == nil, nil
	})
	require.NoError(t, s.Members[0].Port.Set(faults.Both(faults.Drop, faults.Any())...))
	s.expect("failover hme0")
	s.at("hme1", blue)
	require.Empty(t, events("first"), "the stuck program is at work")
	program("go", "")
	s.wait("every event of the failover", func() (bool, error) {
		return has("first", "config-reloaded", "", "") && has("first", "verdict", "hme0", "both") &&
			has("first", "address-moved", "hme1", "from hme0") && has("first", "interface-state", "hme0", "failed probe") &&
			has("first", "group-state", "", "degraded"), nil
	})
	require.Equal(t, "config-reloaded", events("first")[0].Event, "in the order in which they happened")

	reload(second)
	require.NoError(t, s.Members[0].Port.Heal())
	s.expect("repair hme0", "failback hme0")
	s.wait("the other program", func() (bool, error) { return has("second", "address-moved", "hme0", "from hme1"), nil })
	require.Equal(t, "config-reloaded", events("second")[0].Event)
	require.False(t, has("first", "interface-state", "hme0", "ok"), "the former program is not run any more")
}

// TestNotifyTimes measures the gap in the peer's packets to the data address at a silent cut, with and
// without programs that are run on each of its events. SOAK is the number of cuts of each.
func TestNotifyTimes(t *testing.T) {
	text := os.Getenv("SOAK")
	if text == "" {
		t.Skip("a measurement: SOAK=100")
	}
	cuts := 0
	_, err := fmt.Sscan(text, &cuts)
	require.NoError(t, err, "SOAK is a number of cuts")
	stuck := filepath.Join(t.TempDir(), "stuck")
	require.NoError(t, os.WriteFile(stuck, []byte("#!/bin/sh\nexec sleep 1000\n"), 0o755))
	groups := file(blueText([]int{0, 1}, "10"))
	s := reloadScene(t, 2, groups)
	tr := s.traffic()
	kinds := []string{"", "/bin/true", "/bin/true, /usr/bin/env, /bin/ls", stuck}
	gaps := make([][]time.Duration, len(kinds))
	cut := func(k int) {
		require.NoError(t, s.daemon.Configure(groups+"notify: ["+kinds[k]+"]\n"))
		s.run("reload")
		s.at("hme0", blue)
		tr.flows(faults.Now())
		begin := faults.Now()
		require.NoError(t, s.Members[0].Port.Set(faults.Both(faults.Drop, faults.Any())...))
		e := s.expect("failover hme0")[0]
		tr.flows(faults.Now())
		gap := tr.in.Gap(begin, faults.Now())
		gaps[k] = append(gaps[k], gap.Longest)
		if gap.Longest > 10*time.Millisecond { // where was it?
			line, err := json.Marshal(e.Timeline)
			require.NoError(t, err)
			t.Logf("[%s] gap %v, begun %v after the cut, sender's %v, lost %d, %s", filepath.Base(kinds[k]), gap.Longest,
				time.Duration(gap.Start-begin), gap.SenderGap, gap.Lost, line)
		}
		require.NoError(t, s.Members[0].Port.Heal())
		s.expect("repair hme0", "failback hme0")
	}
	for range cuts {
		for k := range kinds[:len(kinds)-1] {
			cut(k)
		}
	}
	for range cuts { // the last: it is still at work when the file has others
		cut(len(kinds) - 1)
	}
	tr.finish()
	for k := range kinds {
		slices.Sort(gaps[k])
		n := len(gaps[k])
		t.Logf("[%s]  n %d  p50 %v  p99 %v  max %v", filepath.Base(kinds[k]), n, gaps[k][n/2], gaps[k][(n*99+99)/100-1], gaps[k][n-1])
	}
}
