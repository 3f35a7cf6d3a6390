// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"strings"
)

// Sysctl is one that `run` would set.
type Sysctl struct {
	Member   string // "": of the whole namespace
	Key      string // net/ipv4/conf/hme0/rp_filter
	From, To string
	Why      string
}

// Sysctls that `run` would set, those of several members in one line.
func Sysctls(list []Sysctl) []Finding {
	type row struct {
		Sysctl
		members []string
	}
	var rows []*row
	byText := map[string]*row{}
	for _, s := range list {
		member := s.Member
		s.Key, s.Member = pattern(s.Key, member), ""
		id := fmt.Sprint(s)
		r, seen := byText[id]
		if !seen {
			r = &row{Sysctl: s}
			byText[id] = r
			rows = append(rows, r)
		}
		if member != "" {
			r.members = append(r.members, member)
		}
	}
	var found []Finding
	for _, r := range rows {
		key := r.Key
		if len(r.members) > 0 {
			key = strings.Replace(key, "%", brace(r.members), 1)
		}
		found = append(found, note("sysctl", "`run` sets %s %s -> %s: else %s", key, r.From, r.To, r.Why))
	}
	return found
}

// pattern has % where the member was.
func pattern(key, member string) string {
	if member == "" {
		return key
	}
	return strings.Replace(key, "/"+member+"/", "/%/", 1)
}

// AllFacts are values of conf/all, and of members, that `run` does not write and that defeat it.
type AllFacts struct {
	// Values by key below /proc/sys, slashes throughout; absent: not there.
	Values map[string]int
	// Members that have no IPv4 address of their own, in groups that have IPv4 data addresses.
	Bare []string
	// IPv6 members are in groups with IPv6 data or test addresses.
	IPv6 []string
	// Members are all of them that exist.
	Members []string
}

// All is what stands against us in sysctls that are not ours to set.
func All(a AllFacts) []Finding {
	const about = "sysctl"
	var found []Finding
	value := func(family, ifname, name string) (string, int) {
		key := "net/" + family + "/conf/" + ifname + "/" + name
		return key, a.Values[key]
	}
	if key, v := value("ipv4", "all", "rp_filter"); v != 0 && len(a.Bare) > 0 {
		found = append(found, warning(about, "%s is %d: %s, without an IPv4 address of its own, drops what arrives for the group, and nothing that is set on it helps", key, v, brace(a.Bare)).
			do("set "+key+" to 0 (in /etc/sysctl.d), or give the member a test address"))
	}
	if key, v := value("ipv6", "all", "keep_addr_on_down"); v < 0 {
		found = append(found, warning(about, "%s is %d, which overrides members: `ip link set down` deletes their IPv6 addresses", key, v).
			do("set "+key+" to 0 (in /etc/sysctl.d)"))
	}
	var ignoring []string
	_, all := value("ipv4", "all", "arp_ignore")
	for _, m := range a.Members {
		if _, own := value("ipv4", m, "arp_ignore"); max(all, own) > 0 {
			ignoring = append(ignoring, m)
		}
	}
	if len(ignoring) > 0 {
		found = append(found, warning(about, "arp_ignore is set for %s: from a verdict until the address has moved (for ever, if the daemon dies in between) nobody answers ARP for it", brace(ignoring)).
			do("set arp_ignore to 0 on all and on members (in /etc/sysctl.d); ipmpd keeps ARP to the owner by itself"))
	}
	var off []string
	for _, m := range a.IPv6 {
		if _, own := value("ipv6", m, "disable_ipv6"); own > 0 {
			off = append(off, m)
		}
	}
	if len(off) > 0 {
		found = append(found, warning(about, "net/ipv6/conf/%s/disable_ipv6 is 1: the group's IPv6 addresses cannot be put there", brace(off)).
			do("set it to 0 (in /etc/sysctl.d), or take the IPv6 addresses out of the file"))
	}
	return found
}
