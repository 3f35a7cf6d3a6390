// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Port is the switch's side of one cable.
type Port struct {
	objects faultObjects
	links   []link.Link

	mu    sync.Mutex
	rules int
	armed int64
}

// Attach puts the programs on an interface of the calling thread's network namespace.
func Attach(ifindex int) (*Port, error) {
	p := &Port{}
	if err := loadFaultObjects(&p.objects, nil); err != nil {
		return nil, fmt.Errorf("load fault programs: %w", err)
	}
	for _, a := range []struct {
		program *ebpf.Program
		attach  ebpf.AttachType
	}{
		{p.objects.FaultFrom, ebpf.AttachTCXIngress},
		{p.objects.FaultTo, ebpf.AttachTCXEgress},
	} {
		l, err := link.AttachTCX(link.TCXOptions{Interface: ifindex, Program: a.program, Attach: a.attach})
		if errors.Is(err, ebpf.ErrNotSupported) {
			err = clsact(ifindex, a.program, a.attach == ebpf.AttachTCXIngress)
		} else if err == nil {
			p.links = append(p.links, l)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("attach %s: %w", a.attach, err), p.Close())
		}
	}
	return p, nil
}

// clsact is for kernels before 6.6: a filter, which goes with its interface.
func clsact(ifindex int, program *ebpf.Program, ingress bool) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	qdisc := &netlink.GenericQdisc{QdiscType: "clsact", QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: ifindex, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}}
	if err := h.QdiscAdd(qdisc); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add clsact: %w", err)
	}
	parent := uint32(netlink.HANDLE_MIN_EGRESS)
	if ingress {
		parent = netlink.HANDLE_MIN_INGRESS
	}
	return h.FilterAdd(&netlink.BpfFilter{FilterAttrs: netlink.FilterAttrs{
		LinkIndex: ifindex, Parent: parent, Handle: 1, Priority: 1, Protocol: unix.ETH_P_ALL},
		Fd: program.FD(), Name: "faults", DirectAction: true})
}

// Close takes the programs off.
func (p *Port) Close() error {
	var errs []error
	for _, l := range p.links {
		errs = append(errs, l.Close())
	}
	return errors.Join(append(errs, p.objects.Close())...)
}

// Set replaces the rules in force; none is a sound cable. All of them come into force at once.
func (p *Port) Set(rules ...Rule) error {
	if len(rules) > int(faultFaultLimitFAULT_RULES) {
		return fmt.Errorf("set %d rules: at most %d", len(rules), faultFaultLimitFAULT_RULES)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.objects.Armed.Put(uint32(0), uint32(0)); err != nil {
		return fmt.Errorf("disarm: %w", err)
	}
	p.rules = len(rules)
	if len(rules) == 0 {
		return nil
	}
	for i, r := range rules {
		err := p.objects.Rules.Put(uint32(i), &faultFaultRule{
			Direction: uint8(r.Direction), Match: uint8(r.Match.kind), Type: r.Match.arg,
			Kind: uint32(r.kind), Param: r.param, Param2: r.param2,
		})
		if err != nil {
			return fmt.Errorf("write rule %d: %w", i, err)
		}
	}
	p.armed = Now()
	if err := p.objects.Armed.Put(uint32(0), uint32(1)<<len(rules)-1); err != nil {
		return fmt.Errorf("arm: %w", err)
	}
	return nil
}

// Cut silently loses everything in both directions; the carrier stays.
func (p *Port) Cut() error { return p.Set(Both(Drop, Any())...) }

// Heal ends all faults of the port.
func (p *Port) Heal() error { return p.Set() }

// Armed is the CLOCK_MONOTONIC time in ns just before the rules of the last Set came into force.
func (p *Port) Armed() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.armed
}

// States of the rules of the last Set, in its order.
func (p *Port) States() ([]State, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	states := make([]State, p.rules)
	for i := range states {
		var r faultFaultRule
		if err := p.objects.Rules.Lookup(uint32(i), &r); err != nil {
			return nil, fmt.Errorf("read rule %d: %w", i, err)
		}
		states[i] = State{First: int64(r.FirstNs), Last: int64(r.LastNs), Matched: r.Matched, Dropped: r.Dropped}
	}
	return states, nil
}

// CutAt is the CLOCK_MONOTONIC time in ns of the first frame that any rule in force dropped, 0
// while there is none: the moment of the cut, stamped by the program that drops.
func (p *Port) CutAt() (int64, error) {
	states, err := p.States()
	first := int64(0)
	for _, s := range states {
		if s.First != 0 && (first == 0 || s.First < first) {
			first = s.First
		}
	}
	return first, err
}

// Classify gives addresses a class; [Other] takes them out of theirs.
func (p *Port) Classify(c Class, addrs ...netip.Addr) error {
	for _, a := range addrs {
		var err error
		if key := a.As16(); c == Other {
			err = p.objects.Classes.Delete(&key)
			if errors.Is(err, ebpf.ErrKeyNotExist) {
				err = nil
			}
		} else {
			err = p.objects.Classes.Put(&key, uint32(c))
		}
		if err != nil {
			return fmt.Errorf("classify %s: %w", a, err)
		}
	}
	return nil
}

// Count reads one counter.
func (p *Port) Count(d Direction, s Slot) (Count, error) {
	var c faultFaultCount
	key := uint32(d)*uint32(faultFaultSlotFAULT_DIRECTION) + uint32(s)
	if err := p.objects.Counts.Lookup(key, &c); err != nil {
		return Count{}, fmt.Errorf("read counter %d: %w", key, err)
	}
	return Count{Packets: c.Packets, Bytes: c.Bytes, First: int64(c.FirstNs), Last: int64(c.LastNs)}, nil
}

// Reset sets counters of one direction to zero, so that their First is that of the next frame.
func (p *Port) Reset(d Direction, slots ...Slot) error {
	for _, s := range slots {
		key := uint32(d)*uint32(faultFaultSlotFAULT_DIRECTION) + uint32(s)
		if err := p.objects.Counts.Put(key, &faultFaultCount{}); err != nil {
			return fmt.Errorf("reset counter %d: %w", key, err)
		}
	}
	return nil
}

// Now is CLOCK_MONOTONIC in ns: the clock of all stamps here.
func Now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // cannot fail: the clock exists and ts is ours
	}
	return ts.Nano()
}
