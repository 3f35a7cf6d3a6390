// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Spec section 2.8: the first sample m makes 3m; then an eighth of what the average is off by, and a
// quarter of what the deviation is.
func TestSmoothed(t *testing.T) {
	s := &smoothed{}
	require.Zero(t, s.most())
	s.add(800)
	require.Equal(t, 3*800*time.Nanosecond, s.most())
	s.add(1600)
	require.EqualValues(t, 900, s.mean.Load())
	require.EqualValues(t, 500, s.deviation.Load())
	s.add(100)
	require.EqualValues(t, 800, s.mean.Load())
	require.EqualValues(t, 575, s.deviation.Load())
	for range 100 {
		s.add(400)
	}
	require.InDelta(t, 400, s.most(), 60, "but for what integers leave")
	for range 100 {
		s.add(math.MaxUint32)
	}
	require.Greater(t, s.most(), 4*time.Second, "no overflow")
	s.forget()
	require.Zero(t, s.most())
	s.add(0)
	require.NotZero(t, s.most(), "a sample of nothing is a sample")
}
