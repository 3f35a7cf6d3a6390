// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"testing"

	"github.com/ipmpd/ipmpd/bpf"
)

// BenchmarkRound is all that one tick does for two members but for the NICs: sends are refused,
// because the interfaces do not exist. allocs/op is a gate (0), ns/op a report.
func BenchmarkRound(b *testing.B) {
	for _, members := range []int{2, 32} {
		b.Run(fmt.Sprint(members, " members"), func(b *testing.B) {
			p, err := New(Options{Instances: make([]bpf.Instance, bpf.Instances), Tracks: make([]bpf.Track, bpf.Tracks)})
			if err != nil {
				b.Skip(err)
			}
			defer p.Close()
			if err := p.Update(testPlan(members, 2)); err != nil {
				b.Fatal(err)
			}
			next := p.pass(p.plan.Load(), nil, nowNs())
			b.ReportAllocs()
			for b.Loop() {
				next = p.pass(p.plan.Load(), nil, next)
			}
		})
	}
}
