// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"math"
	"slices"
	"sync/atomic"
	"time"
)

const ringSize = 1000

// ring keeps the last 1,000 durations in ns. One writer, any number of readers.
type ring struct {
	next  uint64 // writer only
	value [ringSize]atomic.Uint32
}

// add a duration; 0 is kept as 1 ns, because 0 is an empty place.
//
//go:nosplit
//go:norace
func (r *ring) add(ns int64) {
	r.value[r.next%ringSize].Store(saturate(ns))
	r.next++
}

//go:nosplit
//go:norace
func saturate(ns int64) uint32 {
	return uint32(min(max(ns, 1), int64(outcomeOutage)-1))
}

func (r *ring) quantiles() Quantiles {
	var values [ringSize]uint32
	n := 0
	for i := range r.value {
		if v := r.value[i].Load(); v != 0 {
			values[n] = v
			n++
		}
	}
	return quantiles(values[:n])
}

// quantiles sorts values.
func quantiles(values []uint32) Quantiles {
	if len(values) == 0 {
		return Quantiles{}
	}
	slices.Sort(values)
	at := func(q float64) time.Duration {
		i := int(math.Ceil(q*float64(len(values)))) - 1
		return time.Duration(values[max(i, 0)])
	}
	return Quantiles{N: len(values), P50: at(0.5), P99: at(0.99), P999: at(0.999)}
}
