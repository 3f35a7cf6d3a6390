// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Filters are ours by this priority and handle together; others choose them at their peril.
const (
	clsactPriority = 49213
	clsactHandle   = 0x1b0d
	clsactCast     = 0x1b0e // of the multicast program, which stands beside XDP
	clsactName     = "ipmpd"
)

// clsactFilter is a hook on kernels before 6.6: a direct-action filter of the clsact qdisc. It has
// no link: it stays when the daemon ends, and is replaced in place.
type clsactFilter struct {
	ifindex int
	parent  uint32
	handle  uint32
}

func (o *Objects) clsact(ifindex int, at place) (hook, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	// Somebody else's clsact serves as well.
	if err := h.QdiscAdd(clsactQdisc(ifindex)); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("add clsact qdisc: %w", err)
	}
	f := at.filter(ifindex)
	if err := f.update(at.program(o)); err != nil {
		return nil, err
	}
	return f, nil
}

func clsactQdisc(ifindex int) *netlink.GenericQdisc {
	return &netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: ifindex, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
		QdiscType: "clsact",
	}
}

func (f clsactFilter) filter() *netlink.BpfFilter {
	return &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: f.ifindex, Parent: f.parent, Handle: f.handle,
			Priority: clsactPriority, Protocol: unix.ETH_P_ALL},
		Name:         clsactName,
		DirectAction: true,
	}
}

func (f clsactFilter) update(p *ebpf.Program) error {
	filter := f.filter()
	filter.Fd = p.FD()
	if err := netlink.FilterReplace(filter); err != nil {
		return fmt.Errorf("replace clsact filter: %w", err)
	}
	return nil
}

func (f clsactFilter) close() error { return nil }

// detach deletes the filter; the qdisc stays, for it may be in use by others.
func (f clsactFilter) detach() error {
	err := netlink.FilterDel(f.filter())
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("delete clsact filter: %w", err)
	}
	return nil
}
