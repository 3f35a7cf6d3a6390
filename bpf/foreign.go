// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Foreign is a program or filter of others on an interface.
type Foreign struct {
	// Hook is xdp, tcx ingress, tcx egress, tc ingress or tc egress.
	Hook string
	// Name of the program, or kind of the filter; "": it could not be read.
	Name string
	// ID of the program; 0: a filter that is none.
	ID uint32
}

func (f Foreign) String() string {
	text := f.Hook
	if f.Name != "" {
		text += " " + f.Name
	}
	if f.ID != 0 {
		text += fmt.Sprintf(" (program %d)", f.ID)
	}
	return text
}

// ForeignOn lists what others have on an interface; it changes nothing. pins is the daemon's folder
// on a bpffs, by which our own programs are known also to those who may not read a program's name
// (that takes CAP_SYS_ADMIN).
func ForeignOn(ifindex int, pins string) ([]Foreign, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	l, err := h.LinkByIndex(ifindex)
	if err != nil {
		return nil, fmt.Errorf("look at interface %d: %w", ifindex, err)
	}
	own := ownPrograms(ifindex, pins)
	var found []Foreign
	add := func(hook string, id uint32) {
		if name := programName(id); !own[id] && !ourName(name) {
			found = append(found, Foreign{Hook: hook, Name: name, ID: id})
		}
	}
	if x := l.Attrs().Xdp; x != nil && x.Attached {
		add("xdp", x.ProgId)
	}
	for _, t := range []struct {
		hook   string
		at     ebpf.AttachType
		parent uint32
	}{
		{"ingress", ebpf.AttachTCXIngress, netlink.HANDLE_MIN_INGRESS},
		{"egress", ebpf.AttachTCXEgress, netlink.HANDLE_MIN_EGRESS},
	} {
		programs, err := queryTCX(ifindex, t.at)
		if err != nil && !errors.Is(err, ebpf.ErrNotSupported) {
			return nil, fmt.Errorf("list tcx programs of interface %d: %w", ifindex, err)
		}
		for _, p := range programs {
			add("tcx "+t.hook, uint32(p.ID))
		}
		// An interface without the qdisc has no filters, which is an error on some kernels.
		filters, _ := h.FilterList(l, t.parent)
		for _, f := range filters {
			a := f.Attrs()
			if a.Priority == clsactPriority && ourHandle(a.Handle) || a.Handle == 0 {
				continue // ours; or the head of a list of filters
			}
			if b, ok := f.(*netlink.BpfFilter); ok {
				found = append(found, Foreign{Hook: "tc " + t.hook, Name: b.Name, ID: uint32(b.Id)})
				continue
			}
			found = append(found, Foreign{Hook: "tc " + t.hook, Name: f.Type()})
		}
	}
	return found, nil
}

// ourName is what the kernel keeps of the names in ipmp.bpf.c.
func ourName(name string) bool { return strings.HasPrefix(name, "ipmp_") }

// programName is the only thing here that opens by id, and it is done without where that is not permitted.
func programName(id uint32) string {
	p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return ""
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return ""
	}
	return info.Name
}

// ownPrograms are those of the daemon's pinned links.
func ownPrograms(ifindex int, pins string) map[uint32]bool {
	own := map[uint32]bool{}
	if pins == "" {
		return own
	}
	for _, name := range linkPins {
		l, err := link.LoadPinnedLink(filepath.Join(pins, fmt.Sprintf("%s-%d", name, ifindex)), nil)
		if err != nil {
			continue
		}
		if info, err := l.Info(); err == nil {
			own[uint32(info.Program)] = true
		}
		_ = l.Close() // it stays pinned
	}
	return own
}
