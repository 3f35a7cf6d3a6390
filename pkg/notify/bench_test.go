// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"context"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkStop is how long Go's collector waits until the threads of the process stand still, while
// /bin/true is run again and again: by nobody, by the process itself, by the helper. Every thread of the
// daemon, the prober too, waits as long.
func BenchmarkStop(b *testing.B) {
	ask := request{Program: "/bin/true", Event: "a", Limit: Limit}
	b.Run("nothing", func(b *testing.B) { stops(b, func(context.Context) {}) })
	b.Run("in process", func(b *testing.B) { stops(b, func(ctx context.Context) { run(ctx, ask) }) })
	b.Run("helper", func(b *testing.B) {
		h, err := startHelper()
		require.NoError(b, err)
		defer h.stop()
		stops(b, func(ctx context.Context) { _, _ = h.ask(ctx, ask) })
	})
}

func stops(b *testing.B, again func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			again(ctx)
			time.Sleep(time.Millisecond)
		}
	}()
	const name = "/sched/pauses/stopping/gc:seconds"
	read := func() *metrics.Float64Histogram {
		s := []metrics.Sample{{Name: name}}
		metrics.Read(s)
		h := s[0].Value.Float64Histogram()
		h.Counts = append([]uint64{}, h.Counts...)
		return h
	}
	before := read()
	for b.Loop() {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	after := read()
	cancel()
	<-ended
	total := uint64(0)
	for i := range after.Counts {
		after.Counts[i] -= before.Counts[i]
		total += after.Counts[i]
	}
	// The upper end of the bucket that the share falls into.
	quantile := func(share float64) float64 {
		seen := uint64(0)
		for i, n := range after.Counts {
			if seen += n; n > 0 && float64(seen) >= share*float64(total) {
				return after.Buckets[i+1] * 1e6
			}
		}
		return 0
	}
	b.ReportMetric(quantile(0.5), "p50-us")
	b.ReportMetric(quantile(0.99), "p99-us")
	b.ReportMetric(quantile(1), "max-us")
	b.ReportMetric(float64(total), "stops")
}
