// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"
)

// slower are rounds for a machine that executes one instruction a nanosecond, as the emulated one does: there,
// rounds of 100 us and three flows of 10 kHz take all of the one processor. Elsewhere they would tell nothing more.
func slower(binary string) (list []entrant) {
	for _, m := range []struct {
		round  time.Duration
		misses int
	}{{150 * time.Microsecond, 3}, {150 * time.Microsecond, 2}, {200 * time.Microsecond, 2}} {
		d := ipmpd{binary: binary, attach: "tcx", probe: "icmp", round: m.round, misses: m.misses}
		e := entrant{
			Name: "ipmpd-tcx-icmp-" + ascii(m.round), Family: "ipmpd", Interval: m.round, Alone: true,
			Settings: fmt.Sprintf("attach tcx, probe icmp, rounds of %s, %d misses", ascii(m.round), m.misses),
			Subject:  func() (string, error) { return ipmpdSubject(binary) }, New: d.new,
		}
		// In place of rounds of 100 us, which play all scenarios elsewhere.
		e.Full = m.misses == 3
		if m.misses != 3 {
			e.Name += fmt.Sprintf("-%d-misses", m.misses)
		}
		list = append(list, e)
	}
	return list
}
