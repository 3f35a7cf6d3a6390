// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// Mode is how the programs hang on a member (contract section 4, "attach").
type Mode string

// Modes of attaching. Egress is tcx or clsact with each of them.
const (
	ModeXDP        Mode = "xdp"
	ModeXDPGeneric Mode = "xdp-generic"
	ModeTCX        Mode = "tcx"
	ModeClsact     Mode = "clsact"
)

// Attachment keeps the programs on one member. It must be kept as long as they are to run; Close
// of an attachment that is pinned leaves them running, Detach takes them off.
type Attachment struct {
	Mode    Mode
	Ifindex int

	ingress, egress hook
	multicast       hook // beside XDP, where multicast is followed; else nil
}

// place is where one of the tc programs hangs on an interface.
type place struct {
	pin     string // in front of the interface index
	attach  ebpf.AttachType
	anchor  link.Anchor
	parent  uint32 // of a clsact filter
	handle  uint32
	program func(*Objects) *ebpf.Program // loaded late
}

var (
	atIngress = place{pinIngress, ebpf.AttachTCXIngress, link.Head(), netlink.HANDLE_MIN_INGRESS, clsactHandle,
		func(o *Objects) *ebpf.Program { return o.ingress }}
	atEgress = place{pinEgress, ebpf.AttachTCXEgress, link.Tail(), netlink.HANDLE_MIN_EGRESS, clsactHandle,
		func(o *Objects) *ebpf.Program { return o.egress }}
	atMulticast = place{pinMulticast, ebpf.AttachTCXIngress, link.Head(), netlink.HANDLE_MIN_INGRESS, clsactCast,
		func(o *Objects) *ebpf.Program { return o.multicast }}
)

func (p place) filter(ifindex int) clsactFilter {
	return clsactFilter{ifindex: ifindex, parent: p.parent, handle: p.handle}
}

// hook is one program on one interface.
type hook interface {
	update(*ebpf.Program) error
	close() error
	detach() error
	attached(ifindex int) bool
}

// Attach puts the programs on an interface, or, where a former run's pinned links are still on it,
// replaces their programs in place, so that no packet passes without them.
func (o *Objects) Attach(ifindex int, mode Mode) (*Attachment, error) {
	a := &Attachment{Mode: mode, Ifindex: ifindex}
	err := o.loadPrograms()
	if err == nil {
		err = o.repin()
	}
	if err != nil {
		return nil, err
	}
	// The kernel refuses the one kind of XDP while the other is there; all other kinds overlap, so
	// that no packet passes without us.
	switch mode {
	case ModeXDP:
		err = o.dropPins(ifindex, pinXDPGeneric)
	case ModeXDPGeneric:
		err = o.dropPins(ifindex, pinXDP)
	}
	if err != nil {
		return nil, err
	}
	if a.ingress, err = o.ingressHook(ifindex, mode); err != nil {
		return nil, err
	}
	if a.egress, err = o.egressHook(ifindex, mode); err != nil {
		_ = a.ingress.detach() // the first error counts
		return nil, err
	}
	if err := o.dropOthers(a); err != nil {
		return nil, err
	}
	return a, nil
}

func (o *Objects) ingressHook(ifindex int, mode Mode) (h hook, err error) {
	switch mode {
	case ModeTCX:
		h, err = o.tcx(ifindex, atIngress)
	case ModeClsact:
		h, err = o.clsact(ifindex, atIngress)
	case ModeXDP:
		h, err = o.xdpHook(ifindex, link.XDPDriverMode)
	case ModeXDPGeneric:
		h, err = o.xdpHook(ifindex, link.XDPGenericMode)
	default:
		return nil, fmt.Errorf("attach to interface %d: no such mode %q", ifindex, mode)
	}
	if err != nil {
		return nil, explain(fmt.Sprintf("attach %s ingress to interface %d", mode, ifindex), err)
	}
	return h, nil
}

func (o *Objects) egressHook(ifindex int, mode Mode) (hook, error) {
	return o.besideIngress(ifindex, mode, atEgress)
}

func (o *Objects) multicastHook(ifindex int, mode Mode) (hook, error) {
	return o.besideIngress(ifindex, mode, atMulticast)
}

// besideIngress are the programs that are tc programs in every mode.
func (o *Objects) besideIngress(ifindex int, mode Mode, at place) (h hook, err error) {
	if mode != ModeClsact {
		h, err = o.tcx(ifindex, at)
	}
	if mode == ModeClsact || errors.Is(err, ebpf.ErrNotSupported) {
		h, err = o.clsact(ifindex, at)
	}
	if err != nil {
		return nil, explain(fmt.Sprintf("attach %s to interface %d", at.pin, ifindex), err)
	}
	return h, nil
}

// Follow has the multicast of a member looked after, or not. Where the ingress program is a tc program it
// does that itself; XDP cannot give a packet to another member, and has a tc program beside it.
func (o *Objects) Follow(a *Attachment, on bool) error {
	if a.Mode == ModeTCX || a.Mode == ModeClsact {
		on = false
	}
	if on {
		if a.multicast != nil {
			return nil
		}
		h, err := o.multicastHook(a.Ifindex, a.Mode)
		if err == nil {
			a.multicast = h
		}
		return err
	}
	if a.multicast != nil {
		err := a.multicast.detach()
		a.multicast = nil
		return err
	}
	// A former run's.
	return errors.Join(o.dropPins(a.Ifindex, pinMulticast), atMulticast.filter(a.Ifindex).detach())
}

// dropOthers takes off what a former run attached in another mode.
func (o *Objects) dropOthers(a *Attachment) error {
	var errs []error
	for _, h := range []struct {
		have hook
		at   place
		pins []string
	}{
		{a.ingress, atIngress, []string{pinIngress, pinXDP, pinXDPGeneric}},
		{a.egress, atEgress, []string{pinEgress}},
	} {
		l, isLink := h.have.(bpfLink)
		if isLink {
			errs = append(errs, h.at.filter(a.Ifindex).detach())
		}
		for _, name := range h.pins {
			if !isLink || l.pin != o.pinOf(name, a.Ifindex) {
				errs = append(errs, o.dropPins(a.Ifindex, name))
			}
		}
	}
	return errors.Join(errs...)
}

// Names of pinned links, in front of the interface index.
const (
	pinIngress    = "ingress"
	pinEgress     = "egress"
	pinMulticast  = "multicast"
	pinXDP        = "xdp"
	pinXDPGeneric = "xdp-generic"
)

func (o *Objects) pinOf(name string, ifindex int) string {
	return filepath.Join(o.pins, fmt.Sprintf("%s-%d", name, ifindex))
}

// dropPins removes a pinned link, and with it its program, from an interface.
func (o *Objects) dropPins(ifindex int, name string) error {
	if o.pins == "" {
		return nil
	}
	return dropPin(o.pinOf(name, ifindex))
}

// AttachAuto attaches by tcx, or by clsact before kernel 6.6.
func (o *Objects) AttachAuto(ifindex int) (*Attachment, error) {
	a, err := o.Attach(ifindex, ModeTCX)
	if errors.Is(err, ebpf.ErrNotSupported) {
		return o.Attach(ifindex, ModeClsact)
	}
	return a, err
}

// Close lets go of the links: pinned ones, and clsact filters, go on working.
func (a *Attachment) Close() error {
	return errors.Join(a.ingress.close(), a.egress.close(), a.withMulticast(hook.close))
}

// Detach takes the programs off the interface.
func (a *Attachment) Detach() error {
	return errors.Join(a.ingress.detach(), a.egress.detach(), a.withMulticast(hook.detach))
}

func (a *Attachment) withMulticast(do func(hook) error) error {
	if a.multicast == nil {
		return nil
	}
	return do(a.multicast)
}

// Strip takes off an interface what a former run has attached to it.
func (o *Objects) Strip(ifindex int) error {
	var errs []error
	for _, name := range linkPins {
		errs = append(errs, o.dropPins(ifindex, name))
	}
	for _, at := range []place{atIngress, atEgress, atMulticast} {
		errs = append(errs, at.filter(ifindex).detach())
	}
	return errors.Join(errs...)
}

// Supersede lets an attachment go that another on the same interface has taken the place of.
func (o *Objects) Supersede(old, by *Attachment) error {
	errs := []error{o.supersede(old.ingress, by.ingress), o.supersede(old.egress, by.egress)}
	if old.multicast != nil {
		// Whether it is wanted is asked anew.
		errs = append(errs, old.multicast.detach())
		old.multicast = nil
	}
	return errors.Join(errs...)
}

func (o *Objects) supersede(old, by hook) error {
	_, was := old.(bpfLink)
	_, is := by.(bpfLink)
	// What is pinned is the same, or was taken off by Attach; so were filters, but for the same one.
	if o.pins != "" || !was && !is {
		return old.close()
	}
	return old.detach()
}

// bpfLink is a hook that is a BPF link, pinned where the objects are.
type bpfLink struct {
	link link.Link
	pin  string
}

func (l bpfLink) update(p *ebpf.Program) error { return l.link.Update(p) }
func (l bpfLink) close() error                 { return l.link.Close() }

func (l bpfLink) detach() error {
	var err error
	if l.pin != "" {
		if err = os.Remove(l.pin); errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	// Removing the pin alone works later, when the kernel has time; and not while others hold it.
	return errors.Join(err, l.link.Detach(), l.link.Close())
}

// adopt opens a pinned link and puts our program into it; a link whose interface is gone, and a pin that
// is no link, is removed, and nil returned.
func (o *Objects) adopt(name string, ifindex int, p *ebpf.Program) (hook, error) {
	if o.pins == "" {
		return nil, nil
	}
	path := o.pinOf(name, ifindex)
	l, err := link.LoadPinnedLink(path, nil)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		// No link: damaged, or somebody else's. Whatever it holds, it does not hang on the interface by it.
		o.discard(path, err)
		if err := os.RemoveAll(path); err != nil {
			return nil, fmt.Errorf("remove damaged pin: %w", err)
		}
		return nil, nil
	}
	if linkIfindex(l) == ifindex {
		if err := l.Update(p); err == nil {
			return bpfLink{link: l, pin: path}, nil
		}
	}
	if err := (bpfLink{link: l, pin: path}).detach(); err != nil {
		return nil, fmt.Errorf("remove stale link %s: %w", path, err)
	}
	return nil, nil
}

// linkIfindex is the interface that a link is on; 0 when it is gone.
func linkIfindex(l link.Link) int {
	info, err := l.Info()
	if err != nil {
		return 0
	}
	if t := info.TCX(); t != nil {
		return int(t.Ifindex)
	}
	if x := info.XDP(); x != nil {
		return int(x.Ifindex)
	}
	return 0
}

func (o *Objects) keep(l link.Link, name string, ifindex int) (hook, error) {
	if o.pins == "" {
		return bpfLink{link: l}, nil
	}
	path := o.pinOf(name, ifindex)
	if err := l.Pin(path); err != nil {
		l.Close()
		return nil, fmt.Errorf("pin link %s: %w", name, err)
	}
	return bpfLink{link: l, pin: path}, nil
}

func (o *Objects) tcx(ifindex int, at place) (hook, error) {
	p := at.program(o)
	if h, err := o.adopt(at.pin, ifindex, p); h != nil || err != nil {
		return h, err
	}
	l, err := link.AttachTCX(link.TCXOptions{Interface: ifindex, Program: p, Attach: at.attach, Anchor: at.anchor})
	if err != nil {
		return nil, err
	}
	return o.keep(l, at.pin, ifindex)
}

func (o *Objects) xdpHook(ifindex int, flags link.XDPAttachFlags) (hook, error) {
	name := pinXDP
	if flags == link.XDPGenericMode {
		name = pinXDPGeneric
	}
	if h, err := o.adopt(name, ifindex, o.xdp); h != nil || err != nil {
		return h, err
	}
	l, err := link.AttachXDP(link.XDPOptions{Program: o.xdp, Interface: ifindex, Flags: flags})
	if err != nil {
		return nil, err
	}
	return o.keep(l, name, ifindex)
}
