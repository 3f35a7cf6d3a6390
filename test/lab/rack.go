// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"

	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// RackOptions of a host with many groups.
type RackOptions struct {
	Groups  int // 1 .. 64
	Members int // of each group, 1 .. 32
}

// Rack is a host with many groups. Each has a switch and a subnet of its own, 10.G.0.0/16 and
// 2001:db8:G::/64; the switch itself is the target and the peer, with the addresses .1 and ::1. The
// switches share one namespace. Only the first group has fault programs on its ports.
type Rack struct {
	*Lab
	// Wire is the namespace of the switches, br0, br1, …
	Wire *Netns
	// Groups are the members of each.
	Groups [][]*Member
}

// Subnet is the group's subnet of IPv4.
func Subnet(group int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(group), 0, 0}), 16)
}

// Subnet6 is the group's subnet of IPv6.
func Subnet6(group int) netip.Prefix {
	ip := netip.MustParseAddr("2001:db8::").As16()
	ip[5] = byte(group)
	return netip.PrefixFrom(netip.AddrFrom16(ip), 64)
}

// Nth address of a subnet, of either family; n below 65,536.
func Nth(subnet netip.Prefix, n int) netip.Prefix {
	b := subnet.Addr().AsSlice()
	b[len(b)-2], b[len(b)-1] = byte(n>>8), byte(n)
	ip, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(ip, subnet.Bits())
}

// NewRack builds one. It needs root. The caller closes it.
func NewRack(opts RackOptions) (*Rack, error) {
	if opts.Groups < 1 || opts.Groups > 64 || opts.Members < 1 || opts.Members > 32 {
		return nil, fmt.Errorf("lab: %d groups of %d members: at most 64 of 32", opts.Groups, opts.Members)
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("lab: needs root for network namespaces")
	}
	if err := Sweep(); err != nil {
		return nil, err
	}
	r := &Rack{Lab: &Lab{id: fmt.Sprintf("%s%d-%d", prefix, os.Getpid(), labs.Add(1)), index: 101}}
	if err := r.build(opts); err != nil {
		return nil, errors.Join(fmt.Errorf("build rack: %w", err), r.Close())
	}
	return r, nil
}

func (r *Rack) build(opts RackOptions) error {
	var err error
	if r.Dir, err = os.MkdirTemp("", r.id+"-"); err != nil {
		return err
	}
	if r.Host, err = r.space("host"); err != nil {
		return err
	}
	if r.mounts, err = newMountNS(r.Host, KeptBPFFS); err != nil {
		return err
	}
	if r.Wire, err = r.neighbour("wire"); err != nil {
		return err
	}
	for g := range opts.Groups {
		if err := r.buildGroup(g, opts.Members); err != nil {
			return fmt.Errorf("group %d: %w", g, err)
		}
	}
	return nil
}

func (r *Rack) buildGroup(g, members int) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = fmt.Sprintf("br%d", g)
	attrs.HardwareAddr = net.HardwareAddr{0x02, 'i', 'p', 'm', 2, byte(g)}
	snooping := false
	sw := &netSwitch{ns: r.Wire, bridge: &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}}
	if err := r.Wire.Netlink.LinkAdd(sw.bridge); err != nil {
		return fmt.Errorf("create bridge: %w", err)
	}
	if err := r.Wire.Netlink.LinkSetUp(sw.bridge); err != nil {
		return fmt.Errorf("set bridge up: %w", err)
	}
	if err := r.Wire.AddAddr(attrs.Name, Nth(Subnet(g), 1).String(), Nth(Subnet6(g), 1).String()); err != nil {
		return err
	}
	var list []*Member
	for i := range members {
		m := &Member{Name: fmt.Sprintf("g%dm%d", g, i), lab: r.Lab, ns: r.Host, number: i, sw: sw,
			mac: net.HardwareAddr{0x02, 'i', 'p', 'r', byte(r.index >> 8), byte(r.index)}}
		near := net.HardwareAddr{0x02, 'i', 'p', 's', byte(r.index >> 8), byte(r.index)}
		c, err := newVeth(end{r.Host, m.Name, m.mac}, end{r.Wire, m.Name, near}, r.index)
		if err != nil {
			return err
		}
		r.index++
		m.cable = c
		port, err := sw.enslave(m.Name)
		if err != nil {
			return err
		}
		if g == 0 {
			if m.Port, err = r.faults(port.Attrs().Index); err != nil {
				return err
			}
		}
		link, err := r.Host.Link(m.Name)
		if err == nil {
			err = r.Host.Netlink.LinkSetUp(link)
		}
		if err != nil {
			return fmt.Errorf("set %s up: %w", m.Name, err)
		}
		list = append(list, m)
	}
	r.Groups = append(r.Groups, list)
	return nil
}

func (r *Rack) faults(index int) (p *faults.Port, err error) {
	err = r.Wire.Do(func() error {
		p, err = faults.Attach(index)
		return err
	})
	if err == nil {
		r.ports = append(r.ports, p)
	}
	return p, err
}
