// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// compare the failovers of one address with those of all, on racks that follow each other in turn.
func compare(ctx context.Context, o options) error {
	few := o
	few.addrs, few.sink = 1, map[string][]time.Duration{}
	o.sink = map[string][]time.Duration{}
	few.only, o.only = "carrier,silent", "carrier,silent"
	for range o.blocks {
		for _, c := range []options{few, o} {
			if err := measure(ctx, c); err != nil {
				return fmt.Errorf("%d addresses: %w", c.addrs, err)
			}
		}
	}
	fmt.Printf("%d groups, %d members, 1 and %d addresses, detection-time %s, rate %d, in turn\n",
		o.groups, o.groups*o.members, o.groups*o.addrs, o.detection, o.rate)
	fmt.Printf("%-50s %9s %9s %9s %9s\n", "milliseconds", "n", "p50", "p99", "max")
	for _, name := range slices.Sorted(maps.Keys(o.sink)) {
		row(name+", 1", few.sink[name])
		row(fmt.Sprintf("%s, %d", name, o.addrs), o.sink[name])
		if a, b := median(few.sink[name]), median(o.sink[name]); a > 0 {
			fmt.Printf("%-50s %9s %9.2f\n", "  ratio", "", float64(b)/float64(a))
		}
	}
	return nil
}

func median(times []time.Duration) time.Duration {
	if len(times) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(times))[len(times)/2]
}
