// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/lab"
)

// placed is an address on a member.
type placed struct {
	link    string
	address netip.Prefix
}

// data address k of a group.
func (b *bench) data(g, k int) netip.Prefix {
	if b.ipv6 && k%2 == 1 {
		return lab.Nth(lab.Subnet6(g), 0x1000+k)
	}
	return lab.Nth(lab.Subnet(g), 0x1000+k)
}

// addresses are the data addresses, each on its home: round robin.
func (b *bench) addresses() map[placed]bool {
	want := map[placed]bool{}
	for g, members := range b.rack.Groups {
		for k := range b.addrs {
			want[placed{members[k%len(members)].Name, b.data(g, k)}] = true
		}
	}
	return want
}

// config of all groups; the first one has more in it.
func (b *bench) config(more string) string {
	var c strings.Builder
	c.WriteString("groups:\n")
	for g, members := range b.rack.Groups {
		fmt.Fprintf(&c, "  group%d:\n    detection-time: %s\n    duplicate-check: %v\n    flap-limit: 0\n", g, b.detection, b.duplicates)
		fmt.Fprintf(&c, "    announce: {rate: %d}\n    targets: [%s", b.rate, lab.Nth(lab.Subnet(g), 1).Addr())
		if b.ipv6 {
			fmt.Fprintf(&c, ", \"%s\"", lab.Nth(lab.Subnet6(g), 1).Addr())
		}
		c.WriteString("]\n")
		if g == 0 {
			c.WriteString(more)
		}
		c.WriteString("    interfaces:\n")
		for i, m := range members {
			tests := fmt.Sprintf("%q", lab.Nth(lab.Subnet(g), 11+i))
			if b.ipv6 {
				tests += fmt.Sprintf(", %q", lab.Nth(lab.Subnet6(g), 11+i))
			}
			fmt.Fprintf(&c, "      %s:\n        test: [%s]\n", m.Name, tests)
		}
		c.WriteString("    addresses:\n")
		for k := range b.addrs {
			fmt.Fprintf(&c, "      - %q\n", b.data(g, k))
		}
	}
	return c.String()
}

// misplaced counts the data addresses that are not on their home, or elsewhere too.
func (b *bench) misplaced() (int, error) {
	links, err := b.rack.Host.Netlink.LinkList()
	if err != nil {
		return 0, fmt.Errorf("list links: %w", err)
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	list, err := b.rack.Host.Netlink.AddrList(nil, unix.AF_UNSPEC)
	if err != nil {
		return 0, fmt.Errorf("list addresses: %w", err)
	}
	data := map[netip.Addr]bool{}
	for p := range b.want {
		data[p.address.Addr()] = true
	}
	missing, wrong := len(b.want), 0
	for _, a := range list {
		ip, _ := netip.AddrFromSlice(a.IP)
		ones, _ := a.Mask.Size()
		at := placed{names[a.LinkIndex], netip.PrefixFrom(ip.Unmap(), ones)}
		switch {
		case b.want[at]:
			missing--
		case data[at.address.Addr()]:
			wrong++
		}
	}
	return missing + wrong, nil
}
