// SPDX-License-Identifier: Apache-2.0

package detect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// detection.md section 1: limit = max(misses, k), k = ceil(log10(rounds per day x 1000) / -log10(p)).
func TestLimit(t *testing.T) {
	for _, row := range []struct {
		name     string
		misses   int
		p        float64
		interval time.Duration
		limit    int
		canJudge bool
	}{
		{"no loss", 3, 0, 100 * time.Microsecond, 3, true},
		{"1 % loss 6 (at 100 us)", 3, 0.01, 100 * time.Microsecond, 6, true},
		{"10 % loss 12 (at 100 us)", 3, 0.1, 100 * time.Microsecond, 12, true},
		{"slower rounds need fewer", 3, 0.1, 250 * time.Millisecond, 9, true},
		{"the configured misses are the least", 20, 0.1, 100 * time.Microsecond, 20, true},
		{"at 50 % probes cannot judge", 3, 0.5, 100 * time.Microsecond, 0, false},
		{"49 %: 39 in a row", 3, 0.49, 100 * time.Microsecond, 39, true},
		{"more than half the window", 65, 0, 100 * time.Microsecond, 0, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			limit, can := Limit(row.misses, row.p, RoundsPerDay(row.interval))
			require.Equal(t, row.limit, limit)
			require.Equal(t, row.canJudge, can)
		})
	}
}

// detection.md section 3: limit in effect x interval + p99.9 of RTT + p99.9 of lateness.
func TestAchievable(t *testing.T) {
	require.Equal(t, 460*time.Microsecond,
		Achievable(3, 100*time.Microsecond, 60*time.Microsecond, 100*time.Microsecond))
}
