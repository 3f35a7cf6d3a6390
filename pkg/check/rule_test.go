// SPDX-License-Identifier: Apache-2.0

package check

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

var pair = []Group{{Name: "g", Members: []string{"hme0", "hme1"}}}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return data
}

// testdata are what nft 1.0.6 and iptables 1.8.9 printed for tables that were made for this test.
func TestNftRules(t *testing.T) {
	rules, flowtables, err := ParseNft(read(t, "testdata/ruleset.json"), true)
	require.NoError(t, err)
	require.Empty(t, flowtables)
	const elsewhere = " only: it does not match what a failover moves to another member"
	const reset = ": the kernel resets such connections when they leave by another member"
	require.Equal(t, text(
		`warning rules: nftables inet fw post, handle 24 masquerades by hme0`+reset,
		`warning rules: nftables inet fw post, handle 26 masquerades by {hme0,hme1}`+reset,
		`warning rules: nftables inet fw post, handle 30 masquerades by {hme0,hme1}`+reset,
		`warning rules: nftables inet fw in, handle 6 is for hme0`+elsewhere,
		`warning rules: nftables inet fw in, handle 14 is for hme0`+elsewhere,
		`warning rules: nftables inet fw in, handle 17 is for hme1`+elsewhere,
		`warning rules: nftables inet fw in, handle 19 is for hme0`+elsewhere,
		`warning rules: nftables inet fw in, handle 23 is for hme1`+elsewhere,
	), lines(t, Rules(rules, pair)))

	// Without iptables-save, nft's view of its tables is better than none.
	rules, _, err = ParseNft(read(t, "testdata/ruleset.json"), false)
	require.NoError(t, err)
	require.Contains(t, lines(t, Rules(rules, pair)), "nftables ip nat POSTROUTING, handle 2 masquerades by hme0")

	_, _, err = ParseNft([]byte("internal:0:0-0: Error"), false)
	require.ErrorContains(t, err, "read nft's JSON")
}

func TestIptablesRules(t *testing.T) {
	rules := ParseIptables("iptables-save", read(t, "testdata/iptables-save.txt"))
	require.Len(t, rules, 7)
	require.Equal(t, text(
		"warning rules: iptables nat `-A POSTROUTING -o hme0 -j MASQUERADE` masquerades by hme0: the kernel resets such connections when they leave by another member",
		"warning rules: iptables nat `-A POSTROUTING -s 10.0.0.0/8 -o hme1 -j SNAT --to-source 192.0.2.10` (snat) is for hme1 only: after a failover it does not match",
		"warning rules: iptables filter `-A INPUT -i hme0 -p tcp -m tcp --dport 22 -j ACCEPT` is for hme0 only: it does not match what a failover moves to another member",
		"warning rules: iptables filter `-A FORWARD ! -o hme1 -j DROP` is for hme0 only: it does not match what a failover moves to another member",
	), lines(t, Rules(rules, pair)), "not the pair of port 53, nor hme+")
	require.Empty(t, Rules(rules, []Group{{Name: "x", Members: []string{"eth0", "eth1"}}}), "! -o hme1 takes both, and so binds nothing")
}

func TestNames(t *testing.T) {
	for _, row := range []struct {
		n    *Names
		want bool
	}{
		{nil, true}, {&Names{List: []string{"hme0"}}, true}, {&Names{List: []string{"hme1"}}, false}, {&Names{}, false},
		{&Names{List: []string{"hme*"}}, true}, {&Names{List: []string{"hme+"}}, true}, {&Names{List: []string{"eth+"}}, false},
		{&Names{List: []string{"hme0"}, Not: true}, false}, {&Names{List: []string{"eth0", "hme+"}, Not: true}, false}, {&Names{Not: true}, true},
		{&Names{List: []string{"hme"}}, false},
	} {
		require.Equal(t, row.want, row.n.match("hme0"), "%+v", row.n)
	}
}

// The form of a flowtable is that of libnftables-json(5); this kernel makes none.
func TestFlowtables(t *testing.T) {
	_, tables, err := ParseNft([]byte(`{"nftables": [
		{"flowtable": {"family": "inet", "name": "f", "table": "fw", "handle": 1, "hook": "ingress", "prio": 0, "dev": ["hme0", "eth0"]}},
		{"flowtable": {"family": "inet", "name": "one", "table": "fw", "handle": 2, "hook": "ingress", "prio": 0, "dev": "eth0"}}]}`), false)
	require.NoError(t, err)
	require.Equal(t, "warning rules: flowtable inet fw f forwards by hme0 past routes and programs: its flows stay on a failed member until they time out",
		lines(t, Flowtables(tables, pair)))
}

func TestNotLookedAt(t *testing.T) {
	require.Empty(t, NotLookedAt(nil))
	require.Equal(t, "note rules: not looked at: nft (not installed); iptables-save (not installed)",
		lines(t, NotLookedAt([]string{"nft (not installed)", "iptables-save (not installed)"})))
}

// Whatever a tool prints, it is read or refused.
func FuzzParseNft(f *testing.F) {
	data, err := os.ReadFile("testdata/ruleset.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"nftables":[{"rule":{"expr":[{"match":{"left":{"concat":[{"meta":{"key":"iif"}}]},"right":[[]]}},{"vmap":{"key":{"meta":{"key":"oif"}}}}]}}]}`))
	f.Fuzz(func(_ *testing.T, data []byte) {
		rules, tables, _ := ParseNft(data, false)
		Rules(rules, pair)
		Flowtables(tables, pair)
		Rules(ParseIptables("iptables-save", data), pair)
	})
}
