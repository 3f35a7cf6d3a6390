// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"

	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// second pulls the cable of the active member and, within a second, that of the one that took over:
// netlink alone would tell of it up to a second late. Judged is the second.
type second struct{ cut }

func (s *second) Strike(a *arena) (result.Sample, error) {
	first, err := a.fail(func() (int64, error) { return carrier(a, a.active) })
	if err != nil || first.Unrecovered {
		return first, err
	}
	in, out, err := a.carriers()
	if err != nil {
		return first, err
	}
	if len(in) != 1 || len(out) != 1 || in[0] != out[0] {
		return first, errors.New("after the first cut the traffic goes over " + names(in) + " and " + names(out))
	}
	a.active = in[0]
	return a.fail(func() (int64, error) { return carrier(a, a.active) })
}
