// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func (l *Lab) buildRouter() error {
	var err error
	if l.Router, err = l.neighbour("router"); err != nil {
		return err
	}
	l.routerCable, l.RouterPort, err = l.plug(l.Router, "eth0", l.nextMAC(false), l.switches[0], "router", l.opts.RouterCable)
	if err != nil {
		return err
	}
	if err := l.Router.AddAddr("eth0", Router.String()+"/24", Router6.String()+"/64"); err != nil {
		return err
	}
	for _, key := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		if err := l.Router.Sysctl(key, "1"); err != nil {
			return err
		}
	}
	if !l.opts.Far {
		return nil
	}
	return l.buildFar()
}

func (l *Lab) buildFar() error {
	var err error
	if l.Far, err = l.neighbour("far"); err != nil {
		return err
	}
	if _, err = newVeth(end{l.Far, "eth0", l.nextMAC(false)}, end{l.Router, "eth1", l.nextMAC(true)}, l.index); err != nil {
		return err
	}
	l.index++
	for _, e := range []struct {
		ns     *Netns
		ifname string
		host   int
	}{{l.Far, "eth0", 100}, {l.Router, "eth1", 1}} {
		link, err := e.ns.Link(e.ifname)
		if err == nil {
			err = e.ns.Netlink.LinkSetUp(link)
		}
		if err != nil {
			return err
		}
		err = e.ns.AddAddr(e.ifname, fmt.Sprintf("198.51.100.%d/24", e.host), fmt.Sprintf("2001:db8:1::%d/64", e.host))
		if err != nil {
			return err
		}
	}
	for _, gw := range []string{"198.51.100.1", "2001:db8:1::1"} {
		if err := l.Far.Netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(gw)}); err != nil {
			return fmt.Errorf("default route of far: %w", err)
		}
	}
	return nil
}

func (l *Lab) buildPeer() error {
	var err error
	if l.Peer, err = l.neighbour("peer"); err != nil {
		return err
	}
	var c cable
	c, l.PeerPort, err = l.plug(l.Peer, "eth0", l.nextMAC(false), l.switches[0], "peer", CableOptions{})
	_ = c // goes with its namespace
	if err != nil {
		return err
	}
	return l.Peer.AddAddr("eth0", Peer.String()+"/24", Peer6.String()+"/64")
}

// neighbour makes a namespace that is no part of what is tested: IPv6 without waiting.
func (l *Lab) neighbour(role string) (*Netns, error) {
	n, err := l.space(role)
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"all/accept_dad", "default/accept_dad", "default/accept_ra"} {
		if err := n.Sysctl("ipv6/conf/"+key, "0"); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// Stall holds everything from and to the router back for d, then releases it in a burst: nothing
// is lost, all is late. It needs Options.RouterCable.TAP and returns after d.
func (l *Lab) Stall(d time.Duration) error {
	c, ok := l.routerCable.(*tapCable)
	if !ok {
		return errors.New("stall the router: needs Options.RouterCable.TAP")
	}
	c.pause(true)
	time.Sleep(d)
	c.pause(false)
	return nil
}

// Delay sets the one-way delay of member i's cable, which needs CableOptions.TAP.
func (l *Lab) Delay(i int, d time.Duration) error {
	c, ok := l.Members[i].cable.(*tapCable)
	if !ok {
		return fmt.Errorf("delay %s: needs CableOptions.TAP", l.Members[i].Name)
	}
	c.setDelay(d)
	return nil
}

// NewRouterMAC gives the router another MAC, as when a standby router takes over; announce says
// whether it tells the segment with gratuitous ARP and an unsolicited neighbour advertisement.
func (l *Lab) NewRouterMAC(mac net.HardwareAddr, announce bool) error {
	link, err := l.Router.Link("eth0")
	if err != nil {
		return err
	}
	if err := l.Router.Netlink.LinkSetHardwareAddr(link, mac); err != nil {
		return fmt.Errorf("set router MAC: %w", err)
	}
	if !announce {
		return nil
	}
	if err := l.Router.SendFrame("eth0", GratuitousARP(mac, Router)); err != nil {
		return err
	}
	return l.Router.SendFrame("eth0", UnsolicitedNA(mac, Router6))
}

// Move takes the data addresses from one member to another by hand and announces them, as a
// failover does. Tests of the lab itself use it in place of the daemon.
func (l *Lab) Move(from, to *Member, addrs ...netip.Prefix) error {
	for _, a := range addrs {
		if err := l.Host.AddAddr(to.Name, a.String()); err != nil {
			return err
		}
		if from != nil {
			if err := l.Host.DelAddr(from.Name, a.String()); err != nil {
				return err
			}
		}
		announce := GratuitousARP
		if a.Addr().Is6() {
			announce = UnsolicitedNA
		}
		if err := l.Host.SendFrame(to.Name, announce(to.mac, a.Addr())); err != nil {
			return err
		}
	}
	return nil
}

// SendFrame sends one Ethernet frame.
func (n *Netns) SendFrame(ifname string, frame []byte) error {
	link, err := n.Link(ifname)
	if err != nil {
		return err
	}
	return n.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("packet socket: %w", err)
		}
		err = unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index})
		if err != nil {
			err = fmt.Errorf("send frame on %s: %w", ifname, err)
		}
		return errors.Join(err, unix.Close(fd))
	})
}
