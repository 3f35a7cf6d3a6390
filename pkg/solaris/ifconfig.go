// SPDX-License-Identifier: Apache-2.0

package solaris

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/ipmpd/ipmpd/pkg/control"
)

// The flags of net/if.h that a member can have (spec section 8.1).
const (
	flagUp         = 0x1
	flagBroadcast  = 0x2
	flagRunning    = 0x40
	flagMulticast  = 0x800
	flagDeprecated = 0x40000
	flagIPv4       = 0x1000000
	flagIPv6       = 0x2000000
	flagNoFailover = 0x8000000
	flagFailed     = 0x10000000
	flagStandby    = 0x20000000
	flagInactive   = 0x40000000
	flagOffline    = 0x80000000
)

// flagNames in ascending order of their bits.
var flagNames = []struct {
	bit  uint64
	name string
}{
	{flagUp, "UP"}, {flagBroadcast, "BROADCAST"}, {flagRunning, "RUNNING"}, {flagMulticast, "MULTICAST"},
	{flagDeprecated, "DEPRECATED"}, {flagIPv4, "IPv4"}, {flagIPv6, "IPv6"}, {flagNoFailover, "NOFAILOVER"},
	{flagFailed, "FAILED"}, {flagStandby, "STANDBY"}, {flagInactive, "INACTIVE"}, {flagOffline, "OFFLINE"},
}

// unit is one logical interface: an address of a member.
type unit struct {
	address netip.Prefix // not valid: the place of an address that is elsewhere
	test    bool
}

// Ifconfig prints the members of all groups as `ifconfig -a` of Solaris does: all IPv4 first, then
// IPv6. Unit 0 of a member has its test address where it has one; data addresses follow in file
// order. Interfaces that do not exist are not shown.
func Ifconfig(w io.Writer, st *control.Status) error {
	var b strings.Builder
	for _, v6 := range []bool{false, true} {
		for i := range st.Groups {
			g := &st.Groups[i]
			for j := range g.Interfaces {
				writeMember(&b, g, &g.Interfaces[j], v6)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeMember(b *strings.Builder, g *control.Group, m *control.Interface, v6 bool) {
	if m.Index == nil {
		return
	}
	units := unitsOf(g, m, v6)
	if len(units) == 0 {
		if !uses(g, m, v6) && (v6 || uses(g, m, true)) {
			return
		}
		units = []unit{{}}
	}
	for n, u := range units {
		name := m.Name
		if n > 0 {
			name = fmt.Sprintf("%s:%d", m.Name, n)
		}
		flags := flagsOf(m, u, v6)
		mtu := 0
		if m.MTU != nil && (u.address.IsValid() || flags&flagFailed == 0) {
			mtu = *m.MTU
		}
		fmt.Fprintf(b, "%s: flags=%x<%s> mtu %d index %d\n", name, flags, flagWords(flags), mtu, *m.Index)
		writeAddress(b, u, v6)
		if n == 0 {
			fmt.Fprintf(b, "\tgroupname %s\n", g.Name)
			if m.MAC != "" {
				fmt.Fprintf(b, "\tether %s\n", ether(m.MAC))
			}
		}
	}
}

// uses: the group has addresses of the family, on whatever member.
func uses(g *control.Group, m *control.Interface, v6 bool) bool {
	for _, a := range g.Addresses {
		if strings.Contains(a.Address, ":") == v6 {
			return true
		}
	}
	_, probed := m.Families[map[bool]string{false: "ipv4", true: "ipv6"}[v6]]
	return probed
}

// unitsOf a member in one family.
func unitsOf(g *control.Group, m *control.Interface, v6 bool) []unit {
	var units []unit
	add := func(text string, test bool) {
		if p, err := netip.ParsePrefix(text); err == nil && p.Addr().Is6() == v6 {
			units = append(units, unit{p, test})
		}
	}
	for _, t := range m.TestAddresses {
		add(t, true)
	}
	// A link-local address that nobody gave, but that is the source of the probes.
	if source := m.ProbesFrom["ipv6"]; v6 && len(units) == 0 && source != "" {
		add(source+"/64", true)
	}
	for _, a := range g.Addresses {
		if a.Interface == m.Name {
			add(a.Address, false)
		}
	}
	return units
}

// flagsOf a unit. Those of the interface are on all of its units.
func flagsOf(m *control.Interface, u unit, v6 bool) uint64 {
	flags := uint64(flagMulticast)
	if v6 {
		flags |= flagIPv6
	} else {
		flags |= flagIPv4 | flagBroadcast
	}
	if u.address.IsValid() {
		flags |= flagUp
	}
	if u.test {
		flags |= flagDeprecated | flagNoFailover
	}
	if m.Link != "down" {
		flags |= flagRunning
	}
	if m.Standby {
		flags |= flagStandby
	}
	switch {
	case m.State == "failed":
		flags |= flagFailed
		if !u.address.IsValid() {
			flags |= flagNoFailover // the placeholder of an address that has gone
		}
	case m.State == "offline":
		flags |= flagOffline
	case usable(m) && !m.Active:
		flags |= flagInactive
	}
	return flags
}

func flagWords(flags uint64) string {
	var words []string
	for _, f := range flagNames {
		if flags&f.bit != 0 {
			words = append(words, f.name)
		}
	}
	return strings.Join(words, ",")
}

func writeAddress(b *strings.Builder, u unit, v6 bool) {
	switch {
	case v6 && !u.address.IsValid():
		fmt.Fprintf(b, "\tinet6 ::/0\n")
	case v6:
		fmt.Fprintf(b, "\tinet6 %s\n", u.address)
	case !u.address.IsValid():
		fmt.Fprintf(b, "\tinet 0.0.0.0 netmask 0\n")
	default:
		mask := ^uint32(0) << (32 - u.address.Bits())
		four := u.address.Addr().As4()
		var last [4]byte
		binary.BigEndian.PutUint32(last[:], binary.BigEndian.Uint32(four[:])|^mask)
		fmt.Fprintf(b, "\tinet %s netmask %x broadcast %s\n", u.address.Addr(), mask, netip.AddrFrom4(last))
	}
}

// ether is a MAC without leading zeros.
func ether(mac string) string {
	parts := strings.Split(mac, ":")
	for i, p := range parts {
		if len(p) == 2 && p[0] == '0' {
			parts[i] = p[1:]
		}
	}
	return strings.Join(parts, ":")
}
