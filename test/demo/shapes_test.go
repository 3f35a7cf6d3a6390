// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab/trial"
)

func TestShapesOfARun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "raw")
	list := []sample{
		{Shape: "pair", Kind: trial.Silent, Inbound: 400 * time.Microsecond, Outbound: 200 * time.Microsecond},
		{Shape: "eight", Kind: trial.Silent, Inbound: 600 * time.Microsecond, Outbound: 500 * time.Microsecond, False: 1},
		{Shape: "eight", Kind: trial.Silent, Missed: true, Inbound: time.Second},
		{Shape: "eight", Kind: trial.Carrier, Inbound: time.Millisecond},
	}
	require.NoError(t, appendSamples(file, list[:1]))
	require.NoError(t, appendSamples(file, list[1:]))
	got, err := readSamples(file)
	require.NoError(t, err)
	require.Equal(t, list, got)
	require.Equal(t, 3, count(got, "eight"))

	all := summaries(got)
	require.InDelta(t, 1, all[trial.Silent]["pair"].InboundRatio, 0)
	s := all[trial.Silent]["eight"]
	require.InDelta(t, 1.5, s.InboundRatio, 0)
	require.InDelta(t, 2.5, s.OutboundRatio, 0)
	require.Equal(t, []int{2, 1, 1}, []int{s.N, s.Missed, s.False})
	require.Nil(t, all[trial.Carrier]["pair"])
	require.Zero(t, all[trial.Carrier]["eight"].InboundRatio, "nothing to compare with")
	var out bytes.Buffer
	require.Equal(t, 1, printShapes(&out, got))
	require.Contains(t, out.String(), "600 / 600 / 600")

	_, err = readSamples(filepath.Join(t.TempDir(), "none"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte("{"), 0o600))
	_, err = readSamples(file)
	require.ErrorContains(t, err, "take another file")
	require.ErrorContains(t, compare(context.Background(), options{shapes: "pair,nine", cuts: 1}, &out), "SHAPES=nine")
}
