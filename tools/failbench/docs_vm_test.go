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

// docs/benchmark-vm.md and its plots are what the committed result set gives:
//
//	go run ./tools/failbench -report -out docs/bench-vm -docs docs/benchmark-vm.md
func TestDocsOfTheVMAreGenerated(t *testing.T) {
	const docs = "../../docs"
	cells, damaged, err := result.LoadAll(filepath.Join(docs, "bench-vm", "cells"))
	require.NoError(t, err)
	require.Empty(t, damaged)
	require.NotEmpty(t, cells)
	text, err := os.ReadFile(filepath.Join(docs, "benchmark-vm.md"))
	require.NoError(t, err)
	require.Equal(t, report.Markdown(cells, nil, "bench-vm/plots"), string(text))
	plots := report.Plots(cells)
	for _, p := range plots {
		svg, err := os.ReadFile(filepath.Join(docs, "bench-vm", "plots", p.Name))
		require.NoError(t, err)
		require.Equal(t, p.SVG, string(svg), p.Name)
	}
	files, err := os.ReadDir(filepath.Join(docs, "bench-vm", "plots"))
	require.NoError(t, err)
	require.Len(t, files, len(plots), "a plot that nothing gives any more")
}
