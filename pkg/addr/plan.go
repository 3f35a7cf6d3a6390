// SPDX-License-Identifier: Apache-2.0

package addr

// Plan returns the operations, in order, that turn what is on the host into what is desired;
// none when it is so already.
func Plan(d Desired, o Observed) []Op {
	return nil
}

// Neighbors returns the neighbour entries that the members lack (the mirror of detection.md
// section 7). Plan includes them; on neighbour news alone this is enough.
func Neighbors(d Desired, o Observed) []Op { return nil }

// SysctlKeys are the keys below /proc/sys that Observed.Sysctls must hold for these members.
func SysctlKeys(d Desired) []string { return nil }

// With returns the host after ops, as the kernel would have it; o is not changed.
func (o Observed) With(ops []Op) Observed { return o }

// After returns what is desired once a member has failed.
func After(d Desired, group, member, family int, owners []int) Desired { return d }
