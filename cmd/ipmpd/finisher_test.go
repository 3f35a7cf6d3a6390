// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/detect/probe"
)

// Whoever announces is free while something is being written, and the engine hears in order.
func TestFinisher(t *testing.T) {
	held, heard := make(chan struct{}), make(chan int, 8)
	f, err := newFinisher(func(n any) {
		<-held
		heard <- int(n.(*verdictNews).event.Bit)
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.run(ctx, probe.Realtime{}, nil) }()
	for i := range 3 {
		f.hand(nil, &verdictNews{event: bpf.Event{Bit: uint8(i)}})
	}
	require.Empty(t, heard)
	close(held)
	for i := range 3 {
		select {
		case n := <-heard:
			require.Equal(t, i, n)
		case <-time.After(10 * time.Second):
			t.Fatal("not handed on")
		}
	}
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.NoError(t, f.close())
}
