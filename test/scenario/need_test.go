// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"errors"
	"sync"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/ipmpd/ipmpd/bpf"
)

// lacksTCX: ./bpf makes sure that only kernels before 6.6 do.
var lacksTCX = sync.OnceValue(func() bool { return errors.Is(bpf.FindSupport().TCX, ebpf.ErrNotSupported) })

// needsTCX skips in words that the kernel matrix lists.
func needsTCX(t *testing.T) {
	t.Helper()
	if lacksTCX() {
		t.Skip("needs Linux 6.6: tcx")
	}
}
