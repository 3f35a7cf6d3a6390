// SPDX-License-Identifier: Apache-2.0

package trial

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/ipmpd/ipmpd/test/lab"
)

// Families of a trial's addresses.
type Families int

// Dual has addresses of both, all at home on the first member; its traffic is of IPv6.
const (
	IPv4 Families = iota
	IPv6
	Dual
)

// Shape of the group under trial. The zero value is the seed's.
type Shape struct {
	Members  int // 0 means 2
	Standby  int // how many of them, the last ones, are standbys
	Families Families
}

// ends are the addresses of one family that traffic and probes go between.
type ends struct {
	data, peer, router netip.Addr
	test               func(member int) netip.Addr
	bits               int
}

func (f Families) used() (list []ends) {
	if f != IPv6 {
		list = append(list, ends{lab.Data, lab.Peer, lab.Router, lab.TestAddr, 24})
	}
	if f != IPv4 {
		list = append(list, ends{lab.Data6, lab.Peer6, lab.Router6, lab.TestAddr6, 64})
	}
	return list
}

// traffic has the addresses of the family that is measured: the last one.
func (t *Trial) traffic() ends {
	used := t.opts.Shape.Families.used()
	return used[len(used)-1]
}

// config is the seed's, with the test target that its network would offer, in the trial's shape.
func (t *Trial) config() string {
	var b strings.Builder
	var targets []string
	used := t.opts.Shape.Families.used()
	for _, e := range used {
		targets = append(targets, fmt.Sprintf("%q", e.router))
	}
	fmt.Fprintf(&b, "groups:\n  unrealgrp1:\n    detection-time: %s\n", t.opts.Detection)
	fmt.Fprintf(&b, "    flap-limit: 0\n    targets: [%s]\n", strings.Join(targets, ", "))
	if t.opts.Attach != "" {
		fmt.Fprintf(&b, "    attach: %s\n", t.opts.Attach)
	}
	b.WriteString("    interfaces:\n")
	for i, m := range t.Lab.Members {
		var tests []string
		for _, e := range used {
			tests = append(tests, fmt.Sprintf("%q", netip.PrefixFrom(e.test(i), e.bits)))
		}
		fmt.Fprintf(&b, "      %s:\n        test: [%s]\n", m.Name, strings.Join(tests, ", "))
		if i >= len(t.Lab.Members)-t.opts.Shape.Standby {
			b.WriteString("        standby: true\n")
		}
	}
	b.WriteString("    addresses:\n")
	for _, e := range used {
		fmt.Fprintf(&b, "      - address: %q\n        home: %s\n", netip.PrefixFrom(e.data, e.bits), t.Lab.Members[0].Name)
	}
	return b.String()
}
