// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Ping sends count echo requests, one each interval, and returns the round-trip times of those
// that were answered within limit after the last. ICMP errors and others' replies are ignored.
func (n *Netns) Ping(to netip.Addr, count int, interval, limit time.Duration) ([]time.Duration, error) {
	network, listen, proto := "ip4:icmp", "0.0.0.0", 1
	var request, reply icmp.Type = ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply
	if to.Is6() {
		network, listen, proto = "ip6:ipv6-icmp", "::", 58
		request, reply = ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply
	}
	var conn *icmp.PacketConn
	err := n.Do(func() (err error) {
		conn, err = icmp.ListenPacket(network, listen)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ping from %s: %w", n.Name, err)
	}
	defer conn.Close()
	id := os.Getpid() & 0xffff
	sent := make(chan []time.Time, 1)
	go func() {
		var times []time.Time
		defer func() { sent <- times }()
		for i := range count {
			msg := icmp.Message{Type: request, Body: &icmp.Echo{ID: id, Seq: i, Data: []byte("ipmplab")}}
			frame, err := msg.Marshal(nil)
			if err != nil {
				return
			}
			times = append(times, time.Now())
			// A send that fails is a request without answer.
			_, _ = conn.WriteTo(frame, &net.IPAddr{IP: to.AsSlice()})
			time.Sleep(interval)
		}
	}()
	got := make(map[int]time.Time)
	if err := conn.SetReadDeadline(time.Now().Add(time.Duration(count)*interval + limit)); err != nil {
		return nil, err
	}
	buf := make([]byte, 1500)
	for len(got) < count {
		size, from, err := conn.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("ping from %s: %w", n.Name, err)
		}
		msg, err := icmp.ParseMessage(proto, buf[:size])
		if err != nil || msg.Type != reply || from.String() != to.String() {
			continue
		}
		if echo, ok := msg.Body.(*icmp.Echo); ok && echo.ID == id {
			got[echo.Seq] = time.Now()
		}
	}
	var rtts []time.Duration
	for i, at := range <-sent {
		if when, ok := got[i]; ok {
			rtts = append(rtts, when.Sub(at))
		}
	}
	return rtts, nil
}

// Reaches tells whether one echo request is answered within a second.
func (n *Netns) Reaches(to netip.Addr) (bool, error) {
	rtts, err := n.Ping(to, 1, 0, time.Second)
	return len(rtts) == 1, err
}
