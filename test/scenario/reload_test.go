// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

var (
	blue   = netip.MustParseAddr("192.0.2.10")
	blue2  = netip.MustParseAddr("192.0.2.20")
	red    = netip.MustParseAddr("192.0.3.10")
	always = "duplicate-check: false, flap-limit: 0"
)

// groupText is one group on a line of its own: its members by number, with their test addresses.
func groupText(name, subnet, more string, members []int, addresses ...string) string {
	interfaces := join(members, func(i int) string {
		return fmt.Sprintf("hme%d: {test: [%s.%d/24]}", i, subnet, 11+i)
	})
	data := join(addresses, func(a string) string { return subnet + "." + a + "/24" })
	if more != "" {
		more = ", " + more
	}
	return fmt.Sprintf("  %s: {%s, detection-time: 1ms, targets: [%s.1]%s, interfaces: {%s}, addresses: [%s]}\n",
		name, always, subnet, more, interfaces, data)
}

func blueText(members []int, addresses ...string) string {
	return groupText("blue", "192.0.2", "", members, addresses...)
}

func redText(members []int, addresses ...string) string {
	return groupText("red", "192.0.3", "", members, addresses...)
}

func file(groups ...string) string { return "groups:\n" + strings.Join(groups, "") }

// reloadScene is a lab with members for two groups, whose subnets both are on the LAN.
func reloadScene(t *testing.T, members int, config string, binary ...string) *scene {
	t.Helper()
	return stage(t, setup{
		lab: lab.Options{Members: members}, config: config, binary: strings.Join(binary, ""),
		prepare: func(t *testing.T, s *scene) {
			require.NoError(t, s.Router.AddAddr("eth0", "192.0.3.1/24"))
			require.NoError(t, s.Peer.AddAddr("eth0", "192.0.3.100/24"))
			s.quiet(config, true)
			s.quiet(config, false)
		},
		ready: func(s *scene) (bool, error) { return s.allOK() },
	})
}

// allOK: every member of every group answers, and every address is in use.
func (s *scene) allOK() (bool, error) {
	if s.daemon.Ended() {
		return false, lab.Fatal(errors.New("ipmpd has ended"))
	}
	st, err := s.client.Status(s.context())
	if err != nil {
		return false, err
	}
	for _, g := range st.Groups {
		for _, i := range g.Interfaces {
			if i.State != "ok" {
				return false, fmt.Errorf("%s of %s is %s", i.Name, g.Name, i.State)
			}
		}
		for _, a := range g.Addresses {
			if a.State != "up" {
				return false, fmt.Errorf("%s is %s", a.Address, a.State)
			}
		}
	}
	return true, nil
}

// quiet: an interface of the LAN that is in no group must not answer ARP for addresses that are on
// others, as Linux does unless it is told not to. First those that a file does not name, then those
// that it does.
func (s *scene) quiet(config string, unnamed bool) {
	s.t.Helper()
	for _, m := range s.Members {
		if strings.Contains(config, m.Name+":") != unnamed {
			value := map[bool]string{true: "1", false: "0"}[unnamed]
			require.NoError(s.t, s.Host.Sysctl("ipv4/conf/"+m.Name+"/arp_ignore", value))
		}
	}
}

// reloaded with another file; it returns what the command says.
func (s *scene) reloaded(config string) string {
	s.t.Helper()
	s.quiet(config, true)
	require.NoError(s.t, s.daemon.Configure(config))
	out := s.run("reload")
	s.quiet(config, false)
	return out
}

// reload another file, which must succeed with this summary.
func (s *scene) reload(config, summary string) {
	s.t.Helper()
	require.Equal(s.t, summary+"\n", s.reloaded(config))
}

// group of the status.
func (s *scene) group(name string) control.Group {
	s.t.Helper()
	st, err := s.client.Status(s.context())
	require.NoError(s.t, err)
	at := slices.IndexFunc(st.Groups, func(g control.Group) bool { return g.Name == name })
	require.GreaterOrEqual(s.t, at, 0, "group %s", name)
	return st.Groups[at]
}

// rounds that were sent on a member, which begin anew with another instance.
func (s *scene) rounds(group, name string) uint64 {
	s.t.Helper()
	for _, i := range s.group(group).Interfaces {
		if i.Name == name {
			require.NotNil(s.t, i.RoundsSent)
			return *i.RoundsSent
		}
	}
	s.t.Fatalf("%s is not in %s", name, group)
	panic("unreachable")
}

// watchFrom runs `watch` and returns when the state, of so many groups and interfaces, has been told.
func (s *scene) watchFrom(state int) <-chan control.Event {
	s.t.Helper()
	events := s.watch()
	for range state {
		select {
		case <-events:
		case <-time.After(patience):
			s.t.Fatal("the state is not told")
		}
	}
	return events
}

// told waits for an event of a kind.
func (s *scene) told(events <-chan control.Event, kind string) control.Event {
	s.t.Helper()
	end := time.After(patience)
	for {
		select {
		case e := <-events:
			if e.Event == kind {
				return e
			}
		case <-end:
			s.t.Fatalf("no event %s", kind)
		}
	}
}

// bare requires that nothing of ours is on an interface: no address, no program.
func (s *scene) bare(name string) {
	s.t.Helper()
	prefixes, err := s.Host.Addresses(name)
	require.NoError(s.t, err)
	for _, p := range prefixes {
		require.True(s.t, p.Addr().IsLinkLocalUnicast(), "%s is on %s", p, name)
	}
	require.Zero(s.t, s.programs(name))
	routes, err := s.Host.Netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{}, netlink.RT_FILTER_TABLE)
	require.NoError(s.t, err)
	l, err := s.Host.Link(name)
	require.NoError(s.t, err)
	for _, r := range routes {
		require.NotEqual(s.t, l.Attrs().Index, r.LinkIndex, "%s goes through %s", r, name)
	}
}

// programs of TCX on an interface, both ways.
func (s *scene) programs(name string) (n int) {
	s.t.Helper()
	l, err := s.Host.Link(name)
	require.NoError(s.t, err)
	for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		require.NoError(s.t, s.InHost(func() error {
			result, err := link.QueryPrograms(link.QueryOptions{Target: l.Attrs().Index, Attach: at})
			if err == nil {
				n += len(result.Programs)
			}
			return err
		}))
	}
	return n
}

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
