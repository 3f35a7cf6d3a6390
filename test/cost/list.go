// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// numbers is a flag: 2,8,64.
type numbers []int

func (n *numbers) String() string { return fmt.Sprint(*n) }

// Set is of flag.Value.
func (n *numbers) Set(text string) error {
	*n = nil
	for field := range strings.SplitSeq(text, ",") {
		v, err := strconv.Atoi(field)
		if err != nil || v < 1 {
			return fmt.Errorf("%q is no number above 0", field)
		}
		*n = append(*n, v)
	}
	return nil
}

// durations is a flag: 250us,1ms.
type durations []time.Duration

func (d *durations) String() string { return fmt.Sprint(*d) }

// Set is of flag.Value.
func (d *durations) Set(text string) error {
	*d = nil
	for field := range strings.SplitSeq(text, ",") {
		v, err := time.ParseDuration(field)
		if err != nil {
			return err
		}
		*d = append(*d, v)
	}
	return nil
}
