// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// It ticks again and again, at another interval after Reset, and no more after Stop.
func TestTicker(t *testing.T) {
	tick, err := newTicker(time.Hour)
	require.NoError(t, err)
	require.NoError(t, tick.Reset(time.Millisecond))
	for range 5 {
		select {
		case <-tick.C:
		case <-time.After(10 * time.Second):
			t.Fatal("it does not tick")
		}
	}
	tick.Stop()
	select {
	case <-tick.C: // the one that may be left
	default:
	}
	require.Empty(t, tick.C)
	require.ErrorContains(t, tick.Reset(time.Second), "set timerfd")
}
