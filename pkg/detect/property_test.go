// SPDX-License-Identifier: Apache-2.0

package detect

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever happens: no finding repeats what is known, and while a member answers some is usable.
func TestTrackerProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHost(t, rapid.IntRange(1, 3).Draw(t, "members"), func(s *Settings) {
			s.FlapLimit = rapid.IntRange(0, 2).Draw(t, "flap")
			s.HoldDown = time.Duration(rapid.IntRange(0, 1).Draw(t, "hold")) * time.Minute
		})
		failed := map[int]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"rounds": func(t *rapid.T) {
				by := rapid.SliceOfNDistinct(rapid.IntRange(0, len(h.samples)-1), 0, 3, rapid.ID[int]).Draw(t, "by")
				by = slices.DeleteFunc(by, func(m int) bool { return h.samples[m].Link == LinkDown })
				d := rapid.SampledFrom([]time.Duration{1, 5, 200, 2500}).Draw(t, "ms") * time.Millisecond
				h.run(d, by...)
				armed := true
				for _, s := range h.samples {
					armed = armed && h.tracker.Limit(s.Member, IPv4) > 0
				}
				if d >= 5*time.Millisecond && len(by) > 0 && armed {
					usable := slices.ContainsFunc(by, func(m int) bool { return h.tracker.Usable(m, IPv4) })
					if !usable {
						t.Fatalf("members %v answer, none of them is usable", by)
					}
				}
			},
			"verdict": func(t *rapid.T) {
				m := rapid.IntRange(0, len(h.samples)-1).Draw(t, "member")
				if h.tracker.Usable(m, IPv4) {
					h.tracker.Verdict(h.now, m, IPv4, true)
					failed[m] = true
				}
			},
			"link": func(t *rapid.T) {
				s := &h.samples[rapid.IntRange(0, len(h.samples)-1).Draw(t, "member")]
				s.Link = rapid.SampledFrom([]Link{LinkUp, LinkDown}).Draw(t, "link")
			},
			"": func(t *rapid.T) {
				for _, f := range h.findings {
					switch f.Kind {
					case FindRepaired:
						if !failed[f.Member] {
							t.Fatalf("repaired %d, which had not failed", f.Member)
						}
						failed[f.Member] = false
					case FindFailed:
						failed[f.Member] = true
					case FindGroupFailed:
						for m := range h.samples {
							failed[m] = true
						}
					}
				}
				h.findings = nil
			},
		})
	})
}
