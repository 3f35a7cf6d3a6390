// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"
)

// slower are rounds for a machine that executes one instruction a nanosecond, as the emulated one does: there,
// rounds of 100 us and three flows of 10 kHz take all of the processor.
func slower(binary string) (list []entrant) {
	for _, round := range []time.Duration{150 * time.Microsecond, 200 * time.Microsecond} {
		d := ipmpd{binary: binary, attach: "tcx", probe: "icmp", round: round, misses: 3}
		list = append(list, entrant{
			Name: "ipmpd-tcx-icmp-" + ascii(round), Family: "ipmpd", Interval: round,
			Settings: fmt.Sprintf("attach tcx, probe icmp, rounds of %s, 3 misses", ascii(round)),
			Subject:  func() (string, error) { return ipmpdSubject(binary) }, New: d.new,
		})
	}
	return list
}
