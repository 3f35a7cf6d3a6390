// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"

	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// The addresses of every lab: documentation prefixes, and the seed's last octets.
var (
	Router  = netip.MustParseAddr("192.0.2.1")
	Router6 = netip.MustParseAddr("2001:db8::1")
	Peer    = netip.MustParseAddr("192.0.2.100")
	Peer6   = netip.MustParseAddr("2001:db8::100")
	Far     = netip.MustParseAddr("198.51.100.100")
	Far6    = netip.MustParseAddr("2001:db8:1::100")
	Data    = netip.MustParseAddr("192.0.2.10")
	Data6   = netip.MustParseAddr("2001:db8::10")
)

// TestAddr of member i: 192.0.2.11 for the first.
func TestAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)}) }

// TestAddr6 of member i: 2001:db8::11 for the first.
func TestAddr6(i int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", 11+i))
}

// Options of a lab. The zero value is the seed's: two veth members, one switch, router and peer.
type Options struct {
	Members int // 1 .. 64, of which a group has at most 32; 0 means 2
	// Names of the members; those beyond its end are hme0, hme1, …
	Names []string
	// SecondSwitch is the number of members, the last ones, that hang on a second switch.
	SecondSwitch int
	// TwoHosts: the last member is not the host's but that of a second one, [Lab.Second].
	TwoHosts bool
	// Cables of the members; those beyond its end are veth.
	Cables []CableOptions
	// RouterCable: with TAP, [Lab.Stall] can hold the target's replies back.
	RouterCable CableOptions
	// Far adds 198.51.100.100 behind the router.
	Far bool
	// BPFFS is what the host's daemons have to pin their programs in.
	BPFFS BPFFS
	// Snooping leaves multicast snooping of the bridges on.
	Snooping bool
}

// Lab is a running topology.
type Lab struct {
	Host, Router, Peer *Netns
	Far                *Netns // nil without Options.Far
	Second             *Netns // nil without Options.TwoHosts
	Members            []*Member
	RouterPort         *faults.Port
	PeerPort           *faults.Port
	// Dir holds the lab's files: configurations, sockets, logs.
	Dir string

	id          string
	opts        Options
	spaces      []*Netns // all, in the order they were made
	switches    []*netSwitch
	routerCable cable
	index       int // of the next cable; see vethCable
	mounts      *mountNS
	ports       []*faults.Port
	daemons     []*Daemon
	rooms       []*Room
	closed      atomic.Bool
}

var labs atomic.Int32

// New builds a lab. It needs root. The caller closes it; [Start] does that for tests.
func New(opts Options) (*Lab, error) {
	if opts.Members == 0 {
		opts.Members = 2
	}
	if opts.Members < 1 || opts.Members > 64 || opts.SecondSwitch < 0 || opts.SecondSwitch > opts.Members {
		return nil, fmt.Errorf("lab: %d members, %d on the second switch: at most 64 and no more than there are", opts.Members, opts.SecondSwitch)
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("lab: needs root for network namespaces")
	}
	if err := Sweep(); err != nil {
		return nil, err
	}
	l := &Lab{id: fmt.Sprintf("%s%d-%d", prefix, os.Getpid(), labs.Add(1)), opts: opts, index: 101}
	if err := l.build(); err != nil {
		return nil, errors.Join(fmt.Errorf("build lab: %w", err), l.Close())
	}
	return l, nil
}

func (l *Lab) build() error {
	var err error
	if l.Dir, err = os.MkdirTemp("", l.id+"-"); err != nil {
		return err
	}
	if l.Host, err = l.space("host"); err != nil {
		return err
	}
	if l.mounts, err = newMountNS(l.Host, l.opts.BPFFS); err != nil {
		return err
	}
	if l.opts.TwoHosts {
		if l.Second, err = l.space("second"); err != nil {
			return err
		}
	}
	if err := l.buildSwitches(); err != nil {
		return err
	}
	if err := l.buildRouter(); err != nil {
		return err
	}
	if err := l.buildPeer(); err != nil {
		return err
	}
	for i := range l.opts.Members {
		if err := l.buildMember(i); err != nil {
			return err
		}
	}
	return nil
}

// space makes a namespace of this lab.
func (l *Lab) space(role string) (*Netns, error) {
	n, err := newNetns(l.id + "-" + role)
	if err != nil {
		return nil, err
	}
	l.spaces = append(l.spaces, n)
	return n, nil
}

// nextMAC gives each end of each cable an address of its own, stable over runs.
func (l *Lab) nextMAC(near bool) net.HardwareAddr {
	mac := net.HardwareAddr{0x02, 'i', 'p', 'm', 0, byte(l.index)}
	if near {
		mac[4] = 1
	}
	return mac
}

// plug joins an interface of a namespace to a switch and puts the fault programs on the port.
func (l *Lab) plug(ns *Netns, ifname string, mac net.HardwareAddr, sw *netSwitch, port string, opts CableOptions) (cable, *faults.Port, error) {
	near := end{sw.ns, port, l.nextMAC(true)}
	c, err := newCable(end{ns, ifname, mac}, near, l.index, opts)
	if err != nil {
		return nil, nil, err
	}
	l.index++
	p, err := sw.add(port)
	if err != nil {
		return nil, nil, errors.Join(err, c.close())
	}
	l.ports = append(l.ports, p)
	link, err := ns.Link(ifname)
	if err == nil {
		err = ns.Netlink.LinkSetUp(link)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("set %s up in %s: %w", ifname, ns.Name, err)
	}
	return c, p, l.classify(p)
}

// classify tells a port the seed's addresses; a test adds its own with Port.Classify.
func (l *Lab) classify(p *faults.Port) error {
	if err := p.Classify(faults.Data, Data, Data6); err != nil {
		return err
	}
	for i := range l.opts.Members {
		if err := p.Classify(faults.Test, TestAddr(i), TestAddr6(i)); err != nil {
			return err
		}
	}
	return nil
}

// Classify gives addresses a class on all ports; see [faults.Port.Classify].
func (l *Lab) Classify(c faults.Class, addrs ...netip.Addr) error {
	var errs []error
	for _, p := range l.ports {
		errs = append(errs, p.Classify(c, addrs...))
	}
	return errors.Join(errs...)
}

// Strays are the frames that came to the switch from a test address and were neither probes nor what
// else an interface says to its link; see [faults.Stray]. With reset they are counted from now on.
func (l *Lab) Strays(reset bool) (n uint64, err error) {
	for _, p := range l.ports {
		c, err := p.Count(faults.From, faults.Stray)
		if err == nil && reset {
			err = p.Reset(faults.From, faults.Stray)
		}
		if err != nil {
			return 0, err
		}
		n += c.Packets
	}
	return n, nil
}

// Close ends the daemons and removes everything. A second call does nothing.
func (l *Lab) Close() error {
	if l.closed.Swap(true) {
		return nil
	}
	var errs []error
	for _, d := range l.daemons {
		errs = append(errs, d.Kill())
	}
	for _, r := range l.rooms {
		errs = append(errs, r.close())
	}
	for _, p := range l.ports {
		errs = append(errs, p.Close())
	}
	for _, m := range l.Members {
		if m.cable != nil {
			errs = append(errs, m.cable.close())
		}
	}
	if l.routerCable != nil {
		errs = append(errs, l.routerCable.close())
	}
	if l.mounts != nil {
		errs = append(errs, l.mounts.close())
	}
	for _, n := range l.spaces {
		errs = append(errs, n.close())
	}
	if l.Dir != "" {
		errs = append(errs, os.RemoveAll(l.Dir))
	}
	return errors.Join(errs...)
}
