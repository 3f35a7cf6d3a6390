// SPDX-License-Identifier: Apache-2.0

package check

import "strings"

// Right is a capability and what is lost without it.
type Right struct {
	Name string
	Has  bool
	// Needed: `run` refuses to start without it.
	Needed bool
	// Lost is what it is needed for, or, of one that is not, what happens without it.
	Lost string
}

// Rights of this process; they stand for those of `run` where both are started alike.
func Rights(rights []Right) []Finding {
	const about = "rights"
	var has, needed []string
	var found []Finding
	for _, r := range rights {
		switch {
		case r.Has:
			has = append(has, r.Name)
		case r.Needed:
			needed = append(needed, r.Name+" ("+r.Lost+")")
		default:
			found = append(found, warning(about, "no %s: %s", r.Name, r.Lost).
				do("name it in CapabilityBoundingSet= and AmbientCapabilities= of the unit, where this matters"))
		}
	}
	if len(needed) > 0 {
		found = append([]Finding{failure(about, "no %s: `run` ends at once", strings.Join(needed, ", ")).
			do("run it as root, or name them in CapabilityBoundingSet= and AmbientCapabilities= of its unit")}, found...)
	}
	if len(has) > 0 {
		found = append([]Finding{ok(about, "%s", strings.Join(has, ", "))}, found...)
	}
	return found
}
