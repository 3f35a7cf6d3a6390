// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// Addresses of an interface, in the kernel's order.
func (n *Netns) Addresses(ifname string) ([]netip.Prefix, error) {
	link, err := n.Link(ifname)
	if err != nil {
		return nil, err
	}
	addrs, err := n.Netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list addresses of %s in %s: %w", ifname, n.Name, err)
	}
	var prefixes []netip.Prefix
	for _, a := range addrs {
		ip, _ := netip.AddrFromSlice(a.IP)
		ones, _ := a.Mask.Size()
		prefixes = append(prefixes, netip.PrefixFrom(ip.Unmap(), ones))
	}
	return prefixes, nil
}

// Owner is the member that has an address now, nil for none; two are an error.
func (l *Lab) Owner(addr netip.Addr) (*Member, error) {
	var owner *Member
	for _, m := range l.Members {
		if m.cable == nil {
			continue
		}
		prefixes, err := l.Host.Addresses(m.Name)
		if err != nil {
			return nil, err
		}
		for _, p := range prefixes {
			if p.Addr() != addr {
				continue
			}
			if owner != nil {
				return nil, fmt.Errorf("%s is on %s and on %s", addr, owner.Name, m.Name)
			}
			owner = m
		}
	}
	return owner, nil
}

// ErrNoNeighbour says that a namespace does not know an address's MAC.
var ErrNoNeighbour = errors.New("no such neighbour")

// Neighbour is the MAC that a namespace sends to for an address: what it was told last.
func (n *Netns) Neighbour(ifname string, addr netip.Addr) (net.HardwareAddr, error) {
	link, err := n.Link(ifname)
	if err != nil {
		return nil, err
	}
	entries, err := n.Netlink.NeighList(link.Attrs().Index, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list neighbours in %s: %w", n.Name, err)
	}
	for _, e := range entries {
		if ip, _ := netip.AddrFromSlice(e.IP); ip.Unmap() == addr && len(e.HardwareAddr) == 6 {
			return e.HardwareAddr, nil
		}
	}
	return nil, fmt.Errorf("%s on %s of %s: %w", addr, ifname, n.Name, ErrNoNeighbour)
}
