// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"strings"
)

// Route goes through a member, and does not follow the group.
type Route struct {
	Group string
	To    string // 198.51.100.0/24, "default"
	Over  []string
	Why   string
	// Daemon: it is a routing daemon's, who knows better than the file.
	Daemon bool
}

// Routes that stay, one line for those with the same reason. That a default route stays is a warning.
func Routes(list []Route) []Finding {
	var found []Finding
	seen := map[string]int{} // group and reason, to how many
	for _, r := range list {
		if r.To != "default" {
			seen[r.Group+" "+r.Why]++
		}
	}
	for _, r := range list {
		f := note("routes", "%s over %s stays, %s", r.To, brace(r.Over), r.Why)
		if r.To == "default" {
			f.Level = Warning
		} else {
			key := r.Group + " " + r.Why
			n := seen[key]
			delete(seen, key)
			if n == 0 {
				continue // said with the first
			}
			if n > 1 {
				f.Text += fmt.Sprintf(" (and %d more)", n-1)
			}
		}
		f.Text += ": what has no data address as its source does not leave by another member"
		if !r.Daemon && !strings.HasPrefix(r.Why, "of table") {
			f = f.do("write it under `routes:` of group " + r.Group + ", if it is to follow")
		}
		found = append(found, f)
	}
	return found
}
