// SPDX-License-Identifier: Apache-2.0

package result

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func flowGap(ns int64, lost int) *Flow {
	return &Flow{Gap: ns, Lost: lost, Sent: lost + 10, Interval: 100_000}
}

func cell() *Cell {
	return &Cell{Contender: "a", Scenario: "s", Want: 3, Samples: []Sample{
		{Inbound: flowGap(300, 3), Outbound: flowGap(30, 0), Reference: flowGap(1, 0), Moves: 1},
		{Inbound: flowGap(100, 1), Reference: flowGap(2, 0)},
		{Inbound: flowGap(9e9, 2), Reference: flowGap(3, 0), Unrecovered: true},
	}}
}

func TestSaveAndLoad(t *testing.T) {
	dir := t.TempDir()
	c := cell()
	require.NoError(t, c.Save(dir))
	got, err := Load(filepath.Join(dir, "a.s.json"))
	require.NoError(t, err)
	require.Equal(t, c, got)
	require.True(t, got.Done())
	got.Want = 4
	require.False(t, got.Done())
	got.NotRun = "no such program"
	require.True(t, got.Done())
}

// A damaged file is named and the others are read.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, cell().Save(dir))
	whole, err := os.ReadFile(filepath.Join(dir, "a.s.json"))
	require.NoError(t, err)
	rows := map[string]string{
		"torn.json":       string(whole[:len(whole)/2]),
		"empty.json":      "",
		"other.s.json":    string(whole), // renamed by hand
		"nothing.s.json":  `{"version":1,"contender":"nothing","scenario":"s"}`,
		"old.s.json":      `{"version":0,"contender":"old","scenario":"s","not_run":"x"}`,
		"negative.s.json": `{"version":1,"contender":"negative","scenario":"s","samples":[{"inbound":{"gap_ns":-1}}]}`,
	}
	for name, text := range rows {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	cells, damaged, err := LoadAll(dir)
	require.NoError(t, err)
	require.Len(t, cells, 1)
	require.Len(t, damaged, len(rows))
	for _, err := range damaged {
		require.ErrorContains(t, err, "is damaged")
		require.ErrorContains(t, err, dir)
	}
	cells, damaged, err = LoadAll(filepath.Join(dir, "none"))
	require.NoError(t, err)
	require.Empty(t, cells)
	require.Empty(t, damaged)
}

func TestSum(t *testing.T) {
	in := cell().Sum(Inbound)
	require.Equal(t, Sum{N: 3, Unrecovered: 1, Lost: 6, Sent: 36, P50: 100, P99: 300, Max: 300, Min: 100, LossTime: 200_000, Moves: 1}, in)
	require.Equal(t, 1, cell().Sum(Outbound).N, "a side that was not measured does not count")
	require.Equal(t, []int64{1, 2, 3}, cell().Gaps(Noise), "noise counts also where the traffic did not come back")
}

func TestQuantile(t *testing.T) {
	var v []int64
	for i := range int64(100) {
		v = append(v, i+1)
	}
	for q, want := range map[float64]int64{0: 1, .5: 50, .99: 99, 1: 100} {
		require.Equal(t, want, Quantile(v, q), "%g", q)
	}
	require.Equal(t, int64(7), Quantile([]int64{7}, .5))
	require.Zero(t, Quantile(nil, .5))
}

func TestAdd(t *testing.T) {
	s := Sample{Inbound: flowGap(300, 3), Outbound: flowGap(30, 0), Moves: 1, Reported: 5}
	s.Add(&Sample{Inbound: &Flow{Gap: 900, Start: 1, End: 901, Sent: 7, Lost: 1, SenderGap: 4}, Outbound: flowGap(20, 2), Moves: 0, Reported: 9})
	require.Equal(t, &Flow{Gap: 900, Start: 1, End: 901, Sent: 20, Lost: 4, SenderGap: 4, Interval: 100_000}, s.Inbound)
	require.Equal(t, &Flow{Gap: 30, Sent: 22, Lost: 2, Interval: 100_000}, s.Outbound)
	require.Equal(t, []int64{1, 9}, []int64{int64(s.Moves), s.Reported})
}
