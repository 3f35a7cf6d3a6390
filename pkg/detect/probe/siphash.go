// SPDX-License-Identifier: Apache-2.0

package probe

import "math/bits"

// sipKey makes nonces: SipHash-2-4 of a counter, which nobody can foretell who does not have the
// key. crypto/rand and math/rand are not for a thread outside Go's scheduler.
type sipKey struct{ k0, k1 uint64 }

//go:nosplit
//go:norace
func (k *sipKey) nonce(counter uint64) uint64 {
	v0, v1, v2, v3 := k.k0^0x736f6d6570736575, k.k1^0x646f72616e646f6d, k.k0^0x6c7967656e657261, k.k1^0x7465646279746573
	for _, word := range [2]uint64{counter, 8 << 56} { // the message, then its length
		v3 ^= word
		for range 2 {
			v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		}
		v0 ^= word
	}
	v2 ^= 0xff
	for range 4 {
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	}
	return v0 ^ v1 ^ v2 ^ v3
}

//go:nosplit
//go:norace
func sipRound(v0, v1, v2, v3 uint64) (uint64, uint64, uint64, uint64) {
	v0 += v1
	v1 = bits.RotateLeft64(v1, 13) ^ v0
	v0 = bits.RotateLeft64(v0, 32)
	v2 += v3
	v3 = bits.RotateLeft64(v3, 16) ^ v2
	v0 += v3
	v3 = bits.RotateLeft64(v3, 21) ^ v0
	v2 += v1
	v1 = bits.RotateLeft64(v1, 17) ^ v2
	v2 = bits.RotateLeft64(v2, 32)
	return v0, v1, v2, v3
}
