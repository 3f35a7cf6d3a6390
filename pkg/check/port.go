// SPDX-License-Identifier: Apache-2.0

package check

import "slices"

// virtual are drivers of interfaces whose port belongs to a hypervisor or a cloud, and what drops there
// the packets of an address that has moved.
var virtual = map[string]string{
	"virtio_net":   "anti-spoofing of the host (libvirt's no-ip-spoofing, OpenStack's port security)",
	"vmxnet3":      "the virtual switch's security policy, or SpoofGuard",
	"hv_netvsc":    "the virtual switch's or the cloud's anti-spoofing",
	"xen_netfront": "the host's anti-spoofing",
	"ena":          "the cloud's check of sources",
	"gve":          "the cloud's check of sources",
	"iavf":         "the host's anti-spoofing for virtual functions",
	"ixgbevf":      "the host's anti-spoofing for virtual functions",
	"igbvf":        "the host's anti-spoofing for virtual functions",
}

// Ports says what nobody can see from here: whether the other end of each member accepts an address that
// was behind another port a moment ago. MACs stay; it is IP and ARP that move.
func Ports(drivers []Driver) []Finding {
	if len(drivers) == 0 {
		return nil
	}
	var found []Finding
	var seen []string
	for _, d := range drivers {
		what, known := virtual[d.Name]
		if !known || slices.Contains(seen, d.Name) {
			continue
		}
		seen = append(seen, d.Name)
		var on []string
		for _, other := range drivers {
			if other.Name == d.Name {
				on = append(on, other.Member)
			}
		}
		found = append(found, note("switch", "%s, driver %s: %s may drop what has an address that was not given to this port, and a move is silent then", brace(on), d.Name, what).
			do("allow the data addresses on the ports of all members (allowed address pairs, secondary addresses), then try: ipmpd offline IF"))
	}
	if len(seen) == 0 {
		found = append(found, note("switch", "not seen from here: whether its ports accept an address that moves (IP source guard, ARP inspection, port security with sticky entries)").
			do("try: ipmpd offline IF, and pull a cable"))
	}
	return found
}
