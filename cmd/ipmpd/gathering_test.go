// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// TestGathering: changes are looked at when they have settled, neighbours alone not more often than their share.
func TestGathering(t *testing.T) {
	start := time.Now()
	after := func(d time.Duration) time.Time { return start.Add(d) }
	var g gathering
	require.Nil(t, g.due)
	g.heard(netstate.Neighbors, start)
	require.NotNil(t, g.due)
	require.Equal(t, after(settle), g.at, "after a quiet time neighbours wait for nothing")
	g.heard(netstate.Links, after(time.Millisecond))
	require.Equal(t, after(settle), g.at, "what has waited longer is not put off")

	const look = 20 * time.Millisecond
	g.looked(after(settle), after(settle+look))
	require.Nil(t, g.due)
	over := settle + look
	g.heard(netstate.Neighbors, after(over))
	require.Equal(t, after(over+neighborShare*look), g.at)
	g.heard(netstate.Neighbors, after(over+time.Millisecond))
	require.Equal(t, after(over+neighborShare*look), g.at)
	g.heard(netstate.Neighbors|netstate.Routes, after(over+5*time.Millisecond))
	require.Equal(t, after(over+5*time.Millisecond+settle), g.at, "all else waits for nothing")

	g.looked(after(time.Second), after(time.Second+look))
	g.heard(netstate.Neighbors|netstate.Resynced, after(time.Second+look))
	require.Equal(t, after(time.Second+look+settle), g.at)
	g.looked(after(2*time.Second), after(4*time.Second))
	g.heard(netstate.Neighbors, after(4*time.Second))
	require.Equal(t, after(4*time.Second+longestRest), g.at, "a machine that stood still is looked at again soon")
	g.looked(after(2*time.Second), after(2*time.Second))
	g.heard(netstate.Neighbors, after(3*time.Second))
	select {
	case <-g.due:
	case <-time.After(10 * time.Second):
		t.Fatal("its time does not come")
	}
}
