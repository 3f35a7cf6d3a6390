// SPDX-License-Identifier: Apache-2.0

package trial

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// peers is how many addresses the peer has: one of them, at least, has a hash that lets outbound
// traffic leave by the first member.
const peers = 16

func peerAddr(i int) netip.Addr {
	a := lab.Peer.As4()
	a[3] += byte(i)
	return netip.AddrFrom4(a)
}

// place finds an address of the peer to which the host sends over the first member. Outbound
// traffic is spread over the active members by source and destination, with a key that differs
// from boot to boot; inbound comes to the member that has the data address. Members are taken out
// of service and back before, so that the nexthop group's buckets lie as they will after a repair.
func (t *Trial) place() error {
	if err := t.gather(); err != nil {
		return err
	}
	for i := range peers {
		a := peerAddr(i)
		if err := t.Lab.Peer.AddAddr("eth0", netip.PrefixFrom(a, 24).String()); err != nil {
			return err
		}
		over, err := t.route(a)
		if err != nil {
			return err
		}
		if over == t.Lab.Members[0] {
			t.peer = a
			return nil
		}
	}
	return fmt.Errorf("outbound traffic to none of %d addresses goes over %s\n%s", peers, t.Lab.Members[0].Name, t.Lab.Dump())
}

// route is the member by which a packet from the data address leaves.
func (t *Trial) route(to netip.Addr) (*lab.Member, error) {
	var conn *net.UDPConn
	err := t.Lab.Host.Do(func() (err error) {
		conn, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(lab.Data, 0)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("socket on %s: %w", lab.Data, err)
	}
	defer conn.Close()
	count := func(m *lab.Member) (uint64, error) {
		c, err := m.Port.Count(faults.From, faults.IP(faults.Data))
		return c.Packets, err
	}
	before := make(map[*lab.Member]uint64)
	for _, m := range t.Lab.Members {
		if before[m], err = count(m); err != nil {
			return nil, err
		}
	}
	const discard = 9
	var over *lab.Member
	err = t.Lab.Wait("a packet to "+to.String(), bound, func() (bool, error) {
		_, err := conn.WriteToUDPAddrPort([]byte("?"), netip.AddrPortFrom(to, discard))
		for _, m := range t.Lab.Members {
			now, cerr := count(m)
			if err = errors.Join(err, cerr); now > before[m] {
				over = m
			}
		}
		return over != nil, err
	})
	return over, err
}
