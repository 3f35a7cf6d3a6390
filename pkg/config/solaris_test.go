// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
)

// The files of the seed article, with the addresses that it lost (contract section 5).
var seed = map[string]string{
	"etc/hostname.hme0": "unreal-hme0 netmask + broadcast + deprecated -failover group unrealgrp1 up addif unreal netmask + broadcast + failover up\n",
	"etc/hostname.hme1": "unreal-hme1 netmask + broadcast + deprecated -failover group unrealgrp1 up\n",
	"etc/hosts": "127.0.0.1\tlocalhost\n192.0.2.10\tunreal\t\tloghost\n192.0.2.11\tunreal-hme0\n192.0.2.12\tunreal-hme1\n" +
		"192.0.2.20\tweb1\n192.0.2.21\tweb2 WEB3\n192.0.2.30\tweb1-test\n192.0.2.31\tweb2-test\n2001:db8::30 web1-test web1-v6\n" +
		"10.0.0.1 twice\n10.0.0.2 twice\n",
	"etc/netmasks": "# network\tnetmask\n192.0.2.0\t255.255.255.0\n",
}

// solarisFiles are those of the seed with others in their place or beside them; "-" takes one away.
func solarisFiles(files map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for _, set := range []map[string]string{seed, files} {
		for name, text := range set {
			if text == "-" {
				delete(out, name)
				continue
			}
			out[name] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return out
}

func readSolaris(t *testing.T, files map[string]string) (*Config, string, []string) {
	t.Helper()
	cfg, text, warnings, err := solaris(solarisFiles(files), "/r")
	require.NoError(t, err)
	again, err := Parse(cfg.File, text)
	require.NoError(t, err)
	require.Equal(t, again.Watched(), cfg.Watched(), "what import prints means the same")
	var said []string
	for _, w := range warnings {
		said = append(said, w.String())
	}
	return cfg, string(text), said
}

// bare is a group without places.
func bare(g Group) Group {
	g.Pos = Pos{}
	for i := range g.Interfaces {
		g.Interfaces[i].Pos = Pos{}
	}
	for i := range g.Addresses {
		g.Addresses[i].Pos = Pos{}
	}
	return g
}

func TestSolarisSeed(t *testing.T) {
	cfg, text, warnings := readSolaris(t, nil)
	require.Empty(t, warnings)
	want := parse(t, `
groups:
  unrealgrp1:
    interfaces:
      hme0: {test: ["192.0.2.11/24"]}
      hme1: {test: ["192.0.2.12/24"]}
    addresses: [192.0.2.10/24]
`)
	require.Len(t, cfg.Groups, 1)
	require.Equal(t, bare(want.Groups[0]), bare(cfg.Groups[0]))
	require.Equal(t, want.Realtime, cfg.Realtime)
	require.Equal(t, want.LogLevel, cfg.LogLevel)
	require.Equal(t, "# From the Solaris files below /r, by `ipmpd import`.\n"+
		"groups:\n"+
		"  unrealgrp1: # /r/etc/hostname.hme0:1: unrealgrp1\n"+
		"    interfaces: # /r/etc/hostname.hme0:1: unrealgrp1\n"+
		"      hme0: # /r/etc/hostname.hme0:1: hme0\n"+
		"        test: # /r/etc/hostname.hme0:1: hme0\n"+
		"          - \"192.0.2.11/24\" # /r/etc/hostname.hme0:1: unreal-hme0\n"+
		"      hme1: # /r/etc/hostname.hme1:1: hme1\n"+
		"        test: # /r/etc/hostname.hme1:1: hme1\n"+
		"          - \"192.0.2.12/24\" # /r/etc/hostname.hme1:1: unreal-hme1\n"+
		"    addresses: # /r/etc/hostname.hme0:1: unrealgrp1\n"+
		"      - address: \"192.0.2.10/24\" # /r/etc/hostname.hme0:1: unreal\n"+
		"        home: hme0 # /r/etc/hostname.hme0:1: unreal\n", text)
}

// The shapes of spec section 8.2, and what its words mean alone and together.
func TestSolarisShapes(t *testing.T) {
	for _, row := range []struct {
		name  string
		files map[string]string
		want  string // the group's YAML, without detection and failback
		warns []string
	}{
		{"active-active", map[string]string{
			"etc/hostname.hme0": "web1 netmask + broadcast + group prod up addif web1-test deprecated -failover netmask + broadcast + up\n",
			"etc/hostname.hme1": "web2 netmask + broadcast + group prod up addif web2-test deprecated -failover netmask + broadcast + up\n",
		}, "interfaces: {hme0: {test: [192.0.2.30/24]}, hme1: {test: [192.0.2.31/24]}}\n" +
			"addresses: [{address: 192.0.2.20/24, home: hme0}, {address: 192.0.2.21/24, home: hme1}]", nil},
		{"the same, with a backslash", map[string]string{
			"etc/hostname.hme0": "web1 netmask + broadcast + group prod up \\\naddif web1-test deprecated -failover netmask + broadcast + up\n",
			"etc/hostname.hme1": "group prod\n",
		}, "interfaces: {hme0: {test: [192.0.2.30/24]}, hme1: }\naddresses: [192.0.2.20/24]", nil},
		{"standby", map[string]string{
			"etc/hostname.hme0": "web1 netmask + broadcast + group prod up addif web1-test deprecated -failover netmask + broadcast + up\n",
			"etc/hostname.hme1": "web2-test netmask + broadcast + deprecated group prod -failover standby up\n",
		}, "interfaces: {hme0: {test: [192.0.2.30/24]}, hme1: {test: [192.0.2.31/24], standby: true}}\naddresses: [192.0.2.20/24]", nil},
		{"link only", map[string]string{
			"etc/hostname.hme0": "web1 netmask + broadcast + group prod up\n",
			"etc/hostname.hme1": "group prod up\n",
		}, "probe: link\ninterfaces: {hme0: , hme1: }\naddresses: [192.0.2.20/24]", nil},
		{"words that are implied", map[string]string{
			"etc/hostname.hme0": "web1 group prod",
			"etc/hostname.hme1": "group prod",
		}, "probe: link\ninterfaces: {hme0: , hme1: }\naddresses: [192.0.2.20/24]", nil},
		{"illumos", map[string]string{
			"etc/hostname.hme0":  "group prod -failover web1-test up\n",
			"etc/hostname.hme1":  "group prod standby -failover web2-test up\n",
			"etc/hostname.ipmp0": "ipmp group prod web1 netmask + up addif web2 up\n",
		}, "interfaces: {hme0: {test: [192.0.2.30/24]}, hme1: {test: [192.0.2.31/24], standby: true}}\naddresses: [192.0.2.20/24, 192.0.2.21/24]", nil},
		{"illumos, several lines", map[string]string{
			"etc/hostname.hme0":  "group ipmp0 -failover web1-test up\n",
			"etc/hostname.hme1":  "group ipmp0\nup\n",
			"etc/hostname.ipmp0": "ipmp\nweb1/24 up\naddif 192.0.2.77/24 up\n",
		}, "interfaces: {hme0: {test: [192.0.2.30/24]}, hme1: }\naddresses: [192.0.2.20/24, 192.0.2.77/24]", nil},
		{"several lines imply nothing", map[string]string{
			"etc/hostname.hme0": "web1 netmask 255.255.255.0\n\ngroup prod broadcast 192.0.2.255\nup\naddif web2 netmask 0xffffff80\naddif web3 netmask + up\n",
			"etc/hostname.hme1": "group \"\" group prod -standby standby -standby up\n",
		}, "probe: link\ninterfaces: {hme0: , hme1: }\naddresses: [{address: 192.0.2.20/24, home: hme0}, {address: 192.0.2.21/24, home: hme0}]",
			[]string{"/r/etc/hostname.hme0:5: web2: left out, as it is not up; write `up` behind it"}},
		{"the last word counts", map[string]string{
			"etc/hostname.hme0": "web1 group prod -failover failover deprecated -deprecated netmask + up addif web1-test failover -failover down up",
			"etc/hostname.hme1": "group other group \"\" group prod",
		}, "interfaces: {hme0: {test: [192.0.2.30/24]}, hme1: }\naddresses: [192.0.2.20/24]", nil},
		{"IPv6", map[string]string{
			"etc/hostname.hme0":  "group prod up",
			"etc/hostname.hme1":  "group prod up",
			"etc/hostname6.hme0": "-failover up\naddif 2001:db8::10/64\naddif web1-test/64 -failover\n",
			"etc/hostname6.hme1": "",
		}, "interfaces: {hme0: {test: ['2001:db8::30/64']}, hme1: }\naddresses: ['2001:db8::10/64']", nil},
		{"IPv6 with link-local test addresses", map[string]string{
			"etc/hostname.hme0":  "-",
			"etc/hostname.hme1":  "-",
			"etc/hostname6.hme0": "group prod -failover up\naddif 2001:db8::10/64\n",
			"etc/hostname6.hme1": "group prod -failover",
		}, "interfaces: {hme0: , hme1: }\naddresses: ['2001:db8::10/64']", nil},
		{"others are left out", map[string]string{
			"etc/hostname.hme0":     "web1 group prod",
			"etc/hostname.hme1":     "group prod",
			"etc/hostname.hme1.bak": "anything",
			"etc/hostname.hme2":     "web2",
			"etc/hostname":          "unreal",
		}, "probe: link\ninterfaces: {hme0: , hme1: }\naddresses: [192.0.2.20/24]", []string{
			"/r/etc/hostname.hme1.bak:1: hme1.bak: left out, as Solaris reads only names that end with a digit; rename the file if it is meant for an interface",
			"/r/etc/hostname.hme2:1: hme2: left out, as it is in no group; it is left to whatever configures it",
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg, _, warnings := readSolaris(t, row.files)
			name := cfg.Groups[0].Name
			want := parse(t, "groups:\n  "+name+":\n    "+strings.ReplaceAll(row.want, "\n", "\n    ")+"\n")
			require.Len(t, cfg.Groups, 1)
			require.Equal(t, bare(want.Groups[0]), bare(cfg.Groups[0]))
			require.Equal(t, row.warns, warnings)
		})
	}
}

func TestSolarisMpathd(t *testing.T) {
	for text, want := range map[string]struct {
		detection time.Duration
		failback  bool
	}{
		"": {100 * time.Millisecond, true},
		"# as delivered\nFAILURE_DETECTION_TIME=10000\n\nFAILBACK=yes\nTRACK_INTERFACES_ONLY_WITH_GROUPS=yes\n": {10 * time.Second, true},
		"failure_detection_time = 1500\r\nfailback=No\n":                                                        {1500 * time.Millisecond, false},
		"FAILURE_DETECTION_TIME=0x64":                                                                           {100 * time.Millisecond, true},
		"FAILURE_DETECTION_TIME=0310\nTRACK_INTERFACES_ONLY_WITH_GROUPS=no":                                     {200 * time.Millisecond, true},
		"FAILURE_DETECTION_TIME=60000\n":                                                                        {time.Minute, true},
	} {
		cfg, _, _ := readSolaris(t, map[string]string{"etc/default/mpathd": text})
		require.Equal(t, want.detection, cfg.Groups[0].DetectionTime, text)
		require.Equal(t, want.failback, cfg.Groups[0].Failback, text)
	}
}

func TestSolarisNetmasks(t *testing.T) {
	const masks = "192.0.0.0 255.255.0.0\n192.0.2.0 255.255.255.0\n192.0.2.16 0xfffffff0\n128.32.0.0 255.255.255.0\n10.0.0.0 255.255.0.0\n"
	for address, want := range map[string]string{
		"192.0.9.9": "192.0.9.9/16", "192.0.2.10": "192.0.2.10/24", "192.0.2.20": "192.0.2.20/28",
		"128.32.7.7": "128.32.7.7/24", "10.3.3.3": "10.3.3.3/16",
	} {
		cfg, _, _ := readSolaris(t, map[string]string{"etc/netmasks": masks,
			"etc/hostname.hme0": address + " group g", "etc/hostname.hme1": "group g"})
		require.Equal(t, want, cfg.Groups[0].Addresses[0].Prefix.String())
	}
}

// What is wrong is said with file, line and word; nothing is guessed.
func TestSolarisErrors(t *testing.T) {
	first := func(text string) map[string]string { return map[string]string{"etc/hostname.hme0": text} }
	hosts, masks, mpathd := "etc/hosts", "etc/netmasks", "etc/default/mpathd"
	for _, row := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"unknown word", first("web1 netmask + frobnicate group g up\n"), "etc/hostname.hme0:1: frobnicate: this is no word that ipmpd knows, and the address is web1 already; " + wordAdvice},
		{"unknown word first", first("frobnicate web1 group g up\n"), "etc/hostname.hme0:1: frobnicate: this is no word that ipmpd knows, and no host with an IPv4 address in /r/etc/hosts; " + wordAdvice},
		{"a second address", first("web1 web2 group g up\n"), "etc/hostname.hme0:1: web2: this is no word that ipmpd knows, and the address is web1 already; " + wordAdvice},
		{"unknown option", first("web1 group g\n-fail up"), "etc/hostname.hme0:2: -fail: this is no word that ipmpd knows; " + wordAdvice},
		{"a word of ifconfig", first("web1 group g mtu 1400 up\n"), "etc/hostname.hme0:1: mtu: ipmpd has nothing for this word of ifconfig; " + wordAdvice},
		{"host without address", first("web9 group g\n"), "etc/hostname.hme0:1: web9: this is no word that ipmpd knows, and no host with an IPv4 address in /r/etc/hosts; " + wordAdvice},
		{"host with two", first("twice group g\n"), "etc/hostname.hme0:1: twice: /r/etc/hosts has 2 IPv4 addresses for it; write the address"},
		{"no netmask", first("web1 group g\nup\n"), "etc/hostname.hme0:1: web1: the address has no netmask; write `netmask +` or `netmask MASK` behind it"},
		{"no netmask in the file", map[string]string{masks: "-"}, "etc/hostname.hme0:1: unreal-hme0: 192.0.2.11 has no netmask in /r/etc/netmasks; add the network there, or write the netmask in place of `+`"},
		{"netmask of nothing", first("web1 group g up netmask"), "etc/hostname.hme0:1: netmask: no netmask; write one behind it"},
		{"netmask with holes", first("web1 netmask 255.0.255.0 group g\nup"), "etc/hostname.hme0:1: 255.0.255.0: this is no netmask for web1; write one, as 255.255.255.0"},
		{"another broadcast", first("web1 netmask + broadcast 192.0.2.0 group g\nup"), "etc/hostname.hme0:1: 192.0.2.0: the broadcast address of 192.0.2.20/24 is 192.0.2.255; write `broadcast +`"},
		{"two groups", first("web1 group g up group h"), "etc/hostname.hme0:1: h: interface hme0 is in group g already, by /r/etc/hostname.hme0:1; leave it in one of them"},
		{"two groups in two files", map[string]string{"etc/hostname6.hme1": "\ngroup h"}, "etc/hostname6.hme1:2: h: interface hme1 is in group unrealgrp1 already, by /r/etc/hostname.hme1:1; leave it in one of them"},
		{"group of nothing", first("web1 netmask + group up"), "etc/hostname.hme0:1: group: no name of a group; write one behind it"},
		{"name of a group", first("web1 group -g"), "etc/hostname.hme0:1: -g: this is no name for a group; use 1 .. 31 of A-Za-z0-9._- , first a letter or digit"},
		{"addif of nothing", first("web1 group g up addif\n"), "etc/hostname.hme0:1: addif: no address; write one behind it"},
		{"addif before a word", first("web1 group g up\naddif netmask + up\n"), "etc/hostname.hme0:2: addif: no address; write one behind it"},
		{"a data address that is no source", first("web1 group g deprecated"), "etc/hostname.hme0:1: deprecated: web1 fails over, and ipmpd has no such address that is no source; remove it, or write `-failover` too"},
		{"a data address on a standby", first("web1 group g standby"), "etc/hostname.hme0:1: web1: a standby has test addresses only, by /r/etc/hostname.hme0:1; write `-failover`, or move it to another interface"},
		{"all are standbys", map[string]string{"etc/hostname.hme0": "group g standby", "etc/hostname.hme1": "group g standby"},
			"etc/hostname.hme0:1: g: every interface of group g is a standby; take `standby` off one of them"},
		{"address twice", first("unreal-hme1 group unrealgrp1 up"), "etc/hostname.hme0:1: unreal-hme1: 192.0.2.12 is already a test address of hme1; remove one of the two"},
		{"network as address", first("192.0.2.0 group g"), "etc/hostname.hme0:1: 192.0.2.0: data address 192.0.2.0/24 is the subnet itself; use an address of a host in it"},
		{"family", first("2001:db8::1/64 group g"), "etc/hostname.hme0:1: 2001:db8::1/64: this is no plain IPv4 address; write an IPv4 address"},
		{"length", first("web1/33 group g"), `etc/hostname.hme0:1: web1/33: "33" is no length of a subnet; write 1 .. 32`},
		{"no length", map[string]string{"etc/hostname6.hme0": "addif web1-v6"}, "etc/hostname6.hme0:1: web1-v6: the address has no length; write it, as web1-v6/64"},
		{"IPv6 netmask", map[string]string{"etc/hostname6.hme0": "netmask +"}, "etc/hostname6.hme0:1: netmask: IPv6 has none; write the length behind the address, as 2001:db8::10/64"},
		{"ipmp later", first("web1 ipmp group g"), "etc/hostname.hme0:1: ipmp: it can only be the first word of its file; write it first, or remove it"},
		{"ipmp with a standby", map[string]string{"etc/hostname.ipmp0": "ipmp standby"}, "etc/hostname.ipmp0:1: standby: an interface of kind ipmp cannot have it; move it to the interfaces of the group"},
		{"ipmp without members", map[string]string{"etc/hostname.ipmp0": "ipmp group lone web1"}, "etc/hostname.ipmp0:1: lone: group lone has no interfaces; name them under `interfaces:`"},
		{"logical interface", map[string]string{"etc/hostname.hme0:1": "web1"}, "etc/hostname.hme0:1:1: hme0:1: a file for a logical interface is not understood; write `addif` into hostname.hme0"},
		{"name of an interface", map[string]string{"etc/hostname.averyverylongname0": "web1"}, "etc/hostname.averyverylongname0:1: averyverylongname0: this is no name for an interface; use 1 .. 15 characters, no space, `/` or `:`"},
		{"no group", map[string]string{"etc/hostname.hme0": "web1", "etc/hostname.hme1": "-"}, "etc/hostname.*: no interface is in a group; write `group NAME` into the files of its interfaces, or name the right folder"},
		{"nothing", map[string]string{"etc/hostname.hme0": "-", "etc/hostname.hme1": "-", hosts: "-", masks: "-"}, "etc/hostname.*: no interface is in a group; write `group NAME` into the files of its interfaces, or name the right folder"},
		{"binary", first("\x7fELF\x02\x01\x00\x00"), `etc/hostname.hme0:1: "\x7fELF\x02\x01\x00\x00": this is no text; is it the right file?`},
		{"not UTF-8", first("web1 \xff\xfe"), `etc/hostname.hme0:1: "\xff\xfe": this is no text; is it the right file?`},
		{"binary hosts", map[string]string{hosts: "127.0.0.1 localhost\n\x00\x01 a"}, `etc/hosts:2: "\x00\x01": this is no text; is it the right file?`},

		{"hosts without address", map[string]string{hosts: "127.0.0.1 localhost\nunreal loghost"}, "etc/hosts:2: unreal: this is no address; write the address first, then the names"},
		{"hosts without name", map[string]string{hosts: "192.0.2.10 # unreal\n"}, "etc/hosts:1: 192.0.2.10: the address has no name; write one behind it"},
		{"netmasks without network", map[string]string{masks: "net 255.255.255.0\n"}, "etc/netmasks:1: net: this is no IPv4 network; write network and netmask, as 192.0.2.0 255.255.255.0"},
		{"netmasks without mask", map[string]string{masks: "192.0.2.0\n"}, "etc/netmasks:1: 192.0.2.0: the network has no netmask; write it behind the network"},
		{"netmasks with another", map[string]string{masks: "192.0.2.0 24\n"}, "etc/netmasks:1: 24: this is no netmask; write one, as 255.255.255.0"},
		{"netmasks with more", map[string]string{masks: "192.0.2.0 255.255.255.0 x\n"}, "etc/netmasks:1: x: a line has a network and a netmask; remove it"},

		{"no number", map[string]string{mpathd: "FAILURE_DETECTION_TIME=10s"}, `etc/default/mpathd:1: FAILURE_DETECTION_TIME=10s: "10s" is no number; write milliseconds, 100 .. 60000`},
		{"too short", map[string]string{mpathd: "\nFAILURE_DETECTION_TIME=99"}, "etc/default/mpathd:2: FAILURE_DETECTION_TIME=99: 99 is out of range; write milliseconds, 100 .. 60000"},
		{"too long", map[string]string{mpathd: "FAILURE_DETECTION_TIME=60001"}, "etc/default/mpathd:1: FAILURE_DETECTION_TIME=60001: 60001 is out of range; write milliseconds, 100 .. 60000"},
		{"failback", map[string]string{mpathd: "FAILBACK=maybe"}, `etc/default/mpathd:1: FAILBACK=maybe: "maybe" is neither yes nor no; write yes or no`},
		{"twice", map[string]string{mpathd: "FAILBACK=no\nfailback=yes"}, "etc/default/mpathd:2: failback=yes: the key is there already, in line 1; remove one of the two"},
		{"unknown key", map[string]string{mpathd: "FAILBACKS=no"}, "etc/default/mpathd:1: FAILBACKS=no: this is no key of mpathd; its keys are FAILURE_DETECTION_TIME, FAILBACK, TRACK_INTERFACES_ONLY_WITH_GROUPS"},
		{"no sign", map[string]string{mpathd: "FAILBACK no"}, "etc/default/mpathd:1: \"FAILBACK no\": there is no `=`; write KEY=VALUE"},
		{"an address that a monitored interface has", map[string]string{mpathd: "TRACK_INTERFACES_ONLY_WITH_GROUPS=no", "etc/hostname.hme2": "unreal -failover"},
			"etc/hostname.hme2:1: unreal: 192.0.2.10 is already a data address of group unrealgrp1; remove one of the two"},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg, text, _, err := solaris(solarisFiles(row.files), "/r")
			require.EqualError(t, err, "/r/"+row.want)
			require.IsType(t, &Error{}, err)
			require.Nil(t, cfg)
			require.Nil(t, text)
		})
	}
}

// TRACK_INTERFACES_ONLY_WITH_GROUPS=no watches the interfaces that are in no group, by their test
// addresses where they have some.
func TestSolarisMonitor(t *testing.T) {
	files := map[string]string{"etc/default/mpathd": "TRACK_INTERFACES_ONLY_WITH_GROUPS=no\n", "etc/hostname.hme2": "web1 standby",
		"etc/hostname.hme3": "web2-test deprecated -failover"}
	cfg, text, said := readSolaris(t, files)
	require.Len(t, cfg.Groups, 1)
	require.Len(t, cfg.Monitor, 2)
	require.Equal(t, "hme2", cfg.Monitor[0].Name)
	require.Empty(t, cfg.Monitor[0].Test)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("192.0.2.31/24")}, cfg.Monitor[1].Test)
	require.Contains(t, text, "\nmonitor: # /r/etc/default/mpathd:1: TRACK_INTERFACES_ONLY_WITH_GROUPS=no\n  hme2: # /r/etc/hostname.hme2:1: hme2\n  hme3:")
	require.Equal(t, []string{
		"/r/etc/hostname.hme2:1: hme2: it is watched only, and its addresses are not set, as it is in no group; they are left to whatever configures them",
		"/r/etc/hostname.hme3:1: hme3: it is watched only, and its addresses are not set, as it is in no group; they are left to whatever configures them",
	}, said)

	files["etc/hostname.hme0"], files["etc/hostname.hme1"], files["etc/hostname.hme3"] = "-", "-", "-"
	cfg, _, _ = readSolaris(t, files)
	require.Empty(t, cfg.Groups)
	require.Len(t, cfg.Monitor, 1)
}

// What the host makes of it has its place in the Solaris files too.
func TestSolarisOnHost(t *testing.T) {
	cfg, _, _ := readSolaris(t, nil)
	errs, warnings := CheckHost(cfg, []HostLink{{Name: "hme0", Exists: true, Loopback: true}})
	require.Len(t, errs, 1)
	require.EqualError(t, errs[0], "/r/etc/hostname.hme0:1: hme0: interface hme0 is a loopback; remove it")
	require.Len(t, warnings, 1)
	require.Equal(t, "/r/etc/hostname.hme1:1: hme1: interface hme1 does not exist; check the name, or plug it in; the group runs without it",
		warnings[0].String())
}

// The exported ones, on a disk.
func TestLoadSolaris(t *testing.T) {
	root := t.TempDir()
	for name, text := range seed {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o600))
	}
	cfg, _, err := LoadSolaris(root)
	require.NoError(t, err)
	text, _, err := ImportSolaris(root)
	require.NoError(t, err)
	file := filepath.Join(root, "ipmpd.yaml")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	again, err := Load(file)
	require.NoError(t, err)
	require.Equal(t, again.Groups, cfg.Groups)

	require.NoError(t, os.Mkdir(filepath.Join(root, "etc/hostname.hme7"), 0o755))
	_, _, err = LoadSolaris(root)
	require.EqualError(t, err, root+"/etc/hostname.hme7: cannot be read: is a directory; see to it that this user may read it")
	_, _, err = LoadSolaris(filepath.Join(root, "none"))
	require.EqualError(t, err, root+"/none/etc/hostname.*: no interface is in a group; write `group NAME` into the files of its interfaces, or name the right folder")
}
