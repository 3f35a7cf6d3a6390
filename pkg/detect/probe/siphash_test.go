// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The vector of eight octets in the appendix of "SipHash: a fast short-input PRF".
func TestSipHash(t *testing.T) {
	k := sipKey{0x0706050403020100, 0x0f0e0d0c0b0a0908}
	require.EqualValues(t, uint64(0x93f5f5799a932462), k.nonce(0x0706050403020100))
}
