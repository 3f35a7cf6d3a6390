// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"hash/fnv"
	"net/netip"
	"slices"
)

// Ids of nexthops and nexthop groups follow from what they are for, so that no memory is needed
// to find them again after a crash:
//
//	31      24 23   18  17     16     6 5    0
//	+---------+-------+------+---------+------+
//	|  'i'    | slot  |family| gateway | what |
//	+---------+-------+------+---------+------+
//
// gateway is 0 for on link, else 1 to 2047 by the hash of its address, or of all of them where a route
// has several (there are groups of those, and no device nexthops): an index into the file would, after a reload that inserts a route, re-point an id that is in use at another gateway.
// what is 0 to 31 for the member's device nexthop, or one of the groups.
const (
	idBase = 'i' << 24
	// idGroup is the group that routes go through.
	idGroup = 32
	// idStanding is the group of the standing second routes.
	idStanding = 33

	gateways = 2048
)

// nexthopID is the id of a nexthop: slot 0 to 63, family 0 or 1, gateway number (gatewayNumbers),
// what a member 0 to 31, idGroup or idStanding.
func nexthopID(slot, family, gateway, what int) uint32 {
	return uint32(idBase | slot<<18 | family<<17 | gateway<<6 | what)
}

// idFamily is the family of one of our ids, and whether it is one.
func idFamily(id uint32) (int, bool) {
	return int(id >> 17 & 1), id>>24 == idBase>>24
}

// gatewayKey is what the ways by one gateway, or by several, are numbered by.
func gatewayKey(via netip.Addr, over Hops) string {
	if over != "" {
		return string(over)
	}
	return string(via.AsSlice())
}

// gatewayNumbers numbers the gateways of one family of a group, by their keys. The number of each stays
// when others come and go, but for collisions, which are settled in the order of the keys.
func gatewayNumbers(keys []string) map[string]int {
	sorted := slices.Sorted(slices.Values(keys))
	taken := map[int]bool{0: true}
	numbers := make(map[string]int, len(sorted))
	for _, via := range slices.Compact(sorted) {
		h := fnv.New32a()
		h.Write([]byte(via))
		n := int(h.Sum32() % gateways)
		for taken[n] && len(taken) < gateways {
			n = (n + 1) % gateways
		}
		taken[n] = true
		numbers[via] = n
	}
	return numbers
}
