// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// TestReloadOfTheSameFile under traffic: no round is lost, nothing moves, and the members are judged
// as before.
func TestReloadOfTheSameFile(t *testing.T) {
	s := reloadScene(t, 2, file(blueText([]int{0, 1}, "10")))
	tr := s.traffic()
	s.at("hme0", blue)
	events := s.watchFrom(3)
	from := faults.Now()
	last := s.rounds("blue", "hme0")
	for i := range 10 {
		comment := strings.Repeat("# nothing\n", i)
		begun := time.Now()
		s.reload(comment+file(blueText([]int{0, 1}, "10")), "nothing changed")
		require.Less(t, time.Since(begun), 2*time.Second)
		now := s.rounds("blue", "hme0")
		require.Greater(t, now, last)
		last = now
	}
	require.Equal(t, "nothing changed", s.told(events, control.EventConfigReloaded).Detail)
	tr.flows(faults.Now())
	tr.lossless(from)
	require.Empty(t, words(s.history()))

	s.reload(file(blueText([]int{0, 1}, "10")), "nothing changed")
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme1", blue)
	tr.flows(faults.Now())
	tr.finish()
}

// TestReloadOfTheRules: detection time, targets, test addresses, the way of attaching. Nothing of it is
// taken for a failure, and what fails right afterwards is one.
func TestReloadOfTheRules(t *testing.T) {
	long(t)
	plain := blueText([]int{0, 1}, "10")
	s := reloadScene(t, 2, file(plain))
	require.NoError(t, s.Router.AddAddr("eth0", "192.0.2.2/24"))
	tr := s.traffic()
	from := faults.Now()
	for _, change := range []struct{ old, now string }{
		{"detection-time: 1ms", "detection-time: 10ms, misses: 9"},
		{"detection-time: 1ms", "detection-time: 1ms, misses: 1"},
		{"targets: [192.0.2.1]", "targets: [192.0.2.2]"},
		{"192.0.2.11/24", "192.0.2.21/24"},
		{"detection-time: 1ms", "detection-time: 1ms, attach: xdp-generic"},
		{"detection-time: 1ms", "detection-time: 20ms, probe: arp"},
		{"detection-time: 1ms", "detection-time: 2ms, spread: false"},
	} {
		text := strings.Replace(plain, change.old, change.now, 1)
		require.NotEqual(t, plain, text)
		for _, config := range []string{text, plain} {
			s.reload(file(config), "changed: blue")
			s.pass(30 * time.Millisecond)
			s.wait("all to answer", s.allOK)
			s.at("hme0", blue)
			tr.flows(faults.Now())
			require.Empty(t, words(s.history()), change.now)
		}
		// What the kernel loses while it changes the kind of XDP is not ours.
		if !strings.Contains(change.now, "xdp") {
			tr.lossless(from)
		}
		from = faults.Now()
	}

	// Right after a reload a silent cut is a failover.
	for i, config := range []string{
		strings.Replace(plain, "detection-time: 1ms", "detection-time: 2ms", 1),
		strings.Replace(plain, "targets: [192.0.2.1]", "targets: [192.0.2.2]", 1),
		strings.Replace(plain, "192.0.2.11/24", "192.0.2.21/24", 1),
	} {
		s.reload(file(config), "changed: blue")
		require.NoError(t, s.Members[0].CutSilent())
		s.expect("failover hme0")
		s.at("hme1", blue)

		// And what has failed is not forgotten by another.
		s.reload(file(plain), "changed: blue")
		s.at("hme1", blue)
		require.Equal(t, "failed", s.group("blue").Interfaces[0].State, i)
		require.Equal(t, "probe", s.group("blue").Interfaces[0].Cause, i)
		s.pass(100 * time.Millisecond)
		s.at("hme1", blue)
		require.Empty(t, words(s.history()))
		require.NoError(t, s.Members[0].Repair())
		s.expect("repair hme0", "failback hme0")
		s.at("hme0", blue)
	}
	tr.flows(faults.Now())
	tr.finish()
}

// TestReloadOfABadFile keeps what runs, and says where the file is wrong.
func TestReloadOfABadFile(t *testing.T) {
	s := reloadScene(t, 2, file(blueText([]int{0, 1}, "10")))
	before, rounds := s.hostState(), s.rounds("blue", "hme0")
	log := func() string {
		text, err := os.ReadFile(s.daemon.Log)
		require.NoError(t, err)
		return string(text)
	}
	for _, row := range []struct{ config, want string }{
		{"groups:\n  blue:\n    detection-tme: 1ms\n", `:3:5: `},
		{"groups: [\n", `:`},
		{file(blueText([]int{0, 1}, "10"), redText([]int{1}, "10")), `:3:`},
		{file(groupText("blue", "192.0.2", "", []int{0, 1}, "10"), "  red: {interfaces: {lo: {}}}\n"), `:3:`},
	} {
		require.NoError(t, s.daemon.Configure(row.config))
		_, err := s.daemon.Run(s.context(), "reload")
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, 3, exit.ExitCode())
		require.Regexp(t, `ipmpd: /[^:]*\.yaml`+row.want+`.*; `, err.Error())
		require.NotContains(t, err.Error(), "\n")

		// The signal says the same in the log.
		lines := strings.Count(log(), "not reloaded")
		require.NoError(t, s.daemon.Signal(syscall.SIGHUP))
		s.wait("the log", func() (bool, error) { return strings.Count(log(), "not reloaded") > lines, nil })
	}
	require.Contains(t, log(), ".yaml:3:5: ")
	require.Regexp(t, `msg=step-failed .*detail="reload: the old configuration stays in force: [^ ]*\.yaml:3:5: `, log())
	require.Equal(t, before, s.hostState())
	require.Greater(t, s.rounds("blue", "hme0"), rounds)
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme1", blue)
}

// TestReloadBySignal does what the command does.
func TestReloadBySignal(t *testing.T) {
	s := reloadScene(t, 2, file(blueText([]int{0, 1}, "10")))
	events := s.watchFrom(3)
	require.NoError(t, s.daemon.Configure("log-level: debug\nrealtime: {priority: 40}\n"+file(blueText([]int{0, 1}, "10", "20"))))
	require.NoError(t, s.daemon.Signal(syscall.SIGHUP))
	s.at("hme1", blue2)
	require.Equal(t, "changed: blue", s.told(events, control.EventConfigReloaded).Detail)
	log, err := os.ReadFile(s.daemon.Log)
	require.NoError(t, err)
	require.Contains(t, string(log), "realtime: cannot be changed while the daemon runs; restart it")
	require.Contains(t, string(log), "level=DEBUG")
	out := s.run("reload")
	require.Equal(t, "warning: realtime: cannot be changed while the daemon runs; restart it for the new values\nnothing changed\n", out)
}

// TestReloadOfSomebodyOffline: the mark lasts, in and out of the file; so does coming back, when it
// comes between.
func TestReloadOfSomebodyOffline(t *testing.T) {
	s := reloadScene(t, 3, file(blueText([]int{0, 1, 2}, "10")))
	s.run("offline", "hme0")
	s.expect("offline hme0")
	for _, config := range []string{
		file(blueText([]int{0, 1, 2}, "10", "20")), file(blueText([]int{1, 2}, "10")), file(blueText([]int{0, 1, 2}, "10")),
	} {
		s.reload(config, "changed: blue")
		if i := s.group("blue").Interfaces[0]; i.Name == "hme0" {
			require.Equal(t, "offline", i.State)
		}
		s.at("hme1", blue)
	}
	require.Empty(t, words(s.history()))

	// `online` waits for answers that do not come; the reload comes between.
	require.NoError(t, s.Members[0].CutSilent())
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	go func() { done <- s.client.Online(ctx, "hme0") }()
	s.pass(100 * time.Millisecond)
	s.reload(file(blueText([]int{0, 1, 2}, "10", "20")), "changed: blue")
	require.NoError(t, s.Members[0].Repair())
	require.NoError(t, <-done)
	s.wait("online in the history", func() (bool, error) { return slices.Contains(words(s.history()), "online hme0"), nil })
	s.wait("all to answer", s.allOK)
	s.at("hme0", blue)
	s.news()
}

// TestReloadAsksForDuplicates of what is new, and of nothing else.
func TestReloadAsksForDuplicates(t *testing.T) {
	asking := func(addresses ...string) string {
		return strings.Replace(file(blueText([]int{0, 1}, addresses...)), "duplicate-check: false", "duplicate-check: true", 1)
	}
	s := reloadScene(t, 2, asking("10"))
	require.NoError(t, s.Peer.AddAddr("eth0", "192.0.2.20/24"))
	events := s.watchFrom(3)
	s.reload(asking("10", "20"), "changed: blue")
	require.Equal(t, "192.0.2.20/24", s.told(events, control.EventAddressDuplicate).Address)
	owner, err := s.where(blue2)
	require.NoError(t, err)
	require.Empty(t, owner)

	// Another reload does not put it in use, nor tell it again; a free one is in use soon.
	s.reload(asking("10", "20", "30"), "changed: blue")
	s.at("hme0", blue, netip.MustParseAddr("192.0.2.30"))
	owner, err = s.where(blue2)
	require.NoError(t, err)
	require.Empty(t, owner)
	log, err := os.ReadFile(s.daemon.Log)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(log), "msg=address-duplicate"))

	s.reload(file(blueText([]int{0, 1}, "10", "20", "30")), "changed: blue")
	s.at("hme0", blue)
	owner, err = s.where(blue2)
	require.NoError(t, err)
	require.Equal(t, "hme1", owner, "nobody is asked any more")
}
