// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"github.com/vishvananda/netlink"
)

// Attached reports whether all programs are still on the interface. Others may take them off, and
// the kernel tells nobody.
func (a *Attachment) Attached() bool {
	return a.ingress.attached(a.Ifindex) && a.egress.attached(a.Ifindex) &&
		(a.multicast == nil || a.multicast.attached(a.Ifindex))
}

// Restore puts what was taken off an attachment on again. What is there goes on.
func (o *Objects) Restore(a *Attachment) error {
	for _, h := range []struct {
		hook *hook
		make func(int, Mode) (hook, error)
	}{{&a.ingress, o.ingressHook}, {&a.egress, o.egressHook}, {&a.multicast, o.multicastHook}} {
		if *h.hook == nil || (*h.hook).attached(a.Ifindex) {
			continue
		}
		// The pin of a dead link would be in the way; that it cannot be detached again is no news.
		_ = (*h.hook).detach()
		again, err := h.make(a.Ifindex, a.Mode)
		if err != nil {
			return err
		}
		*h.hook = again
	}
	return nil
}

// attached: a link that cannot be asked is taken to be there, as attaching again costs packets.
func (l bpfLink) attached(ifindex int) bool {
	if _, err := l.link.Info(); err != nil {
		return true
	}
	return linkIfindex(l.link) == ifindex
}

// attached: where the filters cannot be listed the filter is taken to be there.
func (f clsactFilter) attached(ifindex int) bool {
	device := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: ifindex}}
	filters, err := netlink.FilterList(device, f.parent)
	if err != nil {
		return true
	}
	for _, filter := range filters {
		b, ok := filter.(*netlink.BpfFilter)
		if ok && b.Handle == f.handle && b.Priority == clsactPriority {
			return true
		}
	}
	return false
}
