// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// prefixes reads "192.0.2.10 198.51.100.10": a letter is an address, its case the subnet.
func prefixes(text string) (list []netip.Prefix) {
	for _, c := range text {
		ip := netip.AddrFrom4([4]byte{192, 0, 2, byte(c)})
		if c < 'a' {
			ip = netip.AddrFrom4([4]byte{198, 51, 100, byte(c)})
		}
		list = append(list, netip.PrefixFrom(ip, 24))
	}
	return list
}

// hostOrder is what the kernel has after these were added.
func hostOrder(text string) (o addressOrder) {
	for _, p := range prefixes(text) {
		same := func(l listed) bool { return l.prefix.Masked() == p.Masked() }
		if slices.ContainsFunc(o, same) {
			o = append(o, listed{p, true})
		} else {
			o = o.insertPrimary(p)
		}
	}
	return o
}

func (o addressOrder) text() string {
	var b strings.Builder
	for _, l := range o {
		ip := l.prefix.Addr().As4()
		b.WriteByte(ip[3])
	}
	return b.String()
}

func TestAddressOrder(t *testing.T) {
	for _, row := range []struct{ name, present, wanted, again string }{
		{"nothing", "", "", ""},
		{"as it was", "abA", "aAb", ""},
		{"some are not ours", "abc", "ac", ""},
		{"a secondary one is the primary one", "ba", "ab", "b"},
		{"three", "cba", "abc", "bc"},
		{"another subnet came first", "Aa", "aA", "A"},
		{"a primary one behind another subnet", "aAb", "bAa", "AaAa"},
		{"somebody else's primary one", "xaA", "aA", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := hostOrder(row.present).again(prefixes(row.wanted))
			require.Equal(t, prefixes(row.again), got)
		})
	}
}

// TestAddressOrderIsReached: whatever was added in whatever order, with nobody else's beside it.
func TestAddressOrderIsReached(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.Permutation([]rune("abcdABCD")).Draw(t, "found")
		found := hostOrder(string(all[:rapid.IntRange(0, len(all)).Draw(t, "n")])).text()
		now := hostOrder(string(rapid.Permutation([]rune(found)).Draw(t, "now")))
		for _, p := range now.again(prefixes(found)) {
			now = now.renew(p)
		}
		require.Equal(t, found, now.text())
		require.Empty(t, now.again(prefixes(found)))
	})
}
