// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// flows of the host, all from one data address; each is a UDP socket, which is not connected: else the
// refusals of the peer would end it.
type outbound struct {
	s     *scene
	conns []net.PacketConn
}

// to is where a flow goes; nobody listens there.
func to(flow int) net.Addr {
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(lab.Peer, uint16(30000+flow)))
}

// packets of one flow in a look: all have to leave by one member.
const inALook = 5

func (s *scene) outbound(n int, source netip.Addr) *outbound {
	s.t.Helper()
	o := &outbound{s: s}
	require.NoError(s.t, s.Host.Do(func() error {
		for i := range n {
			conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, uint16(20000+i))))
			if err != nil {
				return err
			}
			o.conns = append(o.conns, conn)
			s.t.Cleanup(func() { conn.Close() })
		}
		return nil
	}))
	return o
}

// members by which the flows leave now, as the ports of the switch count them.
func (o *outbound) members() []int {
	o.s.t.Helper()
	counts := func() []uint64 {
		list := make([]uint64, len(o.s.Members))
		for i, m := range o.s.Members {
			list[i] = o.s.count(m.Port, faults.From, faults.IP(faults.Data))
		}
		return list
	}
	by := make([]int, len(o.conns))
	for i, conn := range o.conns {
		before, all := counts(), false
		for range inALook {
			_, err := conn.WriteTo([]byte("x"), to(i))
			require.NoError(o.s.t, err)
		}
		by[i] = -1
		o.s.wait("the packets at the ports", func() (bool, error) {
			now := counts()
			for m := range now {
				if n := now[m] - before[m]; n == inALook {
					by[i], all = m, true
				} else if n != 0 && n < inALook {
					return false, fmt.Errorf("%d of %d by %s", n, inALook, o.s.Members[m].Name)
				}
			}
			return all, nil
		})
	}
	return by
}

func perMember(by []int, members int) []int {
	n := make([]int, members)
	for _, m := range by {
		n[m]++
	}
	return n
}

// TestSpreadOverFourMembers: data addresses to within one, flows over all of them. When one fails, what
// was on it goes to the others, and nothing else moves; when it is back, so are its addresses, and new flows
// leave by it too. Of those that are there some may go to it, and none elsewhere.
func TestSpreadOverFourMembers(t *testing.T) {
	var addresses []netip.Prefix
	for i := range 8 {
		addresses = append(addresses, netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(10 * (i + 2))}), 24))
	}
	s := stage(t, setup{lab: lab.Options{Members: 4}, detection: 5 * time.Millisecond, addresses: addresses, group: []string{"spread: l4"}})
	for _, a := range addresses {
		require.NoError(t, s.Classify(faults.Data, a.Addr()))
	}
	// Where the peer's packets arrive, by address.
	inbound := func() []int {
		t.Helper()
		by := make([]int, len(addresses))
		for i, a := range addresses {
			s.wait("an answer, and its way in", func() (bool, error) {
				before := make([]uint64, len(s.Members))
				for m := range s.Members {
					before[m] = s.count(s.Members[m].Port, faults.To, faults.IP(faults.Data))
				}
				if ok, err := s.Peer.Reaches(a.Addr()); !ok {
					return false, err
				}
				ways := 0
				for m := range s.Members {
					if s.count(s.Members[m].Port, faults.To, faults.IP(faults.Data)) > before[m] {
						by[i], ways = m, ways+1
					}
				}
				owner, err := s.where(a.Addr())
				return err == nil && ways == 1 && owner == s.Members[by[i]].Name, err
			})
		}
		return by
	}
	home := inbound()
	require.Equal(t, []int{2, 2, 2, 2}, perMember(home, 4))
	flows := s.outbound(64, addresses[0].Addr())
	before := flows.members()
	t.Log("flows by member: ", perMember(before, 4))
	for m, n := range perMember(before, 4) {
		require.GreaterOrEqual(t, n, 3, "of 64 flows by %s", s.Members[m].Name)
	}

	const failed = 1
	require.NoError(t, s.Members[failed].CutSilent())
	s.expect("failover hme1")
	away := inbound()
	for m, n := range perMember(away, 4) {
		if m == failed {
			require.Zero(t, n)
		} else {
			require.Contains(t, []int{2, 3}, n)
		}
	}
	after := flows.members()
	t.Log("flows by member: ", perMember(after, 4))
	for i := range before {
		require.NotEqual(t, failed, after[i])
		if before[i] != failed {
			require.Equal(t, before[i], after[i], "flow %d had nothing to do with it", i)
		}
	}
	for i := range home {
		if home[i] != failed {
			require.Equal(t, home[i], away[i], "%s had nothing to do with it", addresses[i])
		}
	}

	require.NoError(t, s.Members[failed].Repair())
	s.expect("repair hme1", "failback hme1")
	require.Equal(t, home, inbound())
	fresh := s.outbound(64, addresses[2].Addr())
	s.wait("new flows on it", func() (bool, error) {
		n := perMember(fresh.members(), 4)
		if slices.Min(n) < 3 {
			return false, fmt.Errorf("%v", n)
		}
		t.Log("new flows by member: ", n)
		return true, nil
	})
	again := flows.members()
	t.Log("flows by member: ", perMember(again, 4))
	for i := range again {
		require.Contains(t, []int{after[i], failed}, again[i], "flow %d", i)
	}
}

// TestNoSpreadWithoutAddress: a member that has no address of its own would be asked for one by the
// neighbours in the name of another; all flows leave by the one that has.
func TestNoSpreadWithoutAddress(t *testing.T) {
	long(t)
	s := stage(t, setup{lab: lab.Options{Members: 4}, tests: noTests, group: []string{"probe: link", "hold-down: 0s", "spread: l4"}})
	flows := s.outbound(16, lab.Data)
	require.Equal(t, []int{16, 0, 0, 0}, perMember(flows.members(), 4))
	_, err := s.Members[0].CutCarrier()
	require.NoError(t, err)
	s.expect("failover hme0")
	s.at("hme1", lab.Data)
	require.Equal(t, []int{0, 16, 0, 0}, perMember(flows.members(), 4))
}
