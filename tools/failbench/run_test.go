// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// TestOpen: what is finished is kept, but not of another program, of another machine, or damaged.
func TestOpen(t *testing.T) {
	says := func(name string, err error) func() (string, error) {
		return func() (string, error) { return name, err }
	}
	sample := result.Sample{Inbound: &result.Flow{Gap: 1, Sent: 2}}
	old := func(mod func(*result.Cell)) *result.Cell {
		c := &result.Cell{Contender: "a", Scenario: "s", Subject: "a 1", Machine: "here", Want: 1, Samples: []result.Sample{sample}}
		mod(c)
		return c
	}
	for _, row := range []struct {
		name    string
		file    func(dir string) error
		subject func() (string, error)
		samples int
		notRun  string
		said    string
	}{
		{"nothing yet", nil, says("a 1", nil), 0, "", ""},
		{"the same", func(dir string) error { return old(func(*result.Cell) {}).Save(dir) }, says("a 1", nil), 1, "", ""},
		{"it did not run then", func(dir string) error { return old(func(c *result.Cell) { c.NotRun = "broken" }).Save(dir) }, says("a 1", nil), 1, "", ""},
		{"another version", func(dir string) error { return old(func(*result.Cell) {}).Save(dir) }, says("a 2", nil), 0, "", "begun again"},
		{"another machine", func(dir string) error { return old(func(c *result.Cell) { c.Machine = "there" }).Save(dir) }, says("a 1", nil), 0, "", "begun again"},
		{"damaged", func(dir string) error { return os.WriteFile(filepath.Join(dir, "a.s.json"), []byte("{"), 0o600) }, says("a 1", nil), 0, "", "is damaged"},
		{"not installed any more", func(dir string) error { return old(func(*result.Cell) {}).Save(dir) }, says("", errors.New("gone")), 1, "gone", ""},
		{"not installed", nil, says("", errors.New("a is not installed")), 0, "a is not installed", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			var said bytes.Buffer
			r := &run{out: t.TempDir(), machine: "here", log: &said, subjects: map[string]subject{}}
			require.NoError(t, os.MkdirAll(r.dir(), 0o755))
			if row.file != nil {
				require.NoError(t, row.file(r.dir()))
			}
			c, err := r.open(cellPlan{entrant: entrant{Name: "a", Subject: row.subject}, scene: scene{Name: "s"}, want: 30})
			require.NoError(t, err)
			require.Len(t, c.Samples, row.samples)
			require.Equal(t, row.notRun, c.NotRun)
			require.Equal(t, 30, c.Want)
			require.Contains(t, said.String(), row.said)
			if row.name == "damaged" {
				require.FileExists(t, filepath.Join(r.dir(), "a.s.json.damaged"), "it is kept for who wants to look")
			}
		})
	}
}

// TestLeft: a cell that did not run is not tried again in its turn, and does not keep the others from theirs.
func TestLeft(t *testing.T) {
	cell := func(samples, want int, notRun string) *result.Cell {
		return &result.Cell{Samples: make([]result.Sample, samples), Want: want, NotRun: notRun}
	}
	group := make([]cellPlan, 0, 4)
	cells := map[string]*result.Cell{}
	for name, c := range map[string]*result.Cell{
		"done": cell(30, 30, ""), "not run": cell(3, 30, "the cut was not seen"), "of the next round": cell(15, 30, ""), "begun": cell(14, 30, ""),
	} {
		p := cellPlan{entrant: entrant{Name: "a"}, scene: scene{Name: name}, want: 30}
		group, cells[p.name()] = append(group, p), c
	}
	r := &run{plan: plan{turn: 15}}
	names := func(list []cellPlan) (names []string) {
		for _, p := range list {
			names = append(names, p.scene.Name)
		}
		return names
	}
	require.ElementsMatch(t, []string{"begun"}, names(r.left(group, cells, 0)))
	require.ElementsMatch(t, []string{"begun", "of the next round"}, names(r.left(group, cells, 1)))
}
