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

// docs/benchmark-failover.md, docs/benchmark-vm.md and their plots are what the committed result sets give:
//
//	go run ./tools/failbench -report -out docs/bench -docs docs/benchmark-failover.md
//	go run ./tools/failbench -report -out docs/bench-vm -docs docs/benchmark-vm.md
func TestDocsAreGenerated(t *testing.T) {
	for set, name := range map[string]string{"bench": "benchmark-failover.md", "bench-vm": "benchmark-vm.md"} {
		t.Run(set, func(t *testing.T) { generated(t, set, name) })
	}
}

func generated(t *testing.T, set, name string) {
	const docs = "../../docs"
	cells, damaged, err := result.LoadAll(filepath.Join(docs, set, "cells"))
	require.NoError(t, err)
	require.Empty(t, damaged)
	require.NotEmpty(t, cells)
	cells = inOrder(cells, entrants(""), scenes())
	text, err := os.ReadFile(filepath.Join(docs, name))
	require.NoError(t, err)
	require.Equal(t, report.Markdown(cells, nil, set+"/plots"), string(text))
	plots := report.Plots(cells)
	for _, p := range plots {
		svg, err := os.ReadFile(filepath.Join(docs, set, "plots", p.Name))
		require.NoError(t, err)
		require.Equal(t, p.SVG, string(svg), p.Name)
	}
	files, err := os.ReadDir(filepath.Join(docs, set, "plots"))
	require.NoError(t, err)
	require.Len(t, files, len(plots), "a plot that nothing gives any more")
}
