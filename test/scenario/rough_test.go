// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// TestHomeIsDeadAtTheStart, with link: the address is placed there, and does not stay.
func TestHomeIsDeadAtTheStart(t *testing.T) {
	s := stage(t, setup{
		prepare: func(t *testing.T, s *scene) { require.NoError(t, s.Members[0].CutSilent()) },
		ready:   func(s *scene) (bool, error) { is, err := s.where(lab.Data); return is == "hme1", err },
	})
	s.at("hme1", lab.Data)
	s.state("hme0", "failed")
	s.news()
	require.NoError(t, s.Members[0].Repair())
	s.at("hme0", lab.Data)
	s.state("hme0", "ok")
	s.news()
}

// TestKilledInTheMiddle of a failover, after the verdict and before user space has moved anything as
// far as SIGKILL can be in time: the next daemon brings the address where it is reached.
func TestKilledInTheMiddle(t *testing.T) {
	s := stage(t, setup{})
	tr := s.traffic()
	p := s.Members[1].Port
	require.NoError(t, p.Reset(faults.From, faults.Announced))
	killed := make(chan error, 1)
	go func() {
		for end := time.Now().Add(patience); time.Now().Before(end); {
			if c, err := p.Count(faults.From, faults.Announced); err != nil || c.Packets > 0 {
				killed <- errors.Join(err, s.daemon.Signal(syscall.SIGKILL))
				return
			}
		}
		killed <- errors.New("no announcement")
	}()
	require.NoError(t, s.Members[0].CutSilent())
	require.NoError(t, <-killed)
	require.NoError(t, s.daemon.Kill())
	is, err := s.where(lab.Data) // in the middle of the move it is on both
	t.Logf("killed with the address on %s, %v", is, err)
	require.NoError(t, s.daemon.Start())
	s.at("hme1", lab.Data)
	tr.flows(faults.Now())
	tr.finish()
	s.state("hme0", "failed")
	s.at("hme1", lab.Data)
	s.news()

	// Its failure was taken over from the former run; it is as good as ever when it answers.
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")
	s.at("hme0", lab.Data)
}

// TestInterfaceSetDown by an administrator, and up: the kernel takes routes and next hops away with
// the interface, and brings none of them back.
func TestInterfaceSetDown(t *testing.T) {
	c := dual().homes()
	c.lab = lab.Options{Far: true}
	c.group = []string{"routes:",
		fmt.Sprintf("  - {to: 0.0.0.0/0, via: %s}", lab.Router), fmt.Sprintf("  - {to: '::/0', via: '%s'}", lab.Router6)}
	s := stage(t, c)
	for _, m := range s.Members {
		l, err := s.Host.Link(m.Name)
		require.NoError(t, err)
		other := map[string]string{"hme0": "hme1", "hme1": "hme0"}[m.Name]
		require.NoError(t, s.Host.Netlink.LinkSetDown(l))
		s.settled("failover " + m.Name)
		s.at(other, lab.Data, lab.Data6)
		s.reachedFrom(lab.Far)
		s.reachedFrom(lab.Far6)
		require.NoError(t, s.Host.Netlink.LinkSetUp(l))
		s.state(m.Name, "ok")
		s.at("hme0", lab.Data, lab.Data6)
		s.wait("both families to be probed", s.ready)
		s.reachedFrom(lab.Far)
		s.reachedFrom(lab.Far6)
		for _, e := range s.news() {
			require.Contains(t, []string{"repair", "failback"}, e.Kind)
		}
	}
}

// TestFlappingCable: whatever the daemon makes of it, in the end everything is at home.
func TestFlappingCable(t *testing.T) {
	s := stage(t, setup{})
	tr := s.traffic()
	for range 20 {
		_, err := s.Members[0].CutCarrier()
		require.NoError(t, err)
		s.pass(10 * time.Millisecond)
		require.NoError(t, s.Members[0].Repair())
		s.pass(10 * time.Millisecond)
	}
	s.state("hme0", "ok")
	s.at("hme0", lab.Data)
	tr.flows(faults.Now())
	tr.finish()
	for _, e := range s.news() {
		require.Equal(t, "hme0", e.Interface, e.Kind)
	}
}

// TestOfflineAndAFailure: the member that is offline is no refuge, and a way out when it is back.
func TestOfflineAndAFailure(t *testing.T) {
	s := stage(t, setup{})
	s.run("offline", "hme0")
	s.expect("offline hme0")
	require.NoError(t, s.Members[1].CutSilent())
	s.state("hme1", "failed")
	is, err := s.where(lab.Data)
	require.NoError(t, err)
	require.Equal(t, "hme1", is, "nothing moves")
	s.run("online", "hme0")
	s.at("hme0", lab.Data)
	require.NoError(t, s.Members[1].Repair())
	s.state("hme1", "ok")
	s.at("hme0", lab.Data)
	s.news()
}

// TestManyAddresses move together, and every one of them is announced.
func TestManyAddresses(t *testing.T) {
	const many = 200
	var c setup
	for i := range many {
		c.addresses = append(c.addresses, netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 3, byte(20 + i)}), 24))
	}
	c.atHome = "hme0"
	c.prepare = func(t *testing.T, s *scene) {
		require.NoError(t, s.Peer.AddAddr("eth0", "192.0.3.250/24"))
		for _, m := range s.Members {
			for _, a := range c.addresses {
				require.NoError(t, m.Port.Classify(faults.Data, a.Addr()))
			}
		}
	}
	s := stage(t, c)
	p := s.Members[1].Port
	require.NoError(t, p.Reset(faults.From, faults.Announced))
	require.NoError(t, s.Members[0].CutSilent())
	e := s.expect("failover hme0")[0]
	require.Len(t, e.Moved, many)
	s.wait("an announcement of each", func() (bool, error) {
		return s.count(p, faults.From, faults.Announced) >= many, nil
	})
	for _, a := range c.addresses {
		s.at("hme1", a.Addr())
	}
}
