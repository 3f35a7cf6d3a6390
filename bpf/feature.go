// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// FeatureError says which right or kernel feature is missing, and what has it.
type FeatureError struct {
	// What was tried.
	What string
	// Needs is the capability or the kernel version that has it.
	Needs string
	Err   error
}

func (e *FeatureError) Error() string {
	return fmt.Sprintf("%s: %v; needs %s", e.What, e.Err, e.Needs)
}

func (e *FeatureError) Unwrap() error { return e.Err }

// explain turns an errno into what the operator can do about it. It is asked only after a failure.
func explain(what string, err error) error {
	switch {
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES):
		var verifier *ebpf.VerifierError
		if errors.As(err, &verifier) {
			return fmt.Errorf("%s: %w", what, err)
		}
		return &FeatureError{What: what, Needs: "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN (run as root)", Err: err}
	case errors.Is(err, ebpf.ErrNotSupported):
		return &FeatureError{What: what, Needs: "Linux 6.1 or newer (6.6 for tcx)", Err: err}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// ReasonName is a counter's name as in ipmp.h, without IPMP_R_, in lower case.
func ReasonName(r Reason) string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason_%d", r)
}

// reasonNames are in the order of enum ipmp_reason; a test compares them with the header.
var reasonNames = strings.Fields(`
not_member reply reply_duplicate reply_window reply_nonce reply_source reply_destination reply_magic
reply_unprobed short pull suspect cleared guard_cpu guard_targets guard_survivor last verdict raced
timer_init timer_start ring_full lookup egress_redirected egress_passed egress_nowhere egress_store
arp_filtered cast_carried cast_hidden cast_refused`)
