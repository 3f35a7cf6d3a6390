// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Support is what this kernel takes, found by trying it: programs and maps are loaded and closed
// again, nothing is attached or pinned.
type Support struct {
	// Programs is why the programs are refused; nil: they are not.
	Programs error
	// Timer: with bpf_timer.
	Timer bool
	// Carrier: the program that asks for a carrier without RTNL.
	Carrier bool
	// TCX is ebpf.ErrNotSupported before Linux 6.6, another error where it cannot be told.
	TCX error
}

// FindSupport tries. It needs the rights that Load needs.
func FindSupport() Support {
	var s Support
	o, err := Load(Options{})
	if err == nil {
		s.Timer = o.Timer
		o.Close()
	}
	s.Programs = err
	if c, err := OpenCarrier(); err == nil {
		s.Carrier = true
		_ = c.Close() // nothing to be done about it
	}
	_, s.TCX = queryTCX(loopback, ebpf.AttachTCXIngress)
	return s
}

// loopback is there in every network namespace, with this index.
const loopback = 1

// queryTCX lists programs of an interface; the error is ebpf.ErrNotSupported before Linux 6.6.
func queryTCX(ifindex int, at ebpf.AttachType) ([]link.AttachedProgram, error) {
	r, err := link.QueryPrograms(link.QueryOptions{Target: ifindex, Attach: at})
	switch {
	case errors.Is(err, unix.EINVAL):
		// The kernel does not know the kind of attachment.
		return nil, ebpf.ErrNotSupported
	case err != nil:
		return nil, err
	}
	return r.Programs, nil
}
