// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
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
func reloadScene(t *testing.T, members int, config string) *scene {
	t.Helper()
	return stage(t, setup{
		lab: lab.Options{Members: members}, config: config,
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

// TestReloadOfAddresses: one more, which is at home at once, and one less; the other does not notice.
func TestReloadOfAddresses(t *testing.T) {
	s := reloadScene(t, 2, file(blueText([]int{0, 1}, "10")))
	tr := s.traffic()
	s.at("hme0", blue)
	from, rounds := faults.Now(), s.rounds("blue", "hme1")
	s.reload(file(blueText([]int{0, 1}, "10", "20")), "changed: blue")
	s.at("hme1", blue2)
	s.at("hme0", blue)

	s.reload(file(blueText([]int{0, 1}, "10")), "changed: blue")
	owner, err := s.where(blue2)
	require.NoError(t, err)
	require.Empty(t, owner)
	require.Greater(t, s.rounds("blue", "hme1"), rounds, "the same rounds")
	tr.flows(faults.Now())
	tr.lossless(from)
	require.Empty(t, words(s.history()))

	// Both times in one: it changes its length, and its subnet loses nobody.
	s.reload(strings.Replace(file(blueText([]int{0, 1}, "10")), "192.0.2.10/24", "192.0.2.10/25", 1), "changed: blue")
	s.reached(blue)
	s.reload(file(blueText([]int{0, 1}, "10")), "changed: blue")
	s.at("hme0", blue)
	tr.finish()
}

// TestReloadWithAnotherMember: it joins, takes over when it has to, and leaves again.
func TestReloadWithAnotherMember(t *testing.T) {
	s := reloadScene(t, 3, file(blueText([]int{0}, "10")))
	tr := s.traffic()
	from := faults.Now()
	s.reload(file(blueText([]int{0, 2}, "10")), "changed: blue")
	s.wait("the new member", s.allOK)
	s.at("hme0", blue)
	s.reached(lab.TestAddr(2))
	tr.flows(faults.Now())
	tr.lossless(from)
	require.Equal(t, 2, s.programs("hme2"))

	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme2", blue)
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")
	s.at("hme0", blue)

	// In front of the other: another place in the file, the same place for the kernel.
	from = faults.Now()
	rounds := s.rounds("blue", "hme0")
	s.reload(file(blueText([]int{1, 0, 2}, "10")), "changed: blue")
	require.Greater(t, s.rounds("blue", "hme0"), rounds)
	s.wait("the new member", s.allOK)
	s.at("hme1", blue) // its home is the first
	tr.flows(faults.Now())
	tr.lossless(from)
	s.news()

	from = faults.Now()
	s.reload(file(blueText([]int{0, 1}, "10")), "changed: blue")
	s.bare("hme2")
	s.at("hme0", blue)
	tr.flows(faults.Now())
	tr.lossless(from)
	tr.finish()
	s.news()
}

// TestReloadWithoutTheActiveMember under traffic: the address moves, then all that is ours goes.
func TestReloadWithoutTheActiveMember(t *testing.T) {
	s := reloadScene(t, 3, file(blueText([]int{0, 1, 2}, "10")))
	tr := s.traffic()
	s.at("hme0", blue)
	events := s.watchFrom(4)
	from := faults.Now()
	s.reload(file(blueText([]int{1, 2}, "10")), "changed: blue")
	s.bare("hme0")
	s.at("hme1", blue)
	tr.flows(faults.Now())
	tr.lossless(from)
	require.Empty(t, words(s.history()))
	e := s.told(events, control.EventAddressMoved)
	require.Equal(t, "192.0.2.10/24 hme1 from hme0", e.Address+" "+e.Interface+" "+e.Detail)

	// Those who stay are judged as before.
	require.NoError(t, s.Members[1].CutSilent())
	s.expect("failover hme1")
	s.at("hme2", blue)

	// What the former run left is found again under its numbers.
	require.NoError(t, s.daemon.Kill())
	require.NoError(t, s.daemon.Start())
	s.at("hme2", blue)
	s.wait("the daemon", func() (bool, error) { _, err := s.client.Status(s.context()); return err == nil, err })
	require.NoError(t, s.Members[1].Repair())
	s.wait("all to answer", s.allOK)
	s.at("hme1", blue)
	s.bare("hme0")
	tr.flows(faults.Now())
	tr.finish()
	s.news()
}

// TestReloadOfEveryMember: all of them are others; the address goes with them.
func TestReloadOfEveryMember(t *testing.T) {
	s := reloadScene(t, 4, file(blueText([]int{0, 1}, "10")))
	tr := s.traffic()
	from := faults.Now()
	s.reload(file(blueText([]int{2, 3}, "10")), "changed: blue")
	s.at("hme2", blue)
	s.bare("hme0")
	s.bare("hme1")
	tr.flows(faults.Now())
	tr.lossless(from)
	s.wait("all to answer", s.allOK)
	require.NoError(t, s.Members[2].CutSilent())
	s.expect("failover hme2")
	s.at("hme3", blue)
	tr.flows(faults.Now())
	tr.finish()
}

// TestReloadOfGroups: one goes whole, one comes, and the third does not notice.
func TestReloadOfGroups(t *testing.T) {
	both := file(blueText([]int{0, 1}, "10"), redText([]int{2, 3}, "10"))
	s := reloadScene(t, 4, both)
	tr := s.traffic()
	s.at("hme2", red)
	from, rounds := faults.Now(), s.rounds("blue", "hme0")
	for range 2 {
		s.reload(file(blueText([]int{0, 1}, "10")), "gone: red")
		s.bare("hme2")
		s.bare("hme3")
		s.reload(both, "new: red")
		s.at("hme2", red)
		s.wait("all to answer", s.allOK)
	}
	require.Greater(t, s.rounds("blue", "hme0"), rounds)
	tr.flows(faults.Now())
	tr.lossless(from)
	require.Empty(t, words(s.history()))
	require.NoError(t, s.Members[2].CutSilent())
	require.Equal(t, "red", s.expect("failover hme2")[0].Group)
	s.at("hme3", red)
	s.at("hme0", blue)

	// The first goes: the other keeps its place.
	rounds = s.rounds("red", "hme3")
	s.reload(file(redText([]int{2, 3}, "10")), "gone: blue")
	require.Greater(t, s.rounds("red", "hme3"), rounds)
	s.bare("hme0")
	s.bare("hme1")
	require.NoError(t, s.Members[2].Repair())
	s.expect("repair hme2", "failback hme2")
	s.at("hme2", red)

	// By another name it is another group, with all that it had.
	s.reload(file(strings.Replace(redText([]int{2, 3}, "10"), "red:", "crimson:", 1)), "new: crimson; gone: red")
	s.at("hme2", red)
	s.wait("all to answer", s.allOK)
	require.NoError(t, s.Members[2].CutSilent())
	require.Equal(t, "crimson", s.expect("failover hme2")[0].Group)
	s.at("hme3", red)
}

// TestReloadBetweenGroups: an interface and an address change sides in one reload.
func TestReloadBetweenGroups(t *testing.T) {
	s := reloadScene(t, 4, file(blueText([]int{0, 1, 2}, "10", "20"), redText([]int{3}, "10")))
	s.at("hme0", blue)
	s.at("hme1", blue2)
	tr := s.traffic()
	from := faults.Now()
	other := file(blueText([]int{0, 1}, "10"),
		strings.Replace(redText([]int{3, 2}, "10"), "addresses: [", "addresses: [192.0.2.20/24, ", 1))
	s.reload(other, "changed: blue, red")
	s.wait("all to answer", s.allOK)
	s.at("hme0", blue)
	s.at("hme3", blue2)
	s.at("hme2", red)
	prefixes, err := s.Host.Addresses("hme2")
	require.NoError(t, err)
	require.Contains(t, prefixes, netip.MustParsePrefix("192.0.3.13/24"))
	require.NotContains(t, prefixes, netip.MustParsePrefix("192.0.2.13/24"))
	tr.flows(faults.Now())
	tr.lossless(from)
	s.news()

	require.NoError(t, s.Members[3].CutSilent())
	require.Equal(t, "red", s.expect("failover hme3")[0].Group)
	s.at("hme2", blue2, red)
	require.NoError(t, s.Members[0].CutSilent())
	require.Equal(t, "blue", s.expect("failover hme0")[0].Group)
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

// TestReloadOfBothFamilies: what is of IPv6 moves, comes and goes like the rest.
func TestReloadOfBothFamilies(t *testing.T) {
	text := func(members []int, addresses string) string {
		return fmt.Sprintf("groups:\n  blue: {%s, detection-time: 2ms, targets: [192.0.2.1, %q], interfaces: {%s}, addresses: [%s]}\n",
			always, lab.Router6, join(members, func(i int) string {
				return fmt.Sprintf("hme%d: {test: [%s/24, %q]}", i, lab.TestAddr(i), lab.TestAddr6(i).String()+"/64")
			}), addresses)
	}
	s := stage(t, setup{lab: lab.Options{Members: 3}, config: text([]int{0, 1, 2}, "192.0.2.10/24"),
		ready: func(s *scene) (bool, error) { return s.allOK() }})
	tr := s.traffic()
	from := faults.Now()
	s.reload(text([]int{0, 1, 2}, `192.0.2.10/24, "`+data6.String()+`"`), "changed: blue")
	s.at("hme1", lab.Data6)
	s.reload(text([]int{0, 2}, `192.0.2.10/24, "`+data6.String()+`"`), "changed: blue")
	s.at("hme2", lab.Data6)
	s.bare("hme1")
	tr.flows(faults.Now())
	tr.lossless(from)
	require.Empty(t, words(s.history()))

	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme2", lab.Data, lab.Data6)
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")

	// Without anything of IPv6 in the file, nothing is probed by it.
	s.reload(file(blueText([]int{0, 2}, "10")), "changed: blue")
	require.NotContains(t, s.group("blue").Interfaces[0].Families, "ipv6")
	s.pass(50 * time.Millisecond)
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme2", lab.Data)
	tr.flows(faults.Now())
	tr.finish()
}

// TestReloadOfWhatWasFound: an address that ipmpd has found on a member moves with its group when the
// member leaves. A test address that was found stays.
func TestReloadOfWhatWasFound(t *testing.T) {
	s := stage(t, setup{lab: lab.Options{Members: 3}, config: file(blueText([]int{0, 1, 2}, "10")),
		ready: func(s *scene) (bool, error) { return s.allOK() },
		prepare: func(t *testing.T, s *scene) {
			s.quiet("", true) // what is there before the programs would be answered for by all
			require.NoError(t, s.Host.AddAddr("hme0", "192.0.2.11/24", "192.0.2.10/24"))
		}})
	s.at("hme0", blue)
	s.reload(file(blueText([]int{1, 2}, "10")), "changed: blue")
	s.at("hme1", blue)
	prefixes, err := s.Host.Addresses("hme0")
	require.NoError(t, err)
	prefixes = slices.DeleteFunc(prefixes, func(p netip.Prefix) bool { return p.Addr().IsLinkLocalUnicast() })
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("192.0.2.11/24")}, prefixes)
	require.Zero(t, s.programs("hme0"))
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

// TestReloadWhileAMemberFails: whichever comes first, the failure or the file, there is one failover.
func TestReloadWhileAMemberFails(t *testing.T) {
	configs := []string{file(blueText([]int{0, 1}, "10", "20")), file(blueText([]int{0, 1, 2}, "10")), file(blueText([]int{0, 1}, "10"))}
	s := reloadScene(t, 3, configs[2])
	tr := s.traffic()
	for i := range 12 {
		s.at("hme0", blue)
		s.news()
		reloaded := make(chan error, 1)
		require.NoError(t, s.daemon.Configure(configs[i%len(configs)]))
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		go func() {
			_, err := s.client.Reload(ctx)
			reloaded <- err
		}()
		s.pass(time.Duration(i) * 3 * time.Millisecond)
		require.NoError(t, s.Members[0].CutSilent())
		require.NoError(t, <-reloaded)
		cancel()
		s.at("hme1", blue)
		s.state0("failed")
		tr.flows(faults.Now())
		require.NoError(t, s.Members[0].Repair())
		s.wait("all to answer", s.allOK)
		h := words(s.history())
		require.Equal(t, 1, strings.Count(strings.Join(h, ","), "failover hme0"), "%q", h)
		require.NotContains(t, h, "failover hme1")
		require.NotContains(t, h, "failover hme2")
	}
	tr.finish()
	s.news()
}

// state0 waits until the first member of the first group is in a state.
func (s *scene) state0(want string) {
	s.t.Helper()
	s.wait("hme0 "+want, func() (bool, error) {
		st, err := s.client.Status(s.context())
		return err == nil && st.Groups[0].Interfaces[0].State == want, err
	})
}

// TestLeftWhileNobodyWatched: a member that the file names no more at the next start is left alone.
func TestLeftWhileNobodyWatched(t *testing.T) {
	s := reloadScene(t, 3, file(blueText([]int{0, 1, 2}, "10")))
	require.NoError(t, s.daemon.Kill())
	require.NoError(t, s.daemon.Configure(file(blueText([]int{1, 2}, "10"))))
	s.quiet("hme1: hme2:", true)
	require.NoError(t, s.daemon.Start())
	s.wait("the daemon to be ready", s.allOK)
	s.at("hme1", blue)
	s.bare("hme0")
	require.NoError(t, s.Members[1].CutSilent())
	s.expect("failover hme1")
	s.at("hme2", blue)
}

// TestReloadAtRandom: whatever file comes after whichever, one address that is in all of them loses
// nobody, nothing is taken for a failure, and nothing is left where it does not belong.
func TestReloadAtRandom(t *testing.T) {
	seed := rand.Uint64()
	if text := os.Getenv("SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	steps := 12
	if text := os.Getenv("STEPS"); text != "" {
		var err error
		steps, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	const members = 6
	s := reloadScene(t, members, file(blueText([]int{0, 1}, "10")))
	tr := s.traffic()
	for range steps {
		order := r.Perm(members)
		inBlue := 1 + r.IntN(3)
		inRed := r.IntN(3)
		addresses := []string{"10", "20", "30"}[:1+r.IntN(3)]
		r.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
		more := []string{"", "", "spread: false", "failback: false", "misses: 5"}[r.IntN(5)]
		groups := []string{groupText("blue", "192.0.2", more, order[:inBlue], addresses...)}
		used := order[:inBlue]
		if inRed > 0 {
			groups = append(groups, redText(order[inBlue:inBlue+inRed], "10"))
			used = order[:inBlue+inRed]
			if r.IntN(2) == 0 {
				slices.Reverse(groups)
			}
		}
		config := file(groups...)
		t.Log(config)
		from := faults.Now()
		s.reloaded(config)
		s.wait("all to answer", s.allOK)
		for i := range members {
			if !slices.Contains(used, i) {
				s.bare(fmt.Sprint("hme", i))
			}
		}
		owner, err := s.where(blue)
		require.NoError(t, err)
		s.at(owner, blue)
		if inRed > 0 {
			owner, err = s.where(red)
			require.NoError(t, err)
			s.at(owner, red)
		}
		tr.flows(faults.Now())
		tr.lossless(from)
		for _, e := range s.news() {
			require.Equal(t, "failback", e.Kind, "only addresses that go home")
		}
	}
	tr.finish()
}
