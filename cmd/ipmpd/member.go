// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"strings"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/detect"
	"github.com/ipmpd/ipmpd/pkg/group"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// member is one configured interface, as the engine knows it.
type member struct {
	cfg    *config.Interface
	number int // in the BPF maps
	bit    int // in the words of its group
	index  int // in its group: file order

	// Of the host; ifindex 0: missing.
	ifindex   int
	mac       addr.MAC
	mtu       int
	link      group.Link
	linkLocal netip.Addr
	// former is the interface that had its name until somebody renamed it; Index 0: none. What is ours
	// is taken off it.
	former addr.Leaving
	// monitored: it is in no group. Then source is what it is probed from in each family, an address that
	// it has by itself; not valid: none.
	monitored bool
	source    [bpf.Families]netip.Prefix
	table     uint32 // of the VRF that it belongs to; 0: none

	// linkAt is when this run saw the link come up (CLOCK_MONOTONIC ns); 0: it was up at the start.
	linkAt int64
	// appeared is when the interface did, while the group was at work; 0: it was there before.
	appeared int64

	attachment *bpf.Attachment
	attachedAs config.Attach // what the file said then
	attachErr  string        // logged already
	waits      bool          // for its programs: it is not probed before
	looked     attachmentLook

	offline bool
	// twin is the text for a member that is out of service because another one has its MAC; "": it is not.
	twin string
	// wired orders members by when they came on the wire with the MAC wiredAs; 0: it is not on it.
	wired   uint64
	wiredAs addr.MAC
	kind    [bpf.Families]detect.Kind
	flaps   uint64
	// published is what the words say of it, as far as the engine knows: a verdict that has not
	// reached the engine yet must not be undone.
	published [bpf.Families]bool
	// leftFailed: not usable in the words of a former run.
	leftFailed [bpf.Families]bool
	// backAt is when it was usable again (CLOCK_MONOTONIC ns). deaf: it is down, and multicast is heard on it.
	backAt [bpf.Families]int64
	deaf   bool
	// epoch is raised when another interface takes the place: it is armed anew.
	epoch uint32
	// settled is the interface index on which its addresses and sysctls are. Before, the kernel would ask
	// for neighbours in the name of another member's address, and they would take it for this one's.
	settled int
	// armed is the limit that was written to each instance.
	armed [bpf.Families]uint32
}

// look takes over what the host says; it returns whether anything that others depend on changed.
func (m *member) look(s *netstate.Snapshot) (changed bool) {
	old := *m
	l := s.LinkByName(m.cfg.Name)
	if l == nil {
		m.ifindex, m.mac, m.linkLocal, m.link = 0, addr.MAC{}, netip.Addr{}, group.LinkUnknown
		m.source = [bpf.Families]netip.Prefix{}
		return old.ifindex != 0
	}
	if m.ifindex != l.Index {
		// Another device: what was heard of the last one's carrier means nothing.
		m.link = group.LinkUnknown
	}
	m.ifindex, m.mac, m.mtu, m.table = l.Index, l.MAC, l.MTU, s.TableOf(l)
	if m.link == group.LinkUnknown {
		m.link = linkOf(l.Carrier && l.Up)
	}
	if m.monitored {
		m.source = sources(m.cfg.Test, s.AddressesOf(l.Index), m.mac != addr.MAC{})
	}
	m.linkLocal = netip.Addr{}
	for _, a := range s.AddressesOf(l.Index) {
		if ip := a.Prefix.Addr(); ip.Is6() && ip.IsLinkLocalUnicast() {
			m.linkLocal = ip
			break
		}
	}
	return m.ifindex != old.ifindex || m.mac != old.mac || m.linkLocal != old.linkLocal ||
		m.table != old.table || m.source != old.source
}

func linkOf(carrier bool) group.Link {
	if carrier {
		return group.LinkUp
	}
	return group.LinkDown
}

// test is the test address of a family, the first of the file; a link-local address is the IPv6 one
// where none is given.
func (m *member) test(family int) netip.Addr {
	if m.monitored {
		return m.source[family].Addr()
	}
	for _, p := range m.cfg.Test {
		if p.Addr().Is4() == (family == 0) {
			return p.Addr()
		}
	}
	if family == 1 {
		return m.linkLocal
	}
	return netip.Addr{}
}

// blind: it has no programs to see replies with, yet or at all, so that its link is all that is watched.
func (m *member) blind() bool { return m.waits || m.attachment == nil && m.attachErr != "" }

// describe is the member for the BPF programs.
func (m *member) describe(group int) bpf.Member {
	b := bpf.Member{Ifindex: uint32(m.ifindex), Group: uint8(group), Bit: uint8(m.bit), Mac: m.mac}
	if m.monitored {
		b.Flags = bpf.Monitored
		return b
	}
	for _, p := range m.cfg.Test {
		f := 0
		if p.Addr().Is6() {
			f = 1
		}
		if n := b.Tests[f]; int(n) < bpf.Tests {
			b.Test[f][n] = bpf.AddrFrom(p.Addr())
			b.Tests[f]++
		}
	}
	return b
}

// probes says what the JSON calls probe_kind.
func (m *member) probes() string {
	for _, k := range m.kind {
		if k == detect.KindICMP || k == detect.KindARP {
			return strings.ToLower(k.String())
		}
	}
	return "link"
}
