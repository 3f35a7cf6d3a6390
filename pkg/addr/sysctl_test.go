// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The policy of the namespace is set for any group that wants it, and only where it is another.
func TestHashPolicy(t *testing.T) {
	for _, row := range []struct {
		name           string
		wanted         bool
		v4, v6         string // before; "" where the kernel has none
		want4, want6   string
		changes, reads int
	}{
		{"not wanted", false, "0", "0", "0", "0", 0, 0},
		{"a fresh host", true, "0", "0", "1", "1", 2, 2},
		{"one is right", true, "1", "0", "1", "1", 1, 2},
		{"both are right", true, "1", "1", "1", "1", 0, 2},
		{"inner headers told flows apart", true, "2", "3", "1", "1", 2, 2},
		{"a kernel without IPv6", true, "0", "", "1", "", 1, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, k := pair()
			k.run(t, Plan(d, k.observed()))
			d.Groups = append(d.Groups, Group{Slot: 1, SpreadL4: row.wanted})
			for i, value := range []string{row.v4, row.v6} {
				if value != "" {
					k.sysctls[hashPolicies[i]] = value
				}
			}
			ops := Plan(d, k.observed())
			k.run(t, ops)
			require.Len(t, ops, row.changes)
			require.Equal(t, row.want4, k.sysctls[hashPolicies[0]])
			require.Equal(t, row.want6, k.sysctls[hashPolicies[1]])
			require.Empty(t, Plan(d, k.observed()))

			reads := 0
			for _, key := range SysctlKeys(d) {
				if key == hashPolicies[0] || key == hashPolicies[1] {
					reads++
				}
			}
			require.Equal(t, row.reads, reads)
		})
	}
}
