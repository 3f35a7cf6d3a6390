// SPDX-License-Identifier: Apache-2.0

package check

import "strings"

// Right is a capability and what is lost without it.
type Right struct {
	Name string
	Has  bool
	// Needed: `run` refuses to start without it.
	Needed bool
	Lost   string
}

// Rights of this process; they stand for those of `run` where both are started alike.
func Rights(rights []Right) []Finding {
	const about = "rights"
	var has []string
	var found []Finding
	for _, r := range rights {
		switch {
		case r.Has:
			has = append(has, r.Name)
		case r.Needed:
			found = append(found, failure(about, "no %s: no %s; `run` ends at once", r.Name, r.Lost).
				do("run it as root, or name "+r.Name+" in CapabilityBoundingSet= and AmbientCapabilities= of its unit"))
		default:
			found = append(found, warning(about, "no %s: %s", r.Name, r.Lost).
				do("name it in CapabilityBoundingSet= and AmbientCapabilities= of the unit, where this matters"))
		}
	}
	if len(has) > 0 {
		found = append([]Finding{ok(about, "%s", strings.Join(has, ", "))}, found...)
	}
	return found
}
