// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"strings"
)

// Link is an interface that is a member.
type Link struct {
	Name, Group string
	MAC         [6]byte
	// Foreign addresses: neither named by the file nor link-local.
	Foreign []string
	// Programs of others: "tcx ingress cil_from_netdev (program 17)".
	Programs []string
	// Uppers are interfaces that were made on it: "hme0.100 (vlan)".
	Uppers []string
}

// Links is what is on members that should be known.
func Links(links []Link) []Finding {
	var found []Finding
	for i, l := range links {
		for _, other := range links[:i] {
			if other.MAC == l.MAC && l.MAC != ([6]byte{}) && other.Group == l.Group {
				found = append(found, warning(l.Name, "has the MAC of %s, %s: `run` keeps one of the two out of service, as the switch sends to whichever it heard last", other.Name, mac(l.MAC)).
					do(fmt.Sprintf("give it one of its own: ip link set %s address ...", l.Name)))
				break
			}
		}
		if len(l.Foreign) > 0 {
			found = append(found, note(l.Name, "foreign address %s: it does not move, and is never touched", strings.Join(l.Foreign, ", ")).
				do("name it under `addresses:` to have it move"))
		}
		if len(l.Uppers) > 0 {
			found = append(found, note(l.Name, "carries %s: what is on them does not move, and a failure of %s is not seen for them", strings.Join(l.Uppers, ", "), l.Name).
				do("make a group of such interfaces of all members, where their addresses are to move"))
		}
		if len(l.Programs) > 0 {
			found = append(found, note(l.Name, "foreign program %s: it stays, and sees only packets of its own member", strings.Join(l.Programs, ", ")))
		}
	}
	return found
}

func mac(m [6]byte) string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}
