// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab/faults"
)

func count(t *testing.T, p *faults.Port, d faults.Direction, s faults.Slot) uint64 {
	t.Helper()
	c, err := p.Count(d, s)
	require.NoError(t, err)
	return c.Packets
}

// TestFaults pings the first member's test address from the peer, and judges by what came back to
// the peer and by the counters of the peer's port.
func TestFaults(t *testing.T) {
	long(t)
	const pings = 40
	echo := faults.Echo()
	for _, row := range []struct {
		name      string
		rules     []faults.Rule
		low, high int  // answered
		other     bool // frames of the host's own, as its router solicitations, may meet the rule too
	}{
		{"sound", nil, pings, pings, false},
		{"silent", faults.Both(faults.Drop, faults.Any()), 0, 0, false},
		{"from the host", []faults.Rule{faults.Drop(faults.From, faults.Any())}, 0, 0, false},
		{"to the host", []faults.Rule{faults.Drop(faults.To, faults.Any())}, 0, 0, false},
		{"IPv4", []faults.Rule{faults.Drop(faults.From, faults.Ethertype(0x0800))}, 0, 0, false},
		{"IPv6", []faults.Rule{faults.Drop(faults.From, faults.Ethertype(0x86dd))}, pings, pings, true},
		{"test addresses", []faults.Rule{faults.Drop(faults.To, faults.Of(faults.Test))}, 0, 0, false},
		{"data addresses", []faults.Rule{faults.Drop(faults.To, faults.Of(faults.Data))}, pings, pings, false},
		{"each 4th", []faults.Rule{faults.Nth(faults.From, echo, 4)}, pings * 3 / 4, pings * 3 / 4, false},
		{"half at random", []faults.Rule{faults.Random(faults.From, echo, 0.5)}, 4, pings - 4, false},
		{"first 7", []faults.Rule{faults.First(faults.From, echo, 7)}, pings - 7, pings - 7, false},
		{"policed", []faults.Rule{faults.Police(faults.From, echo, 0.01, 9)}, 10, 10, false},
		{"burst", []faults.Rule{faults.Burst(faults.From, echo, time.Hour)}, 0, 0, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := seeded(t, Options{})
			p := l.Members[0].Port
			answers(t, l, l.Peer, TestAddr(0)) // so that ARP is out of the way
			returned := count(t, l.PeerPort, faults.To, faults.Echoes)
			before := faults.Now()
			require.NoError(t, p.Set(row.rules...))
			rtts, err := l.Peer.Ping(TestAddr(0), pings, time.Millisecond, 100*time.Millisecond)
			require.NoError(t, err)
			require.GreaterOrEqual(t, len(rtts), row.low)
			require.LessOrEqual(t, len(rtts), row.high)
			require.EqualValues(t, len(rtts), count(t, l.PeerPort, faults.To, faults.Echoes)-returned)

			cut, err := p.CutAt()
			require.NoError(t, err)
			switch {
			case row.other:
			case len(rtts) == pings:
				require.Zero(t, cut, "nothing dropped")
			default:
				require.Greater(t, cut, p.Armed())
				require.Greater(t, p.Armed(), before)
				require.Less(t, cut, faults.Now())
			}
			if row.name == "IPv6" {
				ok, err := l.Peer.Reaches(Data6)
				require.NoError(t, err)
				require.False(t, ok, "what the rule names is lost")
			}
			require.NoError(t, p.Heal())
			answers(t, l, l.Peer, TestAddr(0))
		})
	}
}

func TestOneDirectionIsSeenAtTheSwitch(t *testing.T) {
	l := seeded(t, Options{})
	p := l.Members[0].Port
	answers(t, l, l.Peer, TestAddr(0))
	require.NoError(t, p.Set(faults.Drop(faults.From, faults.Any())))
	to, from := count(t, p, faults.To, faults.Echoes), count(t, p, faults.From, faults.Echoes)
	rtts, err := l.Peer.Ping(TestAddr(0), 5, time.Millisecond, 50*time.Millisecond)
	require.NoError(t, err)
	require.Empty(t, rtts)
	require.EqualValues(t, 5, count(t, p, faults.To, faults.Echoes)-to, "requests reach the host")
	require.Equal(t, from, count(t, p, faults.From, faults.Echoes), "replies do not come back")
}

func TestClassesAreCountedAtTheSwitch(t *testing.T) {
	l := seeded(t, Options{})
	p := l.Members[0].Port
	test, data := count(t, p, faults.From, faults.IP(faults.Test)), count(t, p, faults.From, faults.IP(faults.Data))
	rtts, err := l.Peer.Ping(TestAddr(0), 3, time.Millisecond, time.Second)
	require.NoError(t, err)
	require.Len(t, rtts, 3)
	rtts, err = l.Peer.Ping(Data6, 2, time.Millisecond, time.Second)
	require.NoError(t, err)
	require.Len(t, rtts, 2)
	require.EqualValues(t, 3, count(t, p, faults.From, faults.IP(faults.Test))-test)
	require.GreaterOrEqual(t, count(t, p, faults.From, faults.IP(faults.Data))-data, uint64(2))
}

// TestFirstAnnouncementLost: the peer keeps the old owner, as in the benchmark's row.
func TestFirstAnnouncementLost(t *testing.T) {
	l := seeded(t, Options{})
	a, b := l.Members[0], l.Members[1]
	answers(t, l, l.Peer, Data)
	require.NoError(t, b.Port.Set(faults.First(faults.From, faults.Announcement(), 1)))
	require.NoError(t, a.CutSilent())
	require.NoError(t, l.Host.AddAddr(b.Name, Data.String()+"/24"))
	require.NoError(t, l.Host.DelAddr(a.Name, Data.String()+"/24"))
	require.NoError(t, l.Host.SendFrame(b.Name, GratuitousARP(b.MAC(), Data)))
	// Judged by where the peer sends to: without a daemon the host's replies still leave by a.
	arrived := func() uint64 {
		before := count(t, b.Port, faults.To, faults.IP(faults.Data))
		_, err := l.Peer.Ping(Data, 1, 0, 20*time.Millisecond)
		require.NoError(t, err)
		return count(t, b.Port, faults.To, faults.IP(faults.Data)) - before
	}
	require.Zero(t, arrived(), "the peer still sends to the old owner")
	require.NoError(t, l.Host.SendFrame(b.Name, GratuitousARP(b.MAC(), Data)))
	l.Require(t, "the peer follows the second", 5*time.Second, func() (bool, error) { return arrived() > 0, nil })
	states, err := b.Port.States()
	require.NoError(t, err)
	require.EqualValues(t, 1, states[0].Dropped)
	require.GreaterOrEqual(t, states[0].Matched, uint64(2))
}
