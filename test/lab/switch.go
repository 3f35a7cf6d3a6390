// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"net"
	"os/exec"

	"github.com/vishvananda/netlink"

	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// netSwitch is a bridge in a namespace of its own, without addresses, so that nothing but the
// lab's own frames is on the wire. A new bridge has no spanning tree; its ports forward at once.
type netSwitch struct {
	ns     *Netns
	bridge *netlink.Bridge
}

func (l *Lab) newSwitch(number int) (*netSwitch, error) {
	ns, err := l.space(fmt.Sprintf("switch%d", number))
	if err != nil {
		return nil, err
	}
	if err := ns.Sysctl("ipv6/conf/default/disable_ipv6", "1"); err != nil {
		return nil, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "br"
	attrs.HardwareAddr = net.HardwareAddr{0x02, 'i', 'p', 'm', 2, byte(number)}
	snooping := l.opts.Snooping
	s := &netSwitch{ns: ns, bridge: &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}}
	if err := ns.Netlink.LinkAdd(s.bridge); err != nil {
		return nil, fmt.Errorf("create bridge in %s: %w", ns.Name, err)
	}
	if err := ns.Netlink.LinkSetUp(s.bridge); err != nil {
		return nil, fmt.Errorf("set bridge up in %s: %w", ns.Name, err)
	}
	return s, nil
}

func (l *Lab) buildSwitches() error {
	count := 1
	if l.opts.SecondSwitch > 0 {
		count = 2
	}
	for i := range count {
		s, err := l.newSwitch(i)
		if err != nil {
			return err
		}
		l.switches = append(l.switches, s)
	}
	if count == 1 {
		return nil
	}
	a, b := l.switches[0], l.switches[1]
	if _, err := newVeth(end{a.ns, "trunk", l.nextMAC(false)}, end{b.ns, "trunk", l.nextMAC(true)}, l.index); err != nil {
		return err
	}
	l.index++
	for _, s := range l.switches {
		if _, err := s.enslave("trunk"); err != nil {
			return err
		}
	}
	return nil
}

// Query makes the switches ask who hears which multicast, every second, so that with [Options.Snooping] they send it
// nowhere else: before a switch has heard of a querier it floods.
func (l *Lab) Query() error {
	for _, s := range l.switches {
		// It asks for IPv6 only with an address.
		for _, set := range [][2]string{{"accept_dad", "0"}, {"disable_ipv6", "0"}} {
			if err := s.ns.Sysctl("ipv6/conf/br/"+set[0], set[1]); err != nil {
				return err
			}
		}
		// How long it waits for answers comes first: as long the new querier does not trust what it knows.
		for _, args := range [][]string{{"mcast_query_response_interval", "10", "mcast_query_interval", "100"}, {"mcast_querier", "1"}} {
			args = append([]string{"-n", s.ns.Name, "link", "set", "dev", "br", "type", "bridge"}, args...)
			if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
				return fmt.Errorf("make the bridge of %s a querier: %w: %s", s.ns.Name, err, out)
			}
		}
	}
	return nil
}

func (s *netSwitch) enslave(port string) (netlink.Link, error) {
	link, err := s.ns.Link(port)
	if err != nil {
		return nil, err
	}
	if err := s.ns.Netlink.LinkSetMaster(link, s.bridge); err != nil {
		return nil, fmt.Errorf("add %s to the bridge of %s: %w", port, s.ns.Name, err)
	}
	if err := s.ns.Netlink.LinkSetUp(link); err != nil {
		return nil, fmt.Errorf("set port %s up: %w", port, err)
	}
	return link, nil
}

// add makes an interface of the switch's namespace a port, with fault programs on it.
func (s *netSwitch) add(port string) (*faults.Port, error) {
	link, err := s.enslave(port)
	if err != nil {
		return nil, err
	}
	var p *faults.Port
	err = s.ns.Do(func() error {
		p, err = faults.Attach(link.Attrs().Index)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("fault programs on %s: %w", port, err)
	}
	return p, nil
}
