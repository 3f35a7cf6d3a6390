// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// soak is how long each stall, loss or policer goes on: SOAK seconds.
func soak(t *testing.T) time.Duration {
	text := os.Getenv("SOAK")
	if text == "" {
		return time.Second
	}
	seconds, err := strconv.ParseFloat(text, 64)
	require.NoError(t, err, "SOAK is a number of seconds")
	return time.Duration(seconds * float64(time.Second))
}

// during repeats something until the soak is over.
func during(t *testing.T, do func(i int)) {
	end := time.Now().Add(soak(t))
	for i := 0; time.Now().Before(end); i++ {
		do(i)
	}
}

// never is something that must not cause a failover.
type never struct {
	name string
	lab  lab.Options
	do   func(*scene)
}

// TestNeverAFailover is detection.md section 3: the target, the network or this host is at fault,
// not a member. The address stays, reachable, and the history stays empty.
func TestNeverAFailover(t *testing.T) {
	pump := lab.Options{RouterCable: lab.CableOptions{TAP: true}}
	stall := func(d time.Duration) func(*scene) {
		return func(s *scene) {
			during(s.t, func(int) {
				require.NoError(s.t, s.Stall(d))
				s.reached(lab.Data)
				s.pass(d)
			})
		}
	}
	loss := func(share float64) func(*scene) {
		return func(s *scene) {
			for _, m := range s.Members {
				require.NoError(s.t, m.Port.Set(faults.Random(faults.To, faults.Any(), share)))
			}
			s.pass(soak(s.t))
			for _, m := range s.Members {
				require.NoError(s.t, m.Port.Heal())
			}
		}
	}
	// Two members at 10,000 rounds a second each.
	police := func(s *scene) {
		require.NoError(s.t, s.RouterPort.Set(faults.Police(faults.To, faults.Echo(), 12000, 10)))
	}
	rows := []never{
		{"nothing happens", lab.Options{}, func(s *scene) { s.pass(soak(t)) }},
		{"target stalls 5 ms", pump, stall(5 * time.Millisecond)},
		{"target stalls 50 ms", pump, stall(50 * time.Millisecond)},
		{"target stalls 500 ms", pump, stall(500 * time.Millisecond)},
		{"target dies for 500 ms", lab.Options{}, func(s *scene) {
			during(s.t, func(int) {
				require.NoError(s.t, s.RouterPort.Cut())
				s.pass(500 * time.Millisecond)
				require.NoError(s.t, s.RouterPort.Heal())
				s.pass(500 * time.Millisecond)
			})
		}},
		{"target changes its MAC", lab.Options{}, func(s *scene) {
			during(s.t, func(i int) {
				mac := net.HardwareAddr{2, 'v', 'r', 'r', 'p', byte(i)}
				require.NoError(s.t, s.NewRouterMAC(mac, i%2 == 0))
				s.answered()
				s.pass(200 * time.Millisecond)
			})
		}},
		{"target polices at 60 % of the rate", lab.Options{}, func(s *scene) {
			police(s)
			require.NoError(s.t, s.daemon.Stop())
			require.NoError(s.t, s.daemon.Start())
			s.wait("the daemon to be ready again", s.ready)
			s.pass(soak(s.t))
			require.NoError(s.t, s.RouterPort.Heal())
		}},
		{"target begins to police", lab.Options{}, func(s *scene) {
			during(s.t, func(int) {
				police(s)
				s.pass(300 * time.Millisecond)
				require.NoError(s.t, s.RouterPort.Heal())
				s.pass(time.Second) // until no loss is known any more
			})
		}},
		{"1 % random loss on all members", lab.Options{}, loss(0.01)},
		{"10 % random loss on all members", lab.Options{}, loss(0.1)},
		{"the daemon is stopped for a second", lab.Options{}, func(s *scene) {
			require.NoError(s.t, s.daemon.Signal(syscall.SIGSTOP))
			s.pass(time.Second)
			s.reached(lab.Data)
			require.NoError(s.t, s.daemon.Signal(syscall.SIGCONT))
			s.answered()
			s.pass(soak(s.t) / 5)
		}},
		{"this host is busy", lab.Options{}, func(s *scene) {
			for range 2 * runtime.NumCPU() {
				loop := exec.Command("sh", "-c", "while :; do :; done")
				loop.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
				require.NoError(s.t, loop.Start())
				defer func() {
					require.NoError(s.t, loop.Process.Kill())
					_ = loop.Wait() // killed
				}()
			}
			s.pass(soak(s.t))
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s := stage(t, setup{lab: row.lab, detection: 400 * time.Microsecond})
			s.at("hme0", lab.Data)
			row.do(s)
			s.answered()
			s.at("hme0", lab.Data)
			require.Empty(t, words(s.history()))
		})
	}
}

// TestDifferentLatency: a round that one member has answered is not yet missed by one whose way is
// longer than a round.
func TestDifferentLatency(t *testing.T) {
	near, far := lab.CableOptions{TAP: true}, lab.CableOptions{TAP: true, Delay: 20 * time.Millisecond}
	s := stage(t, setup{lab: lab.Options{Cables: []lab.CableOptions{near, far}}, detection: 40 * time.Millisecond})
	s.at("hme0", lab.Data)
	s.pass(soak(t))
	s.answered()
	require.Empty(t, words(s.history()))
	i, _ := s.status("hme1")
	require.Greater(t, time.Duration(*i.RTTP50NS), 40*time.Millisecond, "both ways are longer than a round")

	require.NoError(t, s.Members[1].CutSilent())
	s.expect("failover hme1")
	require.NoError(t, s.Members[1].Repair())
	s.expect("repair hme1")
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme1", lab.Data)
}

// answered waits until every member has an answer to a probe that was sent from now on.
func (s *scene) answered() {
	s.t.Helper()
	good := func(name string) uint64 {
		i, _ := s.status(name)
		require.NotNil(s.t, i.RoundsSent)
		require.NotNil(s.t, i.RoundsMissed)
		return *i.RoundsSent - *i.RoundsMissed
	}
	for _, m := range s.Members {
		// Rounds that nobody answered are sent, not missed: what comes back is counted at the switch.
		from, sent := s.count(m.Port, faults.To, faults.Echoes), good(m.Name)
		s.wait("answers on "+m.Name, func() (bool, error) {
			return s.count(m.Port, faults.To, faults.Echoes) > from+20 && good(m.Name) > sent, nil
		})
		s.state(m.Name, "ok")
	}
}

// TestTargetDead for longer than a group is given: it says so once, and moves nothing.
func TestTargetDead(t *testing.T) {
	s := stage(t, setup{detection: 400 * time.Microsecond})
	tr := s.traffic()
	from := faults.Now()
	// The router goes, the peer stays: data goes on.
	require.NoError(t, s.RouterPort.Set(faults.Both(faults.Drop, faults.Echo())...))
	e := s.expect("group-failure")[0]
	require.Empty(t, e.Moved)
	s.pass(time.Second)
	s.at("hme0", lab.Data)
	require.NoError(t, s.RouterPort.Heal())
	s.wait("group-repair", func() (bool, error) {
		h := words(s.history())
		return len(h) > 0 && len(h[0]) >= 12 && h[0][:12] == "group-repair", nil
	})
	for _, e := range s.news() {
		require.NotContains(t, []string{"failover", "group-failure", "failback"}, e.Kind)
		require.Empty(t, e.Moved)
	}
	s.state("hme0", "ok")
	s.state("hme1", "ok")
	s.at("hme0", lab.Data)
	tr.lossless(from)
	tr.finish()
	s.news() // repairs of the members that had failed with the group
}

// TestTwoTargets: one of them is no reason for anything, neither dead nor out of one member's reach.
func TestTwoTargets(t *testing.T) {
	two := setup{targets: []netip.Addr{lab.Router, lab.Peer}, detection: 400 * time.Microsecond}
	for name, do := range map[string]func(s *scene){
		"one is dead": func(s *scene) {
			require.NoError(s.t, s.RouterPort.Cut())
		},
		"one answers one member only": func(s *scene) {
			route := &netlink.Route{Type: unix.RTN_BLACKHOLE, Dst: &net.IPNet{
				IP: net.IP(lab.TestAddr(0).AsSlice()), Mask: net.CIDRMask(32, 32)}}
			require.NoError(s.t, s.Router.Netlink.RouteAdd(route))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := stage(t, two)
			s.at("hme0", lab.Data)
			do(s)
			s.pass(max(soak(t), 3*time.Second))
			require.Empty(t, words(s.history()))
			s.at("hme0", lab.Data)
			s.state("hme0", "ok")
			s.state("hme1", "ok")
			if name == "one is dead" {
				s.logs(`msg="a target is set aside" group=unrealgrp1 target=192.0.2.1 why=dead`)
			}
			// And a real failure is still one.
			require.NoError(t, s.Members[0].CutSilent())
			s.expect("failover hme0")
			s.at("hme1", lab.Data)
		})
	}
}
