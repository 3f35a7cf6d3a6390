// SPDX-License-Identifier: Apache-2.0

package fakehost

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/addr"
)

// Fault is how a message, or all that are sent with it, comes to nothing.
type Fault int

// Faults.
const (
	None Fault = iota
	// Refused: not performed, and the answer says so.
	Refused
	// Lost: performed, like all that are sent with it; the answers are lost.
	Lost
	// Unsent: of what is sent together nothing is performed.
	Unsent
	// Cut: what comes before it is performed, it and the rest are not; the answers are lost.
	Cut
)

// Host is the state, with what shall fail. It is not safe for concurrent use.
type Host struct {
	// Fault is asked before each operation; nil: none fails. Refusal is the error of those Refused.
	Fault   func(op *addr.Op) Fault
	Refusal unix.Errno
	// Done is told of each operation that was performed, or was done already; nil: nobody is.
	Done func(op *addr.Op)
	// Failures counts what was answered with an error, or not at all.
	Failures int

	r *addr.Rehearsal
}

// New host as it was found.
func New(o addr.Observed) *Host { return &Host{r: addr.Rehearse(o), Refusal: unix.EBUSY} }

// Observed is the host as a complete snapshot shows it.
func (h *Host) Observed() addr.Observed {
	o := h.r.Observed()
	o.Sysctls = maps.Clone(o.Sysctls)
	return o
}

// Exchange implements addr.Kernel.
func (h *Host) Exchange(messages []byte, failed func(i int, err error)) {
	list := split(messages)
	ops, faults := make([]addr.Op, len(list)), make([]Fault, len(list))
	all := func(err error) {
		for i := range list {
			h.Failures++
			failed(i, err)
		}
	}
	lost, cut := false, len(list)
	for i := range list {
		var err error
		if ops[i], err = understand(list[i]); err != nil {
			panic(err)
		}
		if h.Fault != nil {
			faults[i] = h.Fault(&ops[i])
		}
		switch faults[i] {
		case Unsent:
			all(fmt.Errorf("send to the kernel: %w", unix.ENOBUFS))
			return
		case Cut:
			lost, cut = true, min(cut, i)
		case Lost:
			lost = true
		}
	}
	errs := make([]error, len(list))
	for i := range ops {
		switch {
		case i >= cut:
		case faults[i] == Refused:
			errs[i] = h.Refusal
		default:
			errs[i] = h.do(&ops[i])
		}
	}
	if lost {
		all(fmt.Errorf("%w: %w", addr.ErrNoAnswer, unix.EAGAIN))
		return
	}
	for i, err := range errs {
		if err != nil {
			h.Failures++
			failed(i, err)
		}
	}
}

// Do implements addr.Kernel.
func (h *Host) Do(op *addr.Op) error {
	if h.Fault != nil {
		if fault := h.Fault(op); fault == Refused || fault == Unsent || fault == Cut {
			h.Failures++
			return h.Refusal
		}
	}
	return h.do(op)
}

// Close implements addr.Kernel.
func (h *Host) Close() error { return nil }

// do answers as the kernel does: what is gone already has its own errors.
func (h *Host) do(op *addr.Op) error {
	err := h.r.Do(op)
	if h.Done != nil {
		h.Done(op)
	}
	if err == nil {
		return nil
	}
	gone := map[addr.Kind]unix.Errno{addr.DeleteAddress: unix.EADDRNOTAVAIL, addr.DeleteRoute: unix.ESRCH,
		addr.DeleteNexthop: unix.ENOENT, addr.DeleteNeighbor: unix.ENOENT}
	if errno, known := gone[op.Kind]; known {
		return fmt.Errorf("%w (%w)", errno, err)
	}
	if !slices.ContainsFunc(h.r.Observed().Links, func(l addr.HostLink) bool { return l.Index == op.Link }) && op.Link != 0 {
		return fmt.Errorf("%w (%w)", unix.ENODEV, err)
	}
	return fmt.Errorf("%w (%w)", unix.EINVAL, err)
}

// By others than ipmpd: an operation as theirs, which may come to nothing.
func (h *Host) By(op addr.Op) { _ = h.r.Do(&op) }

// Add an address as `ip addr add` of an administrator does, with its connected route.
func (h *Host) Add(link int, prefix netip.Prefix) {
	h.By(addr.Op{Kind: addr.RestoreAddress, Link: link, Prefix: prefix, Flags: unix.IFA_F_PERMANENT})
}

// Where are the links that have an address.
func (h *Host) Where(ip netip.Addr) (links []int) {
	for _, a := range h.r.Observed().Addresses {
		if a.Prefix.Addr() == ip {
			links = append(links, a.Link)
		}
	}
	return links
}

// change what no operation changes.
func (h *Host) change(f func(o *addr.Observed)) {
	o := h.Observed()
	o.Links = slices.Clone(o.Links)
	f(&o)
	h.r = addr.Rehearse(o)
}

// SetCarrier of a link. Without, the kernel flushes the nexthops over it.
func (h *Host) SetCarrier(link int, carrier bool) {
	if !carrier {
		h.flush(link)
	}
	h.change(func(o *addr.Observed) {
		for i := range o.Links {
			if o.Links[i].Index == link {
				o.Links[i].Carrier = carrier
			}
		}
	})
}

func (h *Host) flush(link int) {
	for _, n := range h.r.Observed().Nexthops {
		if len(n.Hops) == 0 && n.Link == link {
			h.By(addr.Op{Kind: addr.DeleteNexthop, ID: n.ID})
		}
	}
}

// Remove a link, with all that is on it.
func (h *Host) Remove(link int) {
	h.flush(link)
	for _, a := range h.r.Observed().Addresses {
		if a.Link == link {
			h.By(addr.Op{Kind: addr.DeleteAddress, Link: link, Prefix: a.Prefix})
		}
	}
	h.change(func(o *addr.Observed) {
		o.Links = slices.DeleteFunc(o.Links, func(l addr.HostLink) bool { return l.Index == link })
		o.Routes = slices.DeleteFunc(o.Routes, func(r addr.HostRoute) bool { return r.NHID == 0 && r.Link == link })
		o.Neighbors = slices.DeleteFunc(o.Neighbors, func(n addr.HostNeighbor) bool { return n.Link == link })
	})
}

// Appear: a link, or one anew; its sysctls are as given.
func (h *Host) Appear(l addr.HostLink, sysctls map[string]string) {
	h.change(func(o *addr.Observed) {
		o.Links = append(o.Links, l)
		maps.Copy(o.Sysctls, sysctls)
	})
}
