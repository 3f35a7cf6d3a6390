// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// long marks a test for which `make test` has no time; tools/test-long.sh runs it.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("LONG") == "" {
		t.Skip("LONG=1: `make ci` runs it")
	}
}

// seeded puts the seed's addresses on the members, as a daemon would.
func seeded(t *testing.T, opts Options) *Lab {
	t.Helper()
	l := Start(t, opts)
	// Without a daemon every interface answers ARP for every address of the host.
	require.NoError(t, l.Host.Sysctl("ipv4/conf/all/arp_ignore", "1"))
	for i, m := range l.Members {
		require.NoError(t, l.Host.AddAddr(m.Name, netip.PrefixFrom(TestAddr(i), 24).String()))
	}
	require.NoError(t, l.Move(nil, l.Members[0], netip.PrefixFrom(Data, 24), netip.PrefixFrom(Data6, 64)))
	return l
}

func pings(n *Netns, to netip.Addr) bool {
	ok, err := n.Reaches(to)
	return ok && err == nil
}

// answers waits for an answer: right after an interface came up one request may be lost, as bridges
// and neighbour tables still learn.
func answers(t *testing.T, l *Lab, n *Netns, to netip.Addr) {
	t.Helper()
	l.Require(t, fmt.Sprintf("%s to answer %s", to, n.Name), 5*time.Second, func() (bool, error) { return n.Reaches(to) })
}

func TestTopologies(t *testing.T) {
	for name, opts := range map[string]Options{
		"seed":     {},
		"switches": {Members: 3, SecondSwitch: 1},
		"tap":      {Cables: []CableOptions{{TAP: true}, {TAP: true}}, RouterCable: CableOptions{TAP: true}},
		"far":      {Far: true, Names: []string{"net0", "net1"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := seeded(t, opts)
			for i, m := range l.Members {
				answers(t, l, l.Router, TestAddr(i))
				link, err := l.Host.Link(m.Name)
				require.NoError(t, err)
				if link.Type() == "veth" {
					require.Equal(t, link.Attrs().Index, link.Attrs().ParentIndex, "linkwatch must not see a veth")
				}
			}
			answers(t, l, l.Peer, Data)
			answers(t, l, l.Peer, Data6)
			if opts.Far {
				answers(t, l, l.Far, Router)
			}
		})
	}
}

func TestNothingStays(t *testing.T) {
	l := Start(t, Options{})
	require.NoError(t, l.Close())
	out, err := exec.Command("ip", "netns", "list").Output()
	require.NoError(t, err)
	require.NotContains(t, string(out), l.id)
	_, err = os.Stat(l.Dir)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestSweepRemovesWhatTheDeadLeft(t *testing.T) {
	l := Start(t, Options{})
	cmd := exec.Command("true")
	require.NoError(t, cmd.Run())
	dead, err := newNetns(fmt.Sprintf("%s%d-1-host", prefix, cmd.Process.Pid))
	require.NoError(t, err)
	require.NoError(t, Sweep())
	out, err := exec.Command("ip", "netns", "list").Output()
	require.NoError(t, err)
	require.NotContains(t, string(out), dead.Name)
	require.Contains(t, string(out), l.Host.Name, "the living stay")
	dead.Netlink.Close()
	require.NoError(t, dead.fd.Close())
}

// carrier reads IFLA_CARRIER as the kernel has it now.
func carrier(t *testing.T, l *Lab, m *Member) bool {
	link, err := l.Host.Link(m.Name)
	require.NoError(t, err)
	return link.Attrs().RawFlags&0x10000 != 0 || link.Attrs().OperState.String() == "up"
}

func TestCarrier(t *testing.T) {
	for name, c := range map[string]CableOptions{"veth": {}, "tap": {TAP: true}} {
		t.Run(name, func(t *testing.T) {
			l := seeded(t, Options{Cables: []CableOptions{c}})
			m := l.Members[0]
			answers(t, l, l.Peer, TestAddr(0))
			at, err := m.CutCarrier()
			require.NoError(t, err)
			require.Positive(t, at)
			l.Require(t, "carrier off", 5*time.Second, func() (bool, error) { return !carrier(t, l, m), nil })
			require.False(t, pings(l.Peer, TestAddr(0)))
			require.NoError(t, m.Repair())
			l.Require(t, "carrier on", 5*time.Second, func() (bool, error) { return carrier(t, l, m), nil })
			l.Require(t, "ping", 5*time.Second, func() (bool, error) { return pings(l.Peer, TestAddr(0)), nil })
		})
	}
}

func TestDeleteAndRecreate(t *testing.T) {
	l := seeded(t, Options{})
	m := l.Members[1]
	before, err := l.Host.Link(m.Name)
	require.NoError(t, err)
	require.NoError(t, m.Delete())
	_, err = l.Host.Link(m.Name)
	require.Error(t, err)
	require.NoError(t, m.Recreate())
	after, err := l.Host.Link(m.Name)
	require.NoError(t, err)
	require.NotEqual(t, before.Attrs().Index, after.Attrs().Index)
	require.Equal(t, before.Attrs().HardwareAddr, after.Attrs().HardwareAddr)
	require.NoError(t, l.Host.AddAddr(m.Name, "192.0.2.12/24"))
	answers(t, l, l.Router, TestAddr(1))
}

func TestStallIsLateButLosesNothing(t *testing.T) {
	l := seeded(t, Options{RouterCable: CableOptions{TAP: true}})
	answers(t, l, l.Router, TestAddr(0))
	require.NoError(t, l.Members[0].Port.Classify(faults.Test, Router))
	answered := make(chan []time.Duration, 1)
	go func() {
		rtts, _ := l.Host.Ping(Router, 20, 10*time.Millisecond, 2*time.Second)
		answered <- rtts
	}()
	require.NoError(t, l.Stall(100*time.Millisecond))
	rtts := <-answered
	require.Len(t, rtts, 20)
	require.Greater(t, slices.Max(rtts), 20*time.Millisecond, "held back")
}

func TestDelay(t *testing.T) {
	l := seeded(t, Options{Cables: []CableOptions{{TAP: true, Delay: 20 * time.Millisecond}}})
	answers(t, l, l.Peer, TestAddr(0))
	rtts, err := l.Peer.Ping(TestAddr(0), 3, time.Millisecond, time.Second)
	require.NoError(t, err)
	require.Len(t, rtts, 3)
	require.GreaterOrEqual(t, slices.Min(rtts), 40*time.Millisecond, "20 ms each way")
}

func TestNewRouterMAC(t *testing.T) {
	l := seeded(t, Options{})
	answers(t, l, l.Host, Router)
	mac := []byte{0x02, 'i', 'p', 'm', 9, 9}
	require.NoError(t, l.NewRouterMAC(mac, true))
	l.Require(t, "the host follows", 5*time.Second, func() (bool, error) {
		now, err := l.Host.Neighbour(l.Members[0].Name, Router)
		return now.String() == "02:69:70:6d:09:09", err
	})
	answers(t, l, l.Host, Router)
}

func TestMoveIsSeenByThePeer(t *testing.T) {
	l := seeded(t, Options{})
	a, b := l.Members[0], l.Members[1]
	answers(t, l, l.Peer, Data)
	for _, step := range []struct{ from, to *Member }{{a, b}, {b, a}} {
		port, err := step.to.Listen()
		require.NoError(t, err)
		other, err := step.from.Listen()
		require.NoError(t, err)
		require.NoError(t, l.Move(step.from, step.to, netip.PrefixFrom(Data, 24)))
		announcement := GratuitousARP(step.to.mac, Data)
		announced := func(e *Ear) (bool, error) {
			frames, err := e.Frames()
			return slices.ContainsFunc(frames, func(f []byte) bool { return bytes.Equal(f, announcement) }), err
		}
		l.Require(t, "the announcement where it came in", 5*time.Second, func() (bool, error) { return announced(port) })
		heard, err := announced(other)
		require.NoError(t, err)
		require.False(t, heard, "it left there")
		require.NoError(t, errors.Join(port.Close(), other.Close()))
		owner, err := l.Owner(Data)
		require.NoError(t, err)
		require.Equal(t, step.to, owner)
		l.Require(t, "the peer follows", 5*time.Second, func() (bool, error) {
			mac, err := l.Peer.Neighbour("eth0", Data)
			return mac.String() == step.to.MAC().String(), err
		})
	}
	require.NoError(t, l.Host.AddAddr(b.Name, Data.String()+"/24"))
	_, err := l.Owner(Data)
	require.ErrorContains(t, err, "hme0 and on hme1")
}
