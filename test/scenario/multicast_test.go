// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
	"github.com/ipmpd/ipmpd/test/lab/flow"
)

var (
	anySource  = netip.MustParseAddr("239.1.1.1")
	oneSource  = netip.MustParseAddr("232.1.1.1")
	anySource6 = netip.MustParseAddr("ff0e::9")
	oneSource6 = netip.MustParseAddr("ff3e::8000:9")
)

// feeds from the peer to the host, which joins them on hme0.
type feeds struct {
	s     *scene
	flows []*flow.Flow
}

func (s *scene) feeds(interval time.Duration, specs ...flow.Spec) *feeds {
	s.t.Helper()
	for i := range specs {
		f := &specs[i]
		f.Name, f.From, f.To, f.Interval = f.Destination.String(), s.Peer, s.Host, interval
		f.Source = lab.Peer
		if f.Destination.Is6() {
			f.Source = lab.Peer6
		}
		if f.On == "" {
			f.On = "hme0"
		}
	}
	list, err := flow.Start(specs...)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, list.Close()) })
	f := &feeds{s, list.Flows}
	f.heard(faults.Now())
	return f
}

// heard waits until all feeds are, after a moment.
func (f *feeds) heard(since int64) {
	f.s.t.Helper()
	f.s.wait("the feeds to be heard", func() (bool, error) {
		for _, one := range f.flows {
			if n := one.ArrivedSince(since); n < 20 {
				return false, fmt.Errorf("%s: %d packets", one.Name, n)
			}
		}
		return true, nil
	})
}

// once requires that nothing was heard twice since a moment, and says what was lost.
func (f *feeds) once(since int64, lossless bool) {
	f.s.t.Helper()
	to := faults.Now()
	for _, one := range f.flows {
		g := one.Gap(since, to)
		require.Positive(f.s.t, g.Sent, one.Name)
		require.Zero(f.s.t, g.Duplicates, one.Name)
		if lossless {
			require.Zero(f.s.t, g.Lost, "%s: longest gap %v", one.Name, g.Longest)
		}
	}
}

// TestMulticast: what sockets hear on a member they go on hearing when it fails, and when it is back, once each.
func TestMulticast(t *testing.T) {
	long(t)
	both := []flow.Spec{{Destination: anySource}, {Destination: oneSource6, Only: lab.Peer6}}
	all := append(both, flow.Spec{Destination: anySource6}, flow.Spec{Destination: oneSource, Only: lab.Peer},
		flow.Spec{Destination: netip.MustParseAddr("239.1.1.2"), Bound: true})
	drop := faults.Drop(faults.From, faults.Any())
	for _, row := range []struct {
		name, mode, attach string
		feeds              []flow.Spec
		fault              []faults.Rule
	}{
		{"both ways", "failover", "auto", both, faults.Both(faults.Drop, faults.Any())},
		{"both ways, all kinds", "failover", "xdp", all, faults.Both(faults.Drop, faults.Any())},
		{"both ways, ahead", "ahead", "auto", all, faults.Both(faults.Drop, faults.Any())},
		{"carrier", "failover", "auto", all, nil},
		// It goes on receiving.
		{"transmit only", "ahead", "xdp", both, []faults.Rule{drop}},
		{"transmit only", "failover", "auto", both, []faults.Rule{drop}},
	} {
		t.Run(fmt.Sprintf("%s, %s, %s", row.name, row.mode, row.attach), func(t *testing.T) {
			s := stage(t, setup{tests: dualTests, targets: []netip.Addr{lab.Router, lab.Router6},
				group: []string{"multicast: " + row.mode, "attach: " + row.attach},
				prepare: func(t *testing.T, s *scene) {
					// It would drop what comes from where the routes do not point.
					require.NoError(t, s.Host.Sysctl("ipv4/conf/hme0/rp_filter", "1"))
				}})
			f := s.feeds(500*time.Microsecond, row.feeds...)
			begun := faults.Now()
			if row.fault == nil {
				_, err := s.Members[0].CutCarrier()
				require.NoError(t, err)
				s.expect("failover hme0")
			} else {
				require.NoError(t, s.Members[0].Port.Set(row.fault...))
				s.expect("failover hme0", "failover hme0")
			}
			f.heard(faults.Now())
			f.once(begun, row.name == "transmit only")
			healed := faults.Now()
			require.NoError(t, s.Members[0].Repair())
			s.expect("repair hme0", "failback hme0", "repair hme0")
			f.heard(faults.Now())
			f.once(healed, true)
		})
	}
}

// TestMulticastOffline: not one packet is lost, nor heard twice, when a member goes out of service and comes back, on a
// switch that sends multicast only where it was asked for; nor while the daemon is killed and started again.
func TestMulticastOffline(t *testing.T) {
	long(t)
	s := stage(t, setup{lab: lab.Options{Snooping: true}, tests: dualTests, targets: []netip.Addr{lab.Router, lab.Router6}})
	require.NoError(t, s.Query())
	f := s.feeds(500*time.Microsecond, flow.Spec{Destination: anySource}, flow.Spec{Destination: anySource6},
		flow.Spec{Destination: oneSource, Only: lab.Peer}, flow.Spec{Destination: oneSource6, Only: lab.Peer6})
	f.sent("hme1", false)
	begun := faults.Now()
	s.run("offline", "hme0")
	s.expect("offline hme0")
	f.sent("hme1", true)
	require.NoError(t, s.Members[0].CutSilent())
	f.heard(faults.Now())
	f.once(begun, true)

	killed := faults.Now()
	require.NoError(t, s.daemon.Kill())
	require.NoError(t, s.daemon.Start())
	f.heard(faults.Now())
	f.once(killed, false)

	require.NoError(t, s.Members[0].Repair())
	begun = faults.Now()
	s.run("online", "hme0")
	s.expect("online hme0", "failback hme0")
	f.sent("hme0", true)
	f.sent("hme1", false)
	f.heard(faults.Now())
	f.once(begun, true)
}

// TestMulticastAskedFor: what comes in where only the daemon has asked for it is heard by nobody there, nor is what the host sends
// itself; but on the member that has failed, and by who joins there.
func TestMulticastAskedFor(t *testing.T) {
	s := stage(t, setup{group: []string{"multicast: ahead"}, bound: true})
	group := netip.MustParseAddr("239.1.1.9")
	first := s.listens(group, "hme0")
	s.wait("the daemon to join on the survivor", func() (bool, error) { return s.joined("hme1", group) })
	s.sends(s.Host, "hme1", group, "from the host itself")
	s.sends(s.Peer, "eth0", group, "one")
	require.Equal(t, "one", first.next(), "not what was sent here, and once")
	s.sends(s.Peer, "eth0", group, "two")
	require.Equal(t, "two", first.next())

	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	for _, text := range []string{"three", "four"} {
		s.sends(s.Peer, "eth0", group, text)
		require.Equal(t, text, first.next(), "after a failover, once")
	}

	second := s.listens(group, "hme1")
	s.wait("who joins there to hear it", func() (bool, error) {
		s.sends(s.Peer, "eth0", group, "five")
		return second.heard(), nil
	})
	require.NoError(t, s.daemon.Stop())
	s.wait("the daemon's memberships to end with it", func() (bool, error) {
		n, err := s.users("hme1", group)
		return n == 1, err
	})
}

// sent waits until the switch sends the feeds to a member, or does not: a switch that snoops does where somebody has
// asked for them, as far as it knows.
func (f *feeds) sent(member string, want bool) {
	f.s.t.Helper()
	for _, one := range f.flows {
		f.sentOne(one, member, want)
	}
}

func (f *feeds) sentOne(one *flow.Flow, member string, want bool) {
	f.s.t.Helper()
	proto, at := uint16(unix.ETH_P_IP), 16
	if one.Destination.Is6() {
		proto, at = unix.ETH_P_IPV6, 24
	}
	var tap int
	require.NoError(f.s.t, f.s.Host.Do(func() (err error) {
		link, err := f.s.Host.Link(member)
		if err != nil {
			return err
		}
		proto := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, proto))
		if tap, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(proto)); err != nil {
			return err
		}
		return unix.Bind(tap, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: link.Attrs().Index})
	}))
	defer unix.Close(tap)
	to := one.Destination.AsSlice()
	f.s.wait(fmt.Sprintf("%s on the wire of %s: %t", one.Name, member, want), func() (bool, error) {
		seen := func() (n int) {
			buf := make([]byte, 64)
			for {
				size, _, err := unix.Recvfrom(tap, buf, 0)
				if err != nil {
					return n
				}
				if size >= at+len(to) && bytes.Equal(buf[at:at+len(to)], to) {
					n++
				}
			}
		}
		seen()
		from := one.Totals().Sent
		f.s.wait("the feed", func() (bool, error) { return one.Totals().Sent > from+20, nil })
		if n := seen(); n > 0 != want {
			return false, fmt.Errorf("%d packets came in there", n)
		}
		return true, nil
	})
}

// TestMulticastGap measures what a silent cut costs a feed of 10 kHz: SOAK=50 go test -run TestMulticastGap.
func TestMulticastGap(t *testing.T) {
	cuts, err := strconv.Atoi(os.Getenv("SOAK"))
	if err != nil {
		t.Skip("a measurement: SOAK=50")
	}
	for _, attach := range []string{"tcx", "xdp"} {
		for _, row := range []struct {
			mode     string
			snooping bool
		}{{"ahead", false}, {"failover", false}, {"failover", true}} {
			t.Run(fmt.Sprintf("%s/%s/snooping %t", attach, row.mode, row.snooping), func(t *testing.T) {
				if attach == "tcx" {
					needsTCX(t)
				}
				s := stage(t, setup{detection: 400 * time.Microsecond, lab: lab.Options{Snooping: row.snooping},
					group: []string{"multicast: " + row.mode, "attach: " + attach}})
				if row.snooping {
					require.NoError(t, s.Query())
				}
				f := s.feeds(100*time.Microsecond, flow.Spec{Destination: anySource})
				if row.snooping {
					f.sent("hme1", false)
				}
				var gaps []time.Duration
				var lost, twice int
				for range cuts {
					begun := faults.Now()
					require.NoError(t, s.Members[0].CutSilent())
					s.expect("failover hme0")
					f.heard(faults.Now())
					over := faults.Now()
					require.NoError(t, s.Members[0].Repair())
					s.expect("repair hme0", "failback hme0")
					f.heard(faults.Now())
					if row.snooping {
						f.sent("hme1", false)
					}
					g, back := f.flows[0].Gap(begun, over), f.flows[0].Gap(over, faults.Now())
					gaps = append(gaps, g.Longest)
					twice += g.Duplicates + back.Duplicates
					lost += back.Lost
				}
				t.Logf("%d cuts: gap %s; heard twice %d; lost at repairs %d", len(gaps), quantiles(gaps), twice, lost)
				require.Zero(t, twice)
				require.Zero(t, lost)
			})
		}
	}
}

// TestMulticastDown: a member that is down cannot be given anything, which is told once; up again, it hears.
func TestMulticastDown(t *testing.T) {
	long(t)
	s := stage(t, setup{})
	group := netip.MustParseAddr("239.1.1.9")
	l := s.listens(group, "hme0")
	link, err := s.Host.Link("hme0")
	require.NoError(t, err)
	require.NoError(t, s.Host.Netlink.LinkSetDown(link))
	s.expect("failover hme0")
	s.wait("the event", func() (bool, error) {
		return strings.Contains(s.daemon.Tail(100), "is down, and the kernel gives it nothing: 1 multicast group is not heard there until it is up"), nil
	})
	require.NoError(t, s.Host.Netlink.LinkSetUp(link))
	s.expect("repair hme0", "failback hme0")
	s.wait("the feed to be heard again", func() (bool, error) {
		s.sends(s.Peer, "eth0", group, "up")
		return l.heard(), nil
	})
}
