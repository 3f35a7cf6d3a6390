// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
)

// ear is one that the scene closes.
func (s *scene) ear(e *lab.Ear, err error) *lab.Ear {
	s.t.Helper()
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, e.Close()) })
	return e
}

// owner is the member that has sent a frame, or a MAC that none has.
func (s *scene) owner(frame []byte) string {
	mac := net.HardwareAddr(frame[6:12])
	i := slices.IndexFunc(s.Members, func(m *lab.Member) bool { return bytes.Equal(m.MAC(), mac) })
	if i < 0 {
		return mac.String()
	}
	return s.Members[i].Name
}

// senderOf an IP packet.
func senderOf(frame []byte) (a netip.Addr) {
	switch {
	case len(frame) >= 34 && binary.BigEndian.Uint16(frame[12:]) == 0x0800:
		a, _ = netip.AddrFromSlice(frame[26:30])
	case len(frame) >= 54 && binary.BigEndian.Uint16(frame[12:]) == 0x86dd:
		a, _ = netip.AddrFromSlice(frame[22:38])
	}
	return a
}

// announced is the address that a frame tells everybody, or one neighbour, where to find: gratuitous ARP of
// either kind (the selftest counts requests), and advertisements that nobody has asked for.
func announced(frame []byte) (a netip.Addr, ok bool) {
	switch {
	case len(frame) >= 42 && binary.BigEndian.Uint16(frame[12:]) == 0x0806:
		if bytes.Equal(frame[28:32], frame[38:42]) {
			return netip.AddrFrom4([4]byte(frame[28:32])), true
		}
	case len(frame) >= 78 && binary.BigEndian.Uint16(frame[12:]) == 0x86dd:
		if frame[20] == 58 && frame[54] == 136 && frame[58]&0x40 == 0 {
			return netip.AddrFrom16([16]byte(frame[62:78])), true
		}
	}
	return a, false
}

// said is who has announced what, and whether to all.
type said struct {
	address netip.Addr
	by      string
	all     bool
}

// hearing counts what an ear hears.
type hearing struct {
	s    *scene
	ear  *lab.Ear
	said map[said]int
}

func (s *scene) hear(e *lab.Ear, err error) *hearing {
	s.t.Helper()
	return &hearing{s, s.ear(e, err), map[said]int{}}
}

// take what was heard since the last time. What is told to all has to be, bit by bit, what the contract's
// words mean: a request for one's own address, an advertisement that overrides.
func (y *hearing) take() {
	y.s.t.Helper()
	frames, err := y.ear.Frames()
	require.NoError(y.s.t, err)
	for _, frame := range frames {
		a, ok := announced(frame)
		if !ok {
			continue
		}
		form := lab.GratuitousARP
		if a.Is6() {
			form = lab.UnsolicitedNA
		}
		all := frame[0]&1 == 1
		if all {
			require.Equal(y.s.t, form(frame[6:12], a), frame)
		}
		y.said[said{a, y.s.owner(frame), all}]++
	}
}

// afresh forgets what was heard up to now.
func (y *hearing) afresh() {
	y.s.t.Helper()
	y.take()
	clear(y.said)
}

// TestBondingAnnouncements: the port of the member that takes over hears as many announcements of each
// address as the file says, and the peer does; nobody else announces it.
func TestBondingAnnouncements(t *testing.T) {
	long(t)
	const interval = 10 * time.Millisecond
	policy := func(count int) string { return fmt.Sprintf("announce: {count: %d, interval: %s}", count, interval) }
	for _, row := range []struct {
		name   string
		setup  setup
		silent bool
		counts []int
	}{
		{"carrier", bonded(3, "eth2 eth0", "link"), false, []int{10, 20, 30, 50}},
		{"silent", bonded(3, "eth2 eth0", "icmp", lab.Router, lab.Router6), true, []int{1, 5}},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.setup.group = append(row.setup.group, policy(row.counts[0]))
			s := stage(t, row.setup)
			s.connected("eth1", "eth1")
			ports := map[string]*hearing{}
			for _, m := range s.Members {
				ports[m.Name] = s.hear(m.Listen())
			}
			peer := s.hear(s.Peer.Listen("eth0"))
			// told: each address is announced so often by the member that has it now, and by nobody else.
			told := func(count int, forwards bool) {
				t.Helper()
				want := map[said]int{}
				for _, a := range []netip.Addr{lab.Data, lab.Data6} {
					on, err := s.where(a)
					require.NoError(t, err)
					want[said{a, on, true}] = count
				}
				for k := range want {
					y := ports[k.by]
					s.wait(fmt.Sprintf("%d announcements of %s at %s", count, k.address, k.by), func() (bool, error) {
						y.take()
						if y.said[k] < count {
							return false, fmt.Errorf("heard %d", y.said[k])
						}
						return true, nil
					})
				}
				s.pass(10 * interval) // another one would come
				for name, y := range ports {
					y.take()
					for k, n := range y.said {
						require.Equal(t, name, k.by)
						require.Contains(t, want, said{k.address, k.by, true}, "%d of another member", n)
						if k.all {
							require.Equal(t, count, n, "to all at %s: %s", name, k.address)
						} else {
							require.LessOrEqual(t, n, 2*count, "to router and peer at %s: %s", name, k.address)
						}
					}
				}
				peer.take()
				for k := range want {
					if forwards {
						require.Equal(t, count, peer.said[k], "%s at the peer", k.address)
					}
				}
			}
			afresh := func() {
				for _, y := range ports {
					y.afresh()
				}
				peer.afresh()
			}
			m := s.member("eth1")
			for i, count := range row.counts {
				if i > 0 {
					text, err := s.daemon.Configuration()
					require.NoError(t, err)
					require.Contains(t, text, policy(row.counts[i-1]))
					require.NoError(t, s.daemon.Configure(strings.Replace(text, policy(row.counts[i-1]), policy(count), 1)))
					s.run("reload")
				}
				afresh()
				if row.silent {
					require.NoError(t, m.CutSilent())
				} else {
					_, err := m.CutCarrier()
					require.NoError(t, err)
				}
				s.settled("failover eth1")
				told(count, true)
				afresh()
				require.NoError(t, m.Repair())
				s.settled("repair eth1", "failback eth1")
				// A switch that has just seen the cable again does not send on yet (lab: Member.Forwards).
				told(count, row.silent)
			}
		})
	}
}
