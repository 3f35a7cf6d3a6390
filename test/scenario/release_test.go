// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/test/lab"
)

// TestRelease of everything, after whatever has happened, by the daemon and without it.
func TestRelease(t *testing.T) {
	for i, before := range []struct {
		name string
		do   func(s *scene)
	}{
		{"at once", func(*scene) {}},
		{"failed over, back and over again", func(s *scene) {
			s.failsOver()
			s.failsBack()
			s.failsOver()
		}},
		{"ended and started again, offline", func(s *scene) {
			s.failsOver()
			require.NoError(s.t, s.daemon.Stop())
			require.NoError(s.t, s.daemon.Start())
			s.wait("the daemon", func() (bool, error) { _, err := s.client.Status(s.context()); return err == nil, err })
			require.NoError(s.t, s.Members[0].Repair())
			s.wait("the daemon to be ready", s.ready)
			s.run("offline", "hme1")
			s.news()
		}},
	} {
		for _, kill := range killed(i) {
			t.Run(fmt.Sprintf("%s, killed %t", before.name, kill), func(t *testing.T) {
				var was picture
				s := stage(t, wholeGroup(&was, nil))
				before.do(s)
				require.NotEqual(t, was, s.look())
				if kill {
					require.NoError(t, s.daemon.Kill())
				}
				s.release()
				s.ended()
				require.Equal(t, was, s.look())
				s.release()
				s.release("unrealgrp1")
				require.Equal(t, was, s.look(), "a second time")
				_, err := s.daemon.Run(s.context(), "release", "unrealgrp2", "--state", s.daemon.State)
				require.ErrorContains(t, err, `ipmpd: no group "unrealgrp2"; there are: unrealgrp1`)

				// And from the beginning.
				require.NoError(t, s.Members[0].Repair())
				require.NoError(t, s.daemon.Start())
				s.wait("the daemon to be ready", s.ready)
				s.news()
				s.release()
				s.ended()
				require.Equal(t, was, s.look())
			})
		}
	}
}

// TestReleaseAdopted: what an administrator had on the host is where and as it was, wherever it has
// been, and with it the kernel's connected routes.
func TestReleaseAdopted(t *testing.T) {
	for i, row := range []struct {
		name string
		do   func(s *scene)
	}{
		{"unmoved", func(*scene) {}},
		{"away", func(s *scene) { // and both members are good, so that its way back can be heard of
			s.failsOver()
			require.NoError(s.t, s.Members[0].Repair())
			s.state("hme0", "ok")
			s.wait("the daemon to be ready", s.ready)
			s.at("hme1", lab.Data, lab.Data6)
			s.news()
		}},
		{"moved and back", func(s *scene) { s.failsOver(); s.failsBack() }},
	} {
		for _, kill := range killed(i) {
			t.Run(fmt.Sprintf("%s, killed %t", row.name, kill), func(t *testing.T) {
				var was picture
				c := wholeGroup(&was, func(s *scene) {
					for _, c := range []string{
						"ip addr add 192.0.2.10/24 brd + dev hme0 label hme0:0",
						"ip addr add 192.0.2.11/24 dev hme0",
						"ip addr add 192.0.2.12/24 dev hme1 metric 50",
						"ip addr add 2001:db8::10/64 dev hme0 valid_lft 5000 preferred_lft 4000",
						"ip addr add 2001:db8::12/64 dev hme1 nodad",
						"ip route add 203.0.113.0/24 via 192.0.2.1 dev hme0 mtu 1400",
						"ip route add 203.0.113.0/24 via 192.0.2.1 dev hme1 metric 9 src 192.0.2.12",
						"ip route add default via 192.0.2.1 dev hme0 proto dhcp src 192.0.2.10 metric 100",
						"ip route add 192.0.2.200/32 dev hme1 proto static",
						"ip -6 route add 2001:db8:7::/64 via 2001:db8::1 dev hme0",
						"ip -6 route add default via fe80::1 dev hme1 metric 77",
					} {
						s.command(c)
					}
				})
				if row.name == "away" {
					c.group = append(c.group, "failback: false")
				}
				s := stage(t, c)
				row.do(s)
				if kill {
					require.NoError(t, s.daemon.Kill())
				}
				s.release()
				s.ended()
				require.Equal(t, was, s.look())
				s.on("hme0", lab.Data, lab.Data6)
			})
		}
	}
}

// TestReleaseWithoutState: what bears our mark goes, and what cannot be put back is said.
func TestReleaseWithoutState(t *testing.T) {
	var was picture
	s := stage(t, wholeGroup(&was, nil))
	require.NoError(t, s.daemon.Kill())
	require.NoError(t, os.Remove(s.daemon.State))
	_, err := s.daemon.Run(s.context(), "release", "unrealgrp1", "--state", s.daemon.State)
	require.ErrorContains(t, err, "does not say which group is whose; release all of them with `ipmpd release`")
	stderr := s.stderr("release", "--state", s.daemon.State)
	require.Contains(t, stderr, "sysctls, routes and addresses that had been on the host before could not be restored")
	is := s.look()
	for _, sysctls := range []string{"/proc/sys/net/ipv4", "/proc/sys/net/ipv6"} {
		require.NotEqual(t, was[sysctls], is[sysctls])
		is[sysctls] = was[sysctls]
	}
	require.Equal(t, was, is)
	require.Empty(t, s.stderr("release", "--state", s.daemon.State), "nothing is left to speak of")
	require.Empty(t, s.stderr("release", "unrealgrp1", "--state", s.daemon.State))
	require.NoFileExists(t, s.daemon.State)
}

// TestReleaseAnotherBoot: a record of another boot is none.
func TestReleaseAnotherBoot(t *testing.T) {
	var was picture
	s := stage(t, wholeGroup(&was, nil))
	require.NoError(t, s.daemon.Kill())
	text, err := os.ReadFile(s.daemon.State)
	require.NoError(t, err)
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	require.NoError(t, err)
	require.Contains(t, string(text), strings.TrimSpace(string(boot)))
	require.NoError(t, os.WriteFile(s.daemon.State, bytes.ReplaceAll(text, bytes.TrimSpace(boot), []byte("another")), 0o600))
	require.Contains(t, s.stderr("release", "--state", s.daemon.State), "has nothing of this boot and network namespace")
}

// TestReleaseLeavesOthers: what others have added or changed meanwhile stays as it is.
func TestReleaseLeavesOthers(t *testing.T) {
	long(t)
	for _, kill := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed %t", kill), func(t *testing.T) {
			var was picture
			s := stage(t, wholeGroup(&was, nil))
			s.foreign("hme0")
			s.command("ip addr add 192.0.2.77/24 dev hme0")
			s.command("ip nexthop add id 4711 dev hme1")
			s.command("ip route add 203.0.113.0/24 dev hme0 src 192.0.2.77")
			s.command("tc qdisc add dev hme1 clsact")
			require.NoError(t, s.Host.Sysctl("ipv4/conf/hme0/rp_filter", "0"))
			s.failsOver()
			s.failsBack()
			if kill {
				require.NoError(t, s.daemon.Kill())
			}
			s.release()
			s.ended()
			is := s.look()
			for _, kind := range []string{"ip -j -d nexthop", "tc -j qdisc", "links", "ip -j -d addr"} {
				require.NotEqual(t, was[kind], is[kind])
			}
			all := fmt.Sprint(is)
			for _, want := range []string{`"local":"192.0.2.77"`, `"id":4711`, `"dst":"203.0.113.0/24"`, `"kind":"clsact"`,
				"ipv4/conf/hme0/rp_filter = 0", "ipv4/conf/hme1/rp_filter = 1"} {
				require.Contains(t, all, want)
			}
			for _, gone := range []string{`"192.0.2.10"`, `"192.0.2.11"`, `"2001:db8::10"`, `"protocol":"157"`, "/sys/fs/bpf/ipmpd"} {
				require.NotContains(t, all, gone)
			}
			require.Equal(t, was["/sys/fs/bpf"], is["/sys/fs/bpf"])
		})
	}
}

// TestReleaseOneGroup of two: the other one does not notice.
func TestReleaseOneGroup(t *testing.T) {
	second := netip.MustParseAddr("192.0.3.10")
	for _, kill := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed %t", kill), func(t *testing.T) {
			var was picture
			s := stage(t, setup{
				lab:    lab.Options{Members: 4},
				config: twoGroups,
				prepare: func(t *testing.T, s *scene) {
					require.NoError(t, s.Router.AddAddr("eth0", "192.0.3.1/24"))
					require.NoError(t, s.Peer.AddAddr("eth0", "192.0.3.100/24"))
					s.command("ip addr add 192.0.2.10/24 dev hme1")
					was = s.rested()
				},
				ready: func(s *scene) (bool, error) { return s.groupsOK(2) },
			})
			s.at("hme0", lab.Data)
			s.at("hme2", second)
			both := s.look()
			events := s.watch()
			if kill {
				require.NoError(t, s.daemon.Kill())
			}
			_, err := s.daemon.Run(s.context(), "release", "green", "--state", s.daemon.State)
			require.ErrorContains(t, err, `no group "green"; there are: blue, red`)
			s.release("blue")
			s.release("blue")
			s.on("hme1", lab.Data)
			s.at("hme2", second)
			is := s.look()
			for i, name := range []string{"hme0", "hme1", "hme2", "hme3"} {
				want := was
				if i >= 2 {
					want = both
				}
				require.Equal(t, want.of(name), is.of(name))
			}
			if kill {
				require.NoError(t, s.daemon.Start())
				s.wait("both groups again", func() (bool, error) { return s.groupsOK(2) })
				s.at("hme0", lab.Data) // its home
				s.release("blue")
				s.news()
			} else {
				st, err := s.client.Status(s.context())
				require.NoError(t, err)
				require.Len(t, st.Groups, 1)
				require.Equal(t, "red", st.Groups[0].Name)
				// It goes on detecting, and blue does not come back with it.
				require.NoError(t, s.Members[2].CutSilent())
				require.Equal(t, "red", s.expect("failover hme2")[0].Group)
				s.at("hme3", second)
				require.NoError(t, s.Members[2].Repair())
				s.expect("repair hme2", "failback hme2")
				s.on("hme1", lab.Data)
				require.Equal(t, was.of("hme0"), s.look().of("hme0"))
				released := 0
				for len(events) > 0 {
					e := <-events
					require.NotEqual(t, control.EventStepFailed, e.Event)
					if e.Event == control.EventConfigReloaded {
						require.Equal(t, []string{"blue", "released"}, []string{e.Group, e.Detail})
						released++
					}
				}
				require.Equal(t, 2, released, "blue was released twice")
				s.run("offline", "hme3")
				s.expect("offline hme3")
			}
			s.release("red")
			require.Equal(t, was, s.look(), "with the daemon still there, or without")
			s.release()
			require.NoError(t, s.daemon.Kill())
			require.Equal(t, was, s.look())
		})
	}
}

// TestFormerConfiguration: what the file no longer names goes back at the next start, as after a release.
func TestFormerConfiguration(t *testing.T) {
	long(t)
	var was picture
	s := stage(t, setup{
		lab:       lab.Options{Members: 3},
		addresses: []netip.Prefix{data4, netip.MustParsePrefix("192.0.2.20/24")},
		atHome:    "hme0",
		prepare: func(t *testing.T, s *scene) {
			for _, m := range s.Members {
				require.NoError(t, s.Host.Sysctl("ipv4/conf/"+m.Name+"/rp_filter", "1"))
			}
			s.command("ip addr add 192.0.2.20/24 dev hme2 label hme2:7")
			was = s.rested()
		},
	})
	s.at("hme0", lab.Data, netip.MustParseAddr("192.0.2.20"))
	require.NoError(t, s.daemon.Stop())
	full, err := os.ReadFile(strings.TrimSuffix(s.daemon.Socket, ".sock") + ".yaml")
	require.NoError(t, err)
	before, _, _ := strings.Cut(string(full), "      hme2:")
	require.NoError(t, s.daemon.Configure(before+"    addresses: [192.0.2.10/24]\n"))
	require.NoError(t, s.daemon.Start())
	s.wait("the daemon to be ready", s.ready)
	s.at("hme0", lab.Data)
	s.on("hme2", netip.MustParseAddr("192.0.2.20"))
	require.Equal(t, was.of("hme2"), s.look().of("hme2"))
	s.news()
	s.release()
	s.ended()
	require.Equal(t, was, s.look())
}

// TestReleaseAfterAKillAnywhere: whatever a start was at when it was killed, what it had found is on the disk.
func TestReleaseAfterAKillAnywhere(t *testing.T) {
	long(t)
	var was picture
	s := stage(t, wholeGroup(&was, func(s *scene) {
		for _, c := range []string{"ip addr add 192.0.2.10/24 dev hme1", "ip addr add 192.0.2.11/24 dev hme0", "ip addr add 2001:db8::10/64 dev hme1 nodad"} {
			s.command(c)
		}
	}))
	require.NoError(t, s.daemon.Kill())
	s.release()
	require.Equal(t, was, s.look())
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 8 {
		require.NoError(t, s.daemon.Start())
		s.pass(time.Duration(random.Int64N(int64(300 * time.Millisecond))))
		require.NoError(t, s.daemon.Kill())
		if random.IntN(3) == 0 {
			continue // the next start is one after a crash
		}
		if random.IntN(2) == 0 { // and so may be the release
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(random.Int64N(int64(60*time.Millisecond))))
			_, _ = s.daemon.Run(ctx, "release", "--state", s.daemon.State)
			cancel()
		}
		s.release()
		require.Equal(t, was, s.look())
	}
}

// TestReleaseInterrupted: the daemon is killed in the middle of a release, which is then repeated.
func TestReleaseInterrupted(t *testing.T) {
	long(t)
	var was picture
	s := stage(t, wholeGroup(&was, nil))
	for i := range 4 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*18*time.Millisecond)
		_, _ = s.daemon.Run(ctx, "release", "--state", s.daemon.State)
		cancel()
		require.NoError(t, s.daemon.Kill())
		s.release()
		require.Equal(t, was, s.look())
		require.NoError(t, s.daemon.Start())
		s.wait("the daemon to be ready", s.ready)
	}
	s.news()
}

// TestReleaseAttachedOtherwise: native and generic XDP, whose programs are seen in what `ip addr` says.
func TestReleaseAttachedOtherwise(t *testing.T) {
	long(t)
	for attach, kill := range map[string]bool{"xdp": true, "xdp-generic": false} {
		t.Run(fmt.Sprintf("%s, killed %t", attach, kill), func(t *testing.T) {
			var was picture
			c := wholeGroup(&was, nil)
			c.group = append(c.group, "attach: "+attach)
			s := stage(t, c)
			require.Contains(t, fmt.Sprint(s.look()["ip -j -d addr"]), `"xdp"`)
			if kill {
				require.NoError(t, s.daemon.Kill())
			}
			s.release()
			s.ended()
			require.Equal(t, was, s.look())
		})
	}
}
