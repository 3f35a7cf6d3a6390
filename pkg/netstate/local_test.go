// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDelivers(t *testing.T) {
	s := newSpace(t)
	for _, name := range []string{"m0", "m1"} {
		index := map[string]string{"m0": "100", "m1": "101"}[name]
		s.ip("link", "add", name, "index", index, "type", "veth", "peer", "name", name+"p")
		s.ip("link", "set", name, "up")
		s.ip("link", "set", name+"p", "up")
	}
	var l *Local
	s.do(func() (err error) { l, err = OpenLocal(); return err })
	defer l.Close()
	ip := netip.MustParseAddr("2001:db8::10")
	require.False(t, l.Delivers(100, ip))
	s.ip("addr", "add", ip.String()+"/64", "dev", "m0", "nodad")
	eventually(t, "the local route", func() bool { return l.Delivers(100, ip) })
	require.False(t, l.Delivers(101, ip), "it is the other's")
	s.ip("addr", "add", "2001:db8::11/64", "dev", "m1", "nodad")
	require.False(t, l.Delivers(101, ip), "a route to its subnet is none")
	s.ip("addr", "add", ip.String()+"/64", "dev", "m1", "nodad", "noprefixroute")
	eventually(t, "the second one's", func() bool { return l.Delivers(101, ip) })
	s.ip("addr", "del", ip.String()+"/64", "dev", "m0")
	require.False(t, l.Delivers(100, ip))
	require.True(t, l.Delivers(101, ip))
}
