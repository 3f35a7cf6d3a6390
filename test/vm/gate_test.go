// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

func TestCompare(t *testing.T) {
	was := baseline{Kernel: "6.12.1", Mean: map[string]int64{"a.silent inbound": 1_000_000, "a.silent outbound": 500_000}}
	short := baseline{Mean: map[string]int64{"a.carrier inbound": 140_000}}
	_, err := compare(short, baseline{Mean: map[string]int64{"a.carrier inbound": 189_000}})
	require.NoError(t, err, "within what a gap can be told to")
	_, err = compare(short, baseline{Mean: map[string]int64{"a.carrier inbound": 191_000}})
	require.Error(t, err)
	row := func(in, out int64) baseline {
		return baseline{Kernel: "6.12.1", Mean: map[string]int64{"a.silent inbound": in, "a.silent outbound": out}}
	}
	for name, c := range map[string]struct {
		is   baseline
		says []string // of the lines
		err  string
	}{
		"the same":             {row(1_000_000, 500_000), []string{"+0.0 %"}, ""},
		"within":               {row(1_049_000, 476_000), []string{"+4.9 %", "-4.8 %"}, ""},
		"slower":               {row(1_051_000, 500_000), []string{"+5.1 %"}, "a.silent inbound"},
		"faster is no error":   {row(1_000_000, 400_000), []string{"-20.0 %", "RENEW=1"}, ""},
		"a cell is missing":    {baseline{Mean: map[string]int64{"a.silent inbound": 1_000_000}}, nil, "a.silent outbound is not in both"},
		"a cell is new":        {baseline{Mean: map[string]int64{"a.silent inbound": 1, "a.silent outbound": 1, "b": 1}}, nil, "b is not in both"},
		"of another kernel":    {baseline{Kernel: "6.12.2", Mean: map[string]int64{"a.silent inbound": 2_000_000, "a.silent outbound": 1}}, nil, "the baseline is of Linux 6.12.1, this is 6.12.2"},
		"how to go on is said": {row(2_000_000, 500_000), nil, "make bench-gate RENEW=1"},
	} {
		t.Run(name, func(t *testing.T) {
			lines, err := compare(was, c.is)
			for _, want := range c.says {
				require.Contains(t, strings.Join(lines, "\n"), want)
			}
			if c.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.err)
			}
		})
	}
}

// left is what a guest leaves of a cell with these inbound gaps, outbound half of them.
func left(t *testing.T, gaps int, change func(*result.Cell)) *report {
	t.Helper()
	c := &result.Cell{Version: 1, Contender: "a", Scenario: "silent", Want: gaps}
	for i := range gaps {
		flow := func(ns int64) *result.Flow { return &result.Flow{Gap: ns, Sent: 10} }
		c.Samples = append(c.Samples, result.Sample{Inbound: flow(int64(i+1) * 1000), Outbound: flow(int64(i+1) * 500)})
	}
	if change != nil {
		change(c)
	}
	text, err := json.Marshal(c)
	require.NoError(t, err)
	return &report{release: "6.12", files: map[string][]byte{"cells/a.silent.json": text, "report.md": nil}}
}

func TestMeans(t *testing.T) {
	b, err := meansOf(left(t, gateCuts, nil))
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"a.silent inbound": 12500, "a.silent outbound": 6250}, b.Mean)
	for want, c := range map[string]func(*result.Cell){
		"was not run: no such thing":         func(c *result.Cell) { c.NotRun = "no such thing" },
		"23 cuts of 24":                      func(c *result.Cell) { c.Samples = c.Samples[1:] },
		"stood still for 950 ms after cut 3": func(c *result.Cell) { c.Samples[2].Inbound.SenderGap = 950_000_000 },
		"did not come back after 1":          func(c *result.Cell) { c.Samples[3].Unrecovered = true },
	} {
		_, err := meansOf(left(t, gateCuts, c))
		require.ErrorContains(t, err, want)
	}
	_, err = meansOf(&report{})
	require.ErrorContains(t, err, "no cell")
}

func TestMeanOf(t *testing.T) {
	require.Equal(t, int64(3), meanOf([]int64{1, 2, 4, 1000}))
}

func TestSame(t *testing.T) {
	a := map[string][]byte{"x": []byte("1"), "y": {}}
	require.NoError(t, same(a, map[string][]byte{"x": []byte("1"), "y": {}}))
	require.ErrorContains(t, same(a, map[string][]byte{"x": []byte("2"), "y": {}}), "differ in x")
	require.ErrorContains(t, same(a, map[string][]byte{"x": []byte("1")}), "differ in y")
}

// The committed baseline is what the gate measures.
func TestBaseline(t *testing.T) {
	text, err := os.ReadFile("baseline.json")
	require.NoError(t, err)
	var b baseline
	require.NoError(t, json.Unmarshal(text, &b))
	require.Equal(t, gateCuts, b.Cuts)
	require.Len(t, b.Mean, 4)
	for name, ns := range b.Mean {
		require.Regexp(t, `\.(carrier|silent) (inbound|outbound)$`, name)
		require.Regexp(t, gateCells, strings.Fields(name)[0])
		require.Positive(t, ns)
	}
}

// Files come over the serial port in pieces.
func TestFilesOfAGuest(t *testing.T) {
	content := []byte(strings.Repeat("0123456789", 1000))
	half := len(content)/2/3*3 + 3
	text := fmt.Sprintf("@@vm kernel 6.12\n@@vm file cells/a.json\n%s\n%s\n@@vm eof\n@@vm file empty\n@@vm eof\n@@vm done\n",
		base64.StdEncoding.EncodeToString(content[:half]), base64.StdEncoding.EncodeToString(content[half:]))
	rep, err := parse(strings.NewReader(text))
	require.NoError(t, err)
	require.Empty(t, rep.judge(nil))
	require.Equal(t, content, rep.files["cells/a.json"])
	dir := t.TempDir()
	require.NoError(t, rep.save(dir))
	got, err := os.ReadFile(filepath.Join(dir, "cells/a.json"))
	require.NoError(t, err)
	require.Equal(t, content, got)
	require.FileExists(t, filepath.Join(dir, "empty"))

	_, err = parse(strings.NewReader("@@vm file x\n!!\n@@vm eof\n"))
	require.ErrorContains(t, err, "the guest's file x")
	rep.files["../outside"] = nil
	require.ErrorContains(t, rep.save(dir), "not below")
}
