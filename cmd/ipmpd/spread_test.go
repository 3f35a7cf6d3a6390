// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
)

func TestSpreadSetsTheHashPolicy(t *testing.T) {
	for spread, want := range map[string]string{"true": "0 0", "l4": "1 1"} {
		t.Run(spread, func(t *testing.T) {
			l, binary := startLab(t, lab.Options{})
			policy := func() (string, error) {
				var values []string
				err := l.Host.Do(func() error {
					for _, family := range []string{"ipv4", "ipv6"} {
						value, err := os.ReadFile("/proc/sys/net/" + family + "/fib_multipath_hash_policy")
						if err != nil {
							return err
						}
						values = append(values, strings.TrimSpace(string(value)))
					}
					return nil
				})
				return strings.Join(values, " "), err
			}
			fresh, err := policy()
			require.NoError(t, err)
			require.Equal(t, "0 0", fresh)
			d := startDaemon(t, l, binary, plainConfig+"    spread: "+spread+"\n")
			require.NoError(t, d.WaitReady(20*time.Second))
			now, err := policy()
			require.NoError(t, err)
			require.Equal(t, want, now)
		})
	}
}
