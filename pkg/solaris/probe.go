// SPDX-License-Identifier: Apache-2.0

package solaris

import (
	"fmt"
	"strconv"
	"time"

	"github.com/ipmpd/ipmpd/pkg/control"
)

// Probe prints a probe, in the mode Probes. start is when the command began.
func (s *Stat) Probe(p *control.Probe, start time.Time) error {
	return s.print(&row{probe: p, since: max(0, p.Time.Sub(start).Nanoseconds())})
}

func (r *row) probeID() string { return strconv.FormatUint(uint64(r.probe.Probe), 10) }

// answered is a time that only answered probes have.
func (r *row) answered(ns *int64) string {
	if r.probe.State != control.ProbeAcked || ns == nil {
		return ""
	}
	return milliseconds(*ns)
}

func (r *row) target() string {
	if r.probe.Target == "" {
		return ""
	}
	return r.named(r.probe.Target)
}

// short is where times have another unit than Solaris gives them, which has none so short.
const short = int64(100 * time.Millisecond)

// seconds prints a time in seconds, a short one as 400us or 1.00ms.
func seconds(ns int64) string {
	if ns < short {
		return milliseconds(ns)
	}
	return fmt.Sprintf("%.2fs", float64(ns)/1e9)
}

// milliseconds prints a time in milliseconds, one below that as 400us.
func milliseconds(ns int64) string {
	if us := (ns + 500) / 1000; us < 1000 {
		return fmt.Sprintf("%dus", us)
	}
	return fmt.Sprintf("%.2fms", float64(ns)/1e6)
}
