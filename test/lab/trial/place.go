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

// peers is how many addresses the peer has for each member: one of them, at least, has a hash that lets
// outbound traffic leave by the first.
const peers = 8

// peerAddr is the i-th after the peer's own.
func (e *ends) peerAddr(i int) netip.Addr {
	b := e.peer.AsSlice()
	b[len(b)-1] += byte(i)
	a, _ := netip.AddrFromSlice(b)
	return a
}

// place finds an address of the peer to which the host sends over the first member. Outbound
// traffic is spread over the active members by source and destination, with a key that differs
// from boot to boot; inbound comes to the member that has the data address. Members are taken out
// of service and back before, so that the nexthop group's buckets lie as they will after a repair.
func (t *Trial) place() error {
	if err := t.hashByAddresses(); err != nil {
		return err
	}
	if err := t.gather(); err != nil {
		return err
	}
	ends := t.traffic()
	for i := range peers * len(t.Lab.Members) {
		a := ends.peerAddr(i)
		if err := t.Lab.Peer.AddAddr("eth0", netip.PrefixFrom(a, ends.bits).String()); err != nil {
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
	return fmt.Errorf("outbound traffic to none of %d addresses goes over %s\n%s", peers*len(t.Lab.Members), t.Lab.Members[0].Name, t.Lab.Dump())
}

// hashByAddresses lets IPv6 choose a member by source and destination too, as IPv4 does: by itself it takes the
// flow label, which is another one for each socket, and the protocol.
func (t *Trial) hashByAddresses() error {
	if !t.traffic().data.Is6() {
		return nil
	}
	const custom, sourceAndDestination = "3", "3"
	return errors.Join(t.Lab.Host.Sysctl("ipv6/fib_multipath_hash_fields", sourceAndDestination),
		t.Lab.Host.Sysctl("ipv6/fib_multipath_hash_policy", custom))
}

// route is the member by which a packet from the data address leaves.
func (t *Trial) route(to netip.Addr) (*lab.Member, error) {
	data := t.traffic().data
	var conn *net.UDPConn
	err := t.Lab.Host.Do(func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(data, 0)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("socket on %s: %w", data, err)
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
