// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// failure is a file and the one line that it gives, without "f:".
type failure struct {
	name, yaml, want string
}

// two is a group that lacks nothing; rows go on at line 4, column 5.
const two = "groups:\n  g:\n    interfaces: {hme0: , hme1: }\n"

// tested is the same with test addresses; rows go on at line 6.
const tested = "groups:\n  g:\n    interfaces:\n      hme0: {test: [192.0.2.11/24]}\n      hme1: {test: [192.0.2.12/24]}\n"

func run(t *testing.T, rows []failure) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			cfg, err := Parse("f", []byte(r.yaml))
			require.EqualError(t, err, "f:"+r.want)
			require.IsType(t, &Error{}, err)
			require.Nil(t, cfg)
		})
	}
}

func TestSyntaxErrors(t *testing.T) {
	run(t, []failure{
		{"nothing", "", "1:1: there is no group; add one under `groups:`"},
		{"comment only", "# nothing\n", "1:1: there is no group; add one under `groups:`"},
		{"no groups", "groups:\n", "1:1: there is no group; add one under `groups:`"},
		{"not a mapping", "- a\n", "1:1: the file has a value of the wrong kind; write keys and values, `key: value`"},
		{"tab", "\tgroups:\n", "1:1: the line is indented with a tab; use spaces"},
		{"open list", "log-level: [info\n", "1:12: sequence end token ']' not found; correct the YAML"},
		{"indentation", "groups:\n  ü: 1\n   b: 2\n", "2:6: mapping value is not allowed in this context; correct the YAML"},
		{"two documents", "log-level: info\n---\nlog-level: info\n", "3:1: this is a second YAML document; leave one in the file"},
		{"not UTF-8", "log-level: info\n# ü\xff\n", "2:4: this is not UTF-8; save the file as UTF-8"},
		{"deep brackets", strings.Repeat("[", 40), "1:1: more than 32 levels; a configuration has six levels"},
		{"deep and back", strings.Repeat("[", 40) + strings.Repeat("]", 40), "1:1: more than 32 levels; a configuration has six levels"},
		{"deep dashes", "a:\n" + strings.Repeat("- ", 40), "2:1: more than 32 levels; a configuration has six levels"},
		{"huge", strings.Repeat("# more\n", 1<<20), "1:1: the file has more than 4194304 bytes; is it the right file?"},
		{"anchor", "log-level: &l info\n", "1:12: log-level has a YAML anchor, alias or tag; write the value out"},
		{"alias", "groups: *g\n", "1:9: groups has a YAML anchor, alias or tag; write the value out"},
		{"tag", "log-level: !!str info\n", "1:12: log-level has a YAML anchor, alias or tag; write the value out"},
		{"merge", "groups:\n  <<: {}\n", "2:3: groups may have plain keys only; write the key out"},
		{"explicit key", "? groups\n: {}\n", "1:1: the file may have plain keys only; write the key out"},
	})
}

func TestKeyErrors(t *testing.T) {
	run(t, []failure{
		{"unknown at the top", "loglevel: info\n", "1:1: the file has no key \"loglevel\"; did you mean `log-level`?"},
		{"unknown in a group", two + "    failover: true\n", "4:5: group g has no key \"failover\"; its keys are detection-time, " +
			"misses, adapt, repair, hold-down, flap-limit, failback, probe, targets, attach, duplicate-check, multicast, announce, force, " +
			"spread, interfaces, addresses, routes"},
		{"singular", two + "    target: []\n", "4:5: group g has no key \"target\"; did you mean `targets`?"},
		{"a letter off", two + "    mises: 3\n", "4:5: group g has no key \"mises\"; did you mean `misses`?"},
		{"swapped", two + "    atatch: tcx\n", "4:5: group g has no key \"atatch\"; did you mean `attach`?"},
		{"another letter", two + "    prope: arp\n", "4:5: group g has no key \"prope\"; did you mean `probe`?"},
		{"unknown in an interface", "groups:\n  g:\n    interfaces:\n      hme0: {tests: []}\n", "4:14: interface hme0 has no key \"tests\"; did you mean `test`?"},
		{"unknown in an address", two + "    addresses: [{adress: 192.0.2.10/24}]\n", "4:18: an entry of addresses has no key \"adress\"; did you mean `address`?"},
		{"unknown in a route", two + "    routes: [{dev: hme0}]\n", "4:15: a route has no key \"dev\"; its keys are to, via, src, metric, table"},
		{"unknown in announce", two + "    announce: {burst: 16}\n", "4:16: announce has no key \"burst\"; its keys are count, interval, rate, refresh"},
		{"unknown in realtime", "realtime: {policy: rr}\n", "1:12: realtime has no key \"policy\"; its keys are priority, cpus"},
		{"twice", two + "    misses: 3\n    misses: 4\n", "5:5: \"misses\" is there already, in line 4; remove one of the two"},
		{"group twice", two + "  g: {interfaces: {hme2: }}\n", "4:3: \"g\" is there already, in line 2; remove one of the two"},
		{"interface twice", "groups: {g: {interfaces: {a: , a: }}}", "1:32: \"a\" is there already, in line 1; remove one of the two"},
		{"http", "http: {listen: '127.0.0.1:9643'}\n" + two, "1:1: http is not built yet; remove it"},
		{"unknown under monitor", two + "monitor: {hme9: {targets: []}}\n", "4:18: interface hme9 has no key \"targets\"; its keys are test, standby"},
		{"monitor a list", two + "monitor: [hme9]\n", "4:10: monitor has a value of the wrong kind; write keys and values, `key: value`"},
		{"monitored twice", two + "monitor: {hme9: , hme9: }\n", "4:19: \"hme9\" is there already, in line 4; remove one of the two"},
		{"multicast", two + "    multicast: never\n", "4:16: multicast is \"never\"; write failover, ahead or off"},
		{"force", two + "    force: 1\n", `4:12: force is "1"; write true or false`},
	})
}

// A monitored interface has the form of a member, but nothing moves.
func TestMonitorErrors(t *testing.T) {
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "  w%d:\n", i)
		}
		return b.String()
	}
	run(t, []failure{
		{"in a group too", two + "monitor:\n  hme1:\n", "5:3: interface hme1 is in group g and under monitor; leave it in one of them"},
		{"in a group behind it", "monitor:\n  hme1:\n" + two, "2:3: interface hme1 is in group g and under monitor; leave it in one of them"},
		{"name", two + "monitor: {a/b: }\n", "4:11: \"a/b\" is no name for an interface; use 1 .. 15 characters, no space, `/` or `:`"},
		{"standby", two + "monitor: {hme9: {standby: true}}\n", "4:11: interface hme9 is monitored, and nothing moves to it; remove `standby`, or put it into a group"},
		{"test without a length", two + "monitor: {hme9: {test: [192.0.2.1]}}\n", "4:25: test address 192.0.2.1 has no length; add it, as 192.0.2.1/24"},
		{"test twice", two + "    addresses: [192.0.2.1/24]\nmonitor: {hme9: {test: [192.0.2.1/24]}}\n",
			"5:25: 192.0.2.1 is already a data address of group g; remove one of the two"},
		{"tests of two subnets", two + "monitor: {hme9: {test: [192.0.2.1/24, 198.51.100.1/24]}}\n",
			"4:39: test address 198.51.100.1/24 is not in 192.0.2.0/24, as the others of interface hme9 are; give the test addresses of a family one subnet"},
		{"too many", "monitor:\n" + many(65), "66:3: there are more than 64 interfaces under monitor; remove some"},
		{"too many with the groups", two + "monitor:\n" + many(64), "68:3: there are more than 64 groups and monitored interfaces; remove some"},
	})
}

func programs(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  - /bin/p%d\n", i)
	}
	return b.String()
}

func TestValueErrors(t *testing.T) {
	run(t, []failure{
		{"log-level", "log-level: trace\n", "1:12: log-level is \"trace\"; write debug, info, warn or error"},
		{"log-level a list", "log-level: [info]\n", "1:12: log-level has a value of the wrong kind; write debug, info, warn or error"},
		{"log-level a block", "log-level: |\n  info\n", "1:12: log-level has a value of the wrong kind; write debug, info, warn or error"},
		{"priority", "realtime: {priority: 99}\n", "1:22: priority 99 is out of range; use 0 .. 98"},
		{"priority negative", "realtime: {priority: -1}\n", "1:22: priority -1 is out of range; use 0 .. 98"},
		{"cpus", "realtime: {cpus: 1}\n", "1:18: cpus has a value of the wrong kind; write a list, `[a, b]`"},
		{"cpus range", "realtime: {cpus: [1, 1024]}\n", "1:22: cpus 1024 is out of range; use 0 .. 1023"},
		{"cpus twice", "realtime: {cpus: [1, 1]}\n", "1:22: CPU 1 is there already; remove one of the two"},
		{"notify", "notify: /bin/true\n", "1:9: notify has a value of the wrong kind; write a list, `[a, b]`"},
		{"notify with arguments", "notify: [{/bin/mail: root}]\n", "1:10: notify has a value of the wrong kind; write the path of a program, as /etc/ipmpd/notify.d/page-me"},
		{"notify nothing", "notify: [/bin/true, ]\nlog-level: trace\n", "2:12: log-level is \"trace\"; write debug, info, warn or error"},
		{"notify empty", "notify: [\"\"]\n", "1:10: program \"\" has no absolute path; write the path from / on"},
		{"notify null", "notify:\n  -\n", "2:4: notify has no value; write the path of a program, as /etc/ipmpd/notify.d/page-me or remove the key"},
		{"notify relative", "notify:\n  - page-me\n", "2:5: program \"page-me\" has no absolute path; write the path from / on"},
		{"notify dots", "notify: [./page-me]\n", "1:10: program \"./page-me\" has no absolute path; write the path from / on"},
		{"notify odd", "notify: [\"/bin/\\0\"]\n", "1:10: \"/bin/\\x00\" is no path; write the path of a program, as /etc/ipmpd/notify.d/page-me"},
		{"notify twice", "notify: [/bin/a, /bin/a]\n", "1:18: program /bin/a is there already; remove one of the two"},
		{"notify many", "notify:\n" + programs(17), "18:5: there are more than 16 programs; let one of them run the others"},
		{"realtime", "realtime: fifo\n", "1:11: realtime has a value of the wrong kind; write keys and values, `key: value`"},
		{"group name", "groups: {-g: {}}\n", "1:10: \"-g\" is no name for a group; use 1 .. 31 of A-Za-z0-9._- , first a letter or digit"},
		{"group name long", "groups: {" + strings.Repeat("g", 32) + ": {}}\n", "1:10: \"" + strings.Repeat("g", 32) + "\" is no name for a group; use 1 .. 31 of A-Za-z0-9._- , first a letter or digit"},
		{"group name empty", "groups: {\"\": {}}\n", "1:10: \"\" is no name for a group; use 1 .. 31 of A-Za-z0-9._- , first a letter or digit"},
		{"detection-time short", two + "    detection-time: 99us\n", "4:21: detection-time 99us is out of range; use 100us .. 60s"},
		{"detection-time long", two + "    detection-time: 61s\n", "4:21: detection-time 61s is out of range; use 100us .. 60s"},
		{"detection-time without unit", two + "    detection-time: 100\n", "4:21: detection-time is \"100\", no time; write a time with its unit, as 400us, 100ms, 5s"},
		{"detection-time null", two + "    detection-time:\n", "4:20: detection-time has no value; write a time with its unit, as 400us, 100ms, 5s or remove the key"},
		{"rounds too close", two + "    detection-time: 100us\n", "4:21: detection-time / (misses + 1) is 25us, less than 50us; lengthen detection-time or lower misses"},
		{"rounds too close by misses", two + "    misses: 50\n    detection-time: 1ms\n", "5:21: detection-time / (misses + 1) is 19.607us, less than 50us; lengthen detection-time or lower misses"},
		{"misses 0", two + "    misses: 0\n", "4:13: misses 0 is out of range; use 1 .. 50"},
		{"misses 51", two + "    misses: 51\n", "4:13: misses 51 is out of range; use 1 .. 50"},
		{"misses quoted", two + "    misses: \"3\"\n", "4:13: misses is \"3\", no whole number; write a whole number, 1 .. 50"},
		{"misses octal", two + "    misses: 010\n", "4:13: misses is \"010\", no whole number; write a whole number, 1 .. 50"},
		{"misses float", two + "    misses: 3.5\n", "4:13: misses is \"3.5\", no whole number; write a whole number, 1 .. 50"},
		{"misses huge", two + "    misses: 99999999999999999999\n", "4:13: misses is \"99999999999999999999\", no whole number; write a whole number, 1 .. 50"},
		{"adapt", two + "    adapt: yes\n", "4:12: adapt is \"yes\"; write true or false"},
		{"adapt null", two + "    adapt: ~\n", "4:12: adapt has no value; write true or false or remove the key"},
		{"repair", two + "    repair: 0\n", "4:13: repair 0 is out of range; use 1 .. 10000"},
		{"hold-down", two + "    hold-down: -1s\n", "4:16: hold-down -1s is out of range; use at least 0s"},
		{"flap-limit", two + "    flap-limit: 10001\n", "4:17: flap-limit 10001 is out of range; use 0 .. 10000"},
		{"failback", two + "    failback: 1\n", "4:15: failback is \"1\"; write true or false"},
		{"probe", two + "    probe: ping\n", "4:12: probe is \"ping\"; write auto, icmp, arp or link"},
		{"attach", two + "    attach: clsact\n", "4:13: attach is \"clsact\"; write auto, xdp, tcx or xdp-generic"},
		{"duplicate-check", two + "    duplicate-check: off\n", "4:22: duplicate-check is \"off\"; write true or false"},
		{"announce", two + "    announce: 5\n", "4:15: announce has a value of the wrong kind; write keys and values, `key: value`"},
		{"announce count", two + "    announce: {count: 0}\n", "4:23: count 0 is out of range; use 1 .. 1000"},
		{"announce interval", two + "    announce: {interval: 0s}\n", "4:26: interval 0s is out of range; use at least 1ms"},
		{"announce rate", two + "    announce: {rate: -1}\n", "4:22: rate -1 is out of range; use 0 .. 1000000"},
		{"announce refresh", two + "    announce: {refresh: soon}\n", "4:25: refresh is \"soon\", no time; write a time with its unit, as 400us, 100ms, 5s"},
		{"force", two + "    force: maybe\n", "4:12: force is \"maybe\"; write true or false"},
		{"spread", two + "    spread: l3\n", "4:13: spread is \"l3\"; write true, false or l4"},
	})
}

func TestMemberErrors(t *testing.T) {
	run(t, []failure{
		{"no interfaces", "groups:\n  g: {}\n", "2:3: group g has no interfaces; name them under `interfaces:`"},
		{"no group", "groups:\n  g:\n", "2:3: group g has no interfaces; name them under `interfaces:`"},
		{"a list", "groups:\n  g:\n    interfaces: [hme0]\n", "3:17: interfaces has a value of the wrong kind; write keys and values, `key: value`"},
		{"name long", "groups: {g: {interfaces: {interface0123456: }}}", "1:27: \"interface0123456\" is no name for an interface; use 1 .. 15 characters, no space, `/` or `:`"},
		{"name odd", "groups: {g: {interfaces: {\"a\\nb\": }}}", "1:27: \"a\\nb\" is no name for an interface; use 1 .. 15 characters, no space, `/` or `:`"},
		{"name dots", "groups: {g: {interfaces: {..: }}}", "1:27: \"..\" is no name for an interface; use 1 .. 15 characters, no space, `/` or `:`"},
		{"in two groups", two + "  h:\n    interfaces:\n      hme1:\n", "6:7: interface hme1 is in group g and in group h; leave it in one of them"},
		{"standbys only", "groups:\n  g:\n    interfaces: {hme0: {standby: true}}\n", "2:3: every interface of group g is a standby; take `standby` off one of them"},
		{"standby", "groups: {g: {interfaces: {a: {standby: 1}}}}", "1:40: standby is \"1\"; write true or false"},
		{"test no list", "groups: {g: {interfaces: {a: {test: 192.0.2.11/24}}}}", "1:37: test has a value of the wrong kind; write a list, `[a, b]`"},
		{"test without length", "groups: {g: {interfaces: {a: {test: [192.0.2.11]}}}}", "1:38: test address 192.0.2.11 has no length; add it, as 192.0.2.11/24"},
		{"test wrong", "groups: {g: {interfaces: {a: {test: [hme0]}}}}", "1:38: test address is \"hme0\", no address with a length; write an address with its length, as 192.0.2.10/24 or 2001:db8::10/64"},
		{"test multicast", "groups: {g: {interfaces: {a: {test: ['ff02::1/64']}}}}", "1:38: test address ff02::1/64 is a multicast address; use a unicast address"},
		{"tests in two subnets", "groups:\n  g:\n    interfaces:\n      a: {test: [192.0.2.11/24, '2001:db8::1/64']}\n      b: {test: [198.51.100.12/24]}\n",
			"5:18: test address 198.51.100.12/24 is not in 192.0.2.0/24, as the others of group g are; give the test addresses of a family one subnet"},
		{"tests of two lengths", "groups:\n  g:\n    interfaces:\n      a: {test: [192.0.2.11/24, 192.0.2.13/25]}\n",
			"4:33: test address 192.0.2.13/25 is not in 192.0.2.0/24, as the others of group g are; give the test addresses of a family one subnet"},
		{"test twice", "groups:\n  g:\n    interfaces:\n      a: {test: [192.0.2.11/24]}\n      b: {test: [192.0.2.11/24]}\n",
			"5:18: 192.0.2.11 is already a test address of a; remove one of the two"},
	})
}

func TestAddressErrors(t *testing.T) {
	run(t, []failure{
		{"no list", two + "    addresses: 192.0.2.10/24\n", "4:16: addresses has a value of the wrong kind; write a list, `[a, b]`"},
		{"without length", two + "    addresses: [192.0.2.10]\n", "4:17: address 192.0.2.10 has no length; add it, as 192.0.2.10/24"},
		{"IPv6 without length", two + "    addresses:\n      - address: 2001:db8::10\n", "5:18: address 2001:db8::10 has no length; add it, as 2001:db8::10/64"},
		{"no address", two + "    addresses:\n      - home: hme0\n", "5:9: the entry has no address; add `address: ADDRESS/LENGTH`"},
		{"null", two + "    addresses:\n      -\n", "5:8: address has no value; write an address with its length, as 192.0.2.10/24 or 2001:db8::10/64 or remove the key"},
		{"wrong", two + "    addresses: [192.0.2.256/24]\n", "4:17: address is \"192.0.2.256/24\", no address with a length; write an address with its length, as 192.0.2.10/24 or 2001:db8::10/64"},
		{"mapped", two + "    addresses: ['::ffff:192.0.2.1/120']\n", "4:17: address is \"::ffff:192.0.2.1/120\", no address with a length; write an address with its length, as 192.0.2.10/24 or 2001:db8::10/64"},
		{"zone", two + "    addresses: [fe80::1%hme0]\n", "4:17: address is \"fe80::1%hme0\", no address with a length; write an address with its length, as 192.0.2.10/24 or 2001:db8::10/64"},
		{"twice", two + "    addresses: [192.0.2.10/24, 192.0.2.10/25]\n", "4:32: 192.0.2.10 is already a data address of group g; remove one of the two"},
		{"in two groups", two + "    addresses: [192.0.2.10/24]\n  h:\n    interfaces: {hme2: }\n    addresses: [192.0.2.10/24]\n",
			"7:17: 192.0.2.10 is already a data address of group g; remove one of the two"},
		{"test and data", tested + "    addresses: [192.0.2.12/24]\n", "6:17: 192.0.2.12 is already a test address of hme1; remove one of the two"},
		{"IPv6 link-local", two + "    addresses: ['fe80::1/64']\n", "4:17: data address fe80::1 is link-local; use a routable address, as a link-local one stays on its interface"},
		{"IPv4 link-local", two + "    addresses: [169.254.1.1/16]\n", "4:17: data address 169.254.1.1 is link-local; use a routable address, as a link-local one stays on its interface"},
		{"multicast", two + "    addresses: [224.0.0.1/24]\n", "4:17: data address 224.0.0.1/24 is a multicast address; use a unicast address"},
		{"unspecified", two + "    addresses: [0.0.0.0/24]\n", "4:17: data address 0.0.0.0/24 is the unspecified address; use a unicast address"},
		{"loopback", two + "    addresses: ['::1/128']\n", "4:17: data address ::1/128 is a loopback address; use a unicast address"},
		{"broadcast", two + "    addresses: [255.255.255.255/32]\n", "4:17: data address 255.255.255.255/32 is the broadcast address; use a unicast address"},
		{"the subnet", two + "    addresses: [192.0.2.0/24]\n", "4:17: data address 192.0.2.0/24 is the subnet itself; use an address of a host in it"},
		{"its broadcast", two + "    addresses: [192.0.2.127/25]\n", "4:17: data address 192.0.2.127/25 is the broadcast address of its subnet; use an address of a host"},
		{"length 0", two + "    addresses: [192.0.2.1/0]\n", "4:17: data address 192.0.2.1/0 has the length 0; write the length of its subnet"},
		{"unknown home", two + "    addresses:\n      - {address: 192.0.2.10/24, home: hme7}\n", "5:40: home \"hme7\" is no interface of group g; name an interface of the group"},
		{"standby home", "groups:\n  g:\n    interfaces: {hme0: , hme1: {standby: true}}\n    addresses:\n      - address: 192.0.2.10/24\n        home: hme1\n",
			"6:15: home hme1 is a standby; name an interface that is no standby"},
	})
}

func TestTargetErrors(t *testing.T) {
	run(t, []failure{
		{"no list", two + "    targets: 192.0.2.1\n", "4:14: targets has a value of the wrong kind; write a list, `[a, b]`"},
		{"wrong", two + "    targets: [router]\n", "4:15: target is \"router\", no address; write an address, as 192.0.2.1 or 2001:db8::1"},
		{"with length", two + "    targets: [192.0.2.1/24]\n", "4:15: target is \"192.0.2.1/24\", no address; write an address, as 192.0.2.1 or 2001:db8::1"},
		{"null", two + "    targets: [~]\n", "4:15: target has no value; write an address, as 192.0.2.1 or 2001:db8::1 or remove the key"},
		{"not on link", tested + "    targets: [192.0.2.1, 198.51.100.1]\n", "6:26: target 198.51.100.1 is not on link; name a host in a subnet of the group: 192.0.2.0/24"},
		{"not on link of its family", tested + "    targets: ['2001:db8::1']\n", "6:15: target 2001:db8::1 is not on link; name a host in a subnet of the group"},
		{"multicast", tested + "    targets: [224.0.0.1]\n", "6:15: target 224.0.0.1 is a multicast address; use a unicast address"},
		{"twice", tested + "    targets: [192.0.2.1, 192.0.2.1]\n", "6:26: target 192.0.2.1 is there already; remove one of the two"},
		{"own test address", tested + "    targets: [192.0.2.12]\n", "6:15: target 192.0.2.12 is the test address of hme1 itself; name another host"},
		{"own data address", tested + "    addresses: [192.0.2.10/24]\n    targets: [192.0.2.10]\n", "7:15: target 192.0.2.10 is a data address of the group itself; name another host"},
		{"icmp without test address", two + "    probe: icmp\n", "4:12: probe: icmp, but interface hme0 has no test address; give it `test: [ADDRESS/LENGTH]`, or use probe: auto"},
	})
}

func TestRouteErrors(t *testing.T) {
	const based = tested + "    addresses: [192.0.2.10/24, '2001:db8::10/64']\n" // rows go on at line 7
	run(t, []failure{
		{"no list", based + "    routes: {}\n", "7:13: routes has a value of the wrong kind; write a list, `[a, b]`"},
		{"no mapping", based + "    routes: [0.0.0.0/0]\n", "7:14: a route has a value of the wrong kind; write keys and values, `key: value`"},
		{"no destination", based + "    routes: [{via: 192.0.2.1}]\n", "7:14: the route has no destination; add `to: PREFIX`"},
		{"default", based + "    routes: [{to: default}]\n", "7:19: to is \"default\", which has no family; write 0.0.0.0/0 or ::/0"},
		{"host bits", based + "    routes: [{to: 10.1.2.3/8}]\n", "7:19: to 10.1.2.3/8 has host bits; write 10.0.0.0/8"},
		{"via not on link", based + "    routes: [{to: 0.0.0.0/0, via: 198.51.100.1}]\n", "7:35: via 198.51.100.1 is not on link; name a gateway in a subnet of the group: 192.0.2.0/24"},
		{"via of the other family", based + "    routes: [{to: 0.0.0.0/0, via: '2001:db8::1'}]\n", "7:35: via 2001:db8::1 is not of the family of 0.0.0.0/0; use one family"},
		{"via multicast", based + "    routes: [{to: 0.0.0.0/0, via: 224.0.0.1}]\n", "7:35: via 224.0.0.1 is a multicast address; use a unicast address"},
		{"via ourselves", based + "    routes: [{to: 0.0.0.0/0, via: 192.0.2.10}]\n", "7:35: via 192.0.2.10 is a data address of the group itself; name the gateway"},
		{"src no data address", based + "    routes: [{to: 0.0.0.0/0, via: 192.0.2.1, src: 192.0.2.11}]\n", "7:51: src 192.0.2.11 is no data address of group g; name one of `addresses`"},
		{"src of the other family", based + "    routes: [{to: 0.0.0.0/0, src: '2001:db8::10'}]\n", "7:35: src 2001:db8::10 is not of the family of 0.0.0.0/0; use one family"},
		{"metric", based + "    routes: [{to: 0.0.0.0/0, metric: 4294967296}]\n", "7:38: metric 4294967296 is out of range; use 0 .. 4294967295"},
		{"table", based + "    routes: [{to: 0.0.0.0/0, table: main}]\n", "7:37: table is \"main\", no whole number; write a whole number, 1 .. 4294967295"},
		{"twice", based + "    routes: [{to: 0.0.0.0/0, via: 192.0.2.1}, {to: 0.0.0.0/0, via: 192.0.2.2}]\n", "7:52: a route to 0.0.0.0/0 is there already; remove one of the two, or give them metrics"},
	})
}

// One more than each limit is an error; the limit itself is none.
func TestLimits(t *testing.T) {
	groups := func(n, members, tests int) string {
		var b strings.Builder
		b.WriteString("groups:\n")
		for g := range n {
			fmt.Fprintf(&b, "  g%d:\n    interfaces:\n", g)
			for m := range members {
				fmt.Fprintf(&b, "      e%d-%d: {test: [", g, m)
				for a := range tests {
					fmt.Fprintf(&b, "10.%d.%d.%d/16, ", g, m, a+1)
				}
				b.WriteString("]}\n")
			}
		}
		return b.String()
	}
	list := func(n int, suffix string) string {
		items := make([]string, n)
		for i := range items {
			items[i] = fmt.Sprintf("192.0.%d.%d%s", i/250+8, i%250+1, suffix)
		}
		return strings.Join(items, ", ")
	}
	addresses := func(n int) string { return two + "    addresses: [" + list(n, "/18") + "]\n" }
	targets := func(n int) string { return two + "    addresses: [192.0.0.1/18]\n    targets: [" + list(n, "") + "]\n" }
	for _, r := range []struct {
		name         string
		good, beyond string
		want         string
	}{
		{"groups", groups(64, 1, 0), groups(65, 1, 0), "194:3: there are more than 64 groups; remove some"},
		{"members of a group", groups(1, 32, 0), groups(1, 33, 0), "36:7: group g0 has more than 32 interfaces; remove some"},
		{"members", groups(32, 8, 0), groups(32, 9, 0), "316:7: the groups have more than 256 interfaces; remove some"},
		{"addresses", addresses(4096), addresses(4097), "4:67316: there are more than 4096 addresses; remove some"},
		{"targets", targets(16), targets(17), "5:198: group g has more than 16 targets; remove some"},
		{"test addresses", groups(1, 1, 8), groups(1, 1, 9), "4:125: e0-0 has more than 8 test addresses of a family; remove some"},
	} {
		t.Run(r.name, func(t *testing.T) {
			_, err := Parse("f", []byte(r.good))
			require.NoError(t, err)
			_, err = Parse("f", []byte(r.beyond))
			require.EqualError(t, err, "f:"+r.want)
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ipmpd.yaml")
	_, err := Load(path)
	require.EqualError(t, err, path+": cannot be read: no such file or directory; create it, or name another file with --config")
	_, err = Load(dir)
	require.EqualError(t, err, dir+": cannot be read: is a directory; see to it that this user may read it")
	require.NoError(t, os.WriteFile(path, []byte(two), 0o600))
	cfg, err := Load(path)
	require.NoError(t, err)
	require.Equal(t, path, cfg.File)
}
