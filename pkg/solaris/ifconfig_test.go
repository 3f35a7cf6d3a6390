// SPDX-License-Identifier: Apache-2.0

package solaris

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/control"
)

// seed is the group of the article; change what its members are.
func seed(change func(hme0, hme1 *control.Interface, g *control.Group)) string {
	members := []control.Interface{member("hme0", "ok", "up", "ok", true), member("hme1", "ok", "up", "ok", true)}
	for i := range members {
		m := &members[i]
		m.Index, m.MTU, m.MAC = new(2+i), new(1500), []string{"08:00:20:d9:ac:0c", "08:00:20:d9:ac:0d"}[i]
		m.TestAddresses = []string{[]string{"192.0.2.11/24", "192.0.2.12/24"}[i]}
	}
	g := control.Group{Name: "unrealgrp1", Interfaces: members,
		Addresses: []control.Address{{Address: "192.0.2.10/24", State: "up", Interface: "hme0", Home: "hme0"}}}
	if change != nil {
		change(&members[0], &members[1], &g)
	}
	var b strings.Builder
	if err := Ifconfig(&b, &control.Status{Groups: []control.Group{g}}); err != nil {
		return err.Error()
	}
	return b.String()
}

const (
	hme0 = "hme0: flags=9040843<UP,BROADCAST,RUNNING,MULTICAST,DEPRECATED,IPv4,NOFAILOVER> mtu 1500 index 2\n" +
		"\tinet 192.0.2.11 netmask ffffff00 broadcast 192.0.2.255\n\tgroupname unrealgrp1\n\tether 8:0:20:d9:ac:c\n"
	data = "flags=1000843<UP,BROADCAST,RUNNING,MULTICAST,IPv4> mtu 1500 index 2\n" +
		"\tinet 192.0.2.10 netmask ffffff00 broadcast 192.0.2.255\n"
	rest = "\tinet 192.0.2.12 netmask ffffff00 broadcast 192.0.2.255\n\tgroupname unrealgrp1\n\tether 8:0:20:d9:ac:d\n"
)

// The article's picture: before, and with the cable of hme1 pulled (contract section 5).
func TestSeedPicture(t *testing.T) {
	before := "hme1: flags=9040843<UP,BROADCAST,RUNNING,MULTICAST,DEPRECATED,IPv4,NOFAILOVER> mtu 1500 index 3\n"
	require.Equal(t, hme0+"hme0:1: "+data+before+rest, seed(nil))

	failed := func(m *control.Interface, link string) {
		index, mtu, mac, tests := m.Index, m.MTU, m.MAC, m.TestAddresses
		*m = member(m.Name, "failed", link, "failed", false)
		m.Index, m.MTU, m.MAC, m.TestAddresses = index, mtu, mac, tests
	}
	after := "hme1: flags=19040803<UP,BROADCAST,MULTICAST,DEPRECATED,IPv4,NOFAILOVER,FAILED> mtu 1500 index 3\n"
	require.Equal(t, hme0+"hme0:1: "+data+after+rest, seed(func(_, m *control.Interface, _ *control.Group) { failed(m, "down") }))

	after = "hme1: flags=19040843<UP,BROADCAST,RUNNING,MULTICAST,DEPRECATED,IPv4,NOFAILOVER,FAILED> mtu 1500 index 3\n"
	require.Equal(t, hme0+"hme0:1: "+data+after+rest, seed(func(_, m *control.Interface, _ *control.Group) { failed(m, "up") }))

	// The cable of hme0: its address is hme1's.
	text := seed(func(m, _ *control.Interface, g *control.Group) {
		failed(m, "down")
		g.Addresses[0].Interface = "hme1"
	})
	require.Contains(t, text, "hme0: flags=19040803<")
	require.Contains(t, text, "hme1:1: flags=1000843<UP,BROADCAST,RUNNING,MULTICAST,IPv4> mtu 1500 index 3\n\tinet 192.0.2.10 ")
	require.NotContains(t, text, "hme0:1")
}

// The other rows of spec section 8.1.
func TestFlags(t *testing.T) {
	first := func(change func(hme0, hme1 *control.Interface, g *control.Group)) string {
		line, _, _ := strings.Cut(seed(change), "\n")
		return line
	}
	for want, change := range map[string]func(m *control.Interface, g *control.Group){
		"hme0: flags=69040843<UP,BROADCAST,RUNNING,MULTICAST,DEPRECATED,IPv4,NOFAILOVER,STANDBY,INACTIVE> mtu 1500 index 2": func(m *control.Interface, _ *control.Group) {
			m.Standby, m.Active = true, false
		},
		"hme0: flags=49040843<UP,BROADCAST,RUNNING,MULTICAST,DEPRECATED,IPv4,NOFAILOVER,INACTIVE> mtu 1500 index 2": func(m *control.Interface, _ *control.Group) {
			m.Active = false // failback: false
		},
		"hme0: flags=89040843<UP,BROADCAST,RUNNING,MULTICAST,DEPRECATED,IPv4,NOFAILOVER,OFFLINE> mtu 1500 index 2": func(m *control.Interface, _ *control.Group) {
			m.State, m.Active = "offline", false
		},
		"hme0: flags=1000843<UP,BROADCAST,RUNNING,MULTICAST,IPv4> mtu 1500 index 2": func(m *control.Interface, _ *control.Group) {
			m.TestAddresses = nil // link only: the data address is unit 0
		},
		"hme0: flags=1000842<BROADCAST,RUNNING,MULTICAST,IPv4> mtu 1500 index 2": func(m *control.Interface, g *control.Group) {
			m.TestAddresses, g.Addresses[0].Interface = nil, "hme1"
		},
		"hme0: flags=19000802<BROADCAST,MULTICAST,IPv4,NOFAILOVER,FAILED> mtu 0 index 2": func(m *control.Interface, g *control.Group) {
			m.TestAddresses, g.Addresses[0].Interface, m.State, m.Link, m.Active = nil, "hme1", "failed", "down", false
		},
		"hme1: flags=9040843<UP,BROADCAST,RUNNING,MULTICAST,DEPRECATED,IPv4,NOFAILOVER> mtu 1500 index 3": func(m *control.Interface, g *control.Group) {
			m.Index = nil // missing
		},
	} {
		require.Equal(t, want, first(func(m, _ *control.Interface, g *control.Group) { change(m, g) }))
	}
	require.Contains(t, seed(func(m, _ *control.Interface, g *control.Group) {
		m.TestAddresses, g.Addresses[0].Interface = nil, "hme1"
	}), "\tinet 0.0.0.0 netmask 0\n\tgroupname unrealgrp1\n")
}

func TestIPv6(t *testing.T) {
	text := seed(func(m, o *control.Interface, g *control.Group) {
		for _, m := range []*control.Interface{m, o} {
			m.Families["ipv6"] = control.Family{State: "ok", Active: true, Probe: "ok"}
		}
		m.ProbesFrom = control.Words{"ipv6": "fe80::11"}
		g.Addresses = append(g.Addresses, control.Address{Address: "2001:db8::10/64", State: "up", Interface: "hme0"})
	})
	_, v6, ok := strings.Cut(text, rest)
	require.True(t, ok, "IPv4 comes first")
	require.Equal(t, "hme0: flags=a040841<UP,RUNNING,MULTICAST,DEPRECATED,IPv6,NOFAILOVER> mtu 1500 index 2\n"+
		"\tinet6 fe80::11/64\n\tgroupname unrealgrp1\n\tether 8:0:20:d9:ac:c\n"+
		"hme0:1: flags=2000841<UP,RUNNING,MULTICAST,IPv6> mtu 1500 index 2\n"+
		"\tinet6 2001:db8::10/64\n"+
		"hme1: flags=2000840<RUNNING,MULTICAST,IPv6> mtu 1500 index 3\n"+
		"\tinet6 ::/0\n\tgroupname unrealgrp1\n\tether 8:0:20:d9:ac:d\n", v6)
}
