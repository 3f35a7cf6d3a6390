// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
)

// addressForm is what `ip -j addr` says of an address.
type addressForm struct {
	Local     string
	Scope     string
	Label     string
	Broadcast string
	Protocol  any
	Valid     uint64 `json:"valid_life_time"`
	Preferred uint64 `json:"preferred_life_time"`
}

// form of an address on a member; it is there.
func (s *scene) form(name string, ip netip.Addr) addressForm {
	s.t.Helper()
	var links []struct {
		List []addressForm `json:"addr_info"`
	}
	require.NoError(s.t, json.Unmarshal([]byte(s.ip("-j", "addr", "show", "dev", name)), &links))
	for _, l := range links {
		for _, a := range l.List {
			if a.Local == ip.String() {
				return a
			}
		}
	}
	s.t.Fatalf("%s is not on %s", ip, name)
	panic("unreachable")
}

// TestAddressesKeepTheirForm: label, scope, broadcast address and remaining lifetimes stay with an
// address that was on the host, where it stands, after a failover, after the way back and after release.
func TestAddressesKeepTheirForm(t *testing.T) {
	later := netip.MustParseAddr("192.0.2.20")
	second := netip.MustParseAddr("198.18.0.30")
	short := netip.MustParseAddr("192.0.2.30")
	c := dual()
	c.addresses = []netip.Prefix{data4, data6, netip.PrefixFrom(later, 24), netip.PrefixFrom(second, 24), netip.PrefixFrom(short, 24)}
	c.atHome = "hme0"
	c.prepare = func(_ *testing.T, s *scene) {
		s.ip("addr", "add", "192.0.2.10/24", "broadcast", "192.0.2.127", "dev", "hme0", "label", "hme0:web", "valid_lft", "6000", "preferred_lft", "5000")
		s.ip("addr", "add", "198.18.0.30/24", "dev", "hme0", "scope", "site")
		s.ip("addr", "add", "192.0.2.30/24", "dev", "hme0", "valid_lft", "3", "preferred_lft", "3")
		s.ip("addr", "add", "2001:db8::10/64", "dev", "hme0", "nodad", "valid_lft", "6000", "preferred_lft", "5000")
	}
	s := stage(t, c)
	check := func(when, on string) {
		t.Helper()
		a := s.form(on, lab.Data)
		require.Equal(t, []string{on + ":web", "192.0.2.127"}, []string{a.Label, a.Broadcast}, when)
		for _, a := range []addressForm{a, s.form(on, lab.Data6)} {
			require.LessOrEqual(t, a.Valid, uint64(6000), "%s: %v", when, a)
			require.Greater(t, a.Valid, uint64(5000), "%s: %v", when, a)
			require.LessOrEqual(t, a.Preferred, uint64(5000), "%s: %v", when, a)
			require.Greater(t, a.Preferred, uint64(4000), "%s: %v", when, a)
		}
		b := s.form(on, second)
		require.Equal(t, []string{on, "site"}, []string{b.Label, b.Scope}, when)
	}
	check("where it was found", "hme0")
	for _, ip := range []netip.Addr{lab.Data, lab.Data6, second} {
		require.Nil(t, s.form("hme0", ip).Protocol, "%s was not added again", ip)
	}

	s.failsOver()
	check("after a failover", "hme1")
	s.failsBack()
	check("after the failback", "hme0")
	// One whose time is over stays: the file names it.
	s.wait("the kernel to take one off whose time is over, and it to be back", func() (bool, error) {
		return strings.Contains(s.ip("-j", "addr", "show", "to", short.String()), `"valid_life_time":4294967295`), nil
	})
	s.at("hme0", short)
	// A lease that is renewed on its way counts from then on.
	s.ip("addr", "change", "2001:db8::10/64", "dev", "hme0", "valid_lft", "5900", "preferred_lft", "4900")
	s.run("release")
	s.ended()
	check("after the release", "hme0")
	for _, ip := range []netip.Addr{lab.Data, lab.Data6, second} {
		require.Nil(t, s.form("hme0", ip).Protocol, "%s is the administrator's again", ip)
	}
	on, err := s.where(short)
	require.NoError(t, err)
	require.Empty(t, on, "without ipmpd the kernel had taken it off")
}
