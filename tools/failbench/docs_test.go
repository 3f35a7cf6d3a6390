// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/tools/failbench/report"
	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// docs/benchmark-failover.md and its plots are what the committed result set gives:
//
//	go run ./tools/failbench -report -out docs/bench -docs docs/benchmark-failover.md
func TestDocsAreGenerated(t *testing.T) {
	const docs = "../../docs"
	cells, damaged, err := result.LoadAll(filepath.Join(docs, "bench", "cells"))
	require.NoError(t, err)
	require.Empty(t, damaged)
	require.NotEmpty(t, cells)
	cells = inOrder(cells, entrants(""), scenes())
	text, err := os.ReadFile(filepath.Join(docs, "benchmark-failover.md"))
	require.NoError(t, err)
	require.Equal(t, report.Markdown(cells, nil, "bench/plots"), string(text))
	plots := report.Plots(cells)
	for _, p := range plots {
		svg, err := os.ReadFile(filepath.Join(docs, "bench", "plots", p.Name))
		require.NoError(t, err)
		require.Equal(t, p.SVG, string(svg), p.Name)
	}
	files, err := os.ReadDir(filepath.Join(docs, "bench", "plots"))
	require.NoError(t, err)
	require.Len(t, files, len(plots), "a plot that nothing gives any more")
}
