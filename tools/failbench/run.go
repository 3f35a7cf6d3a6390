// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	vm "github.com/ipmpd/ipmpd/test/vm/plan"
	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// run of the benchmark.
type run struct {
	plan
	out     string // directory of the results
	machine string
	commit  string
	log     io.Writer
	print   bool // finished cells into log

	subjects map[string]subject
}

type subject struct {
	name string
	err  error
}

func (r *run) dir() string { return filepath.Join(r.out, "cells") }

// all measures what is not there yet. A cell that cannot run says so and does not end the run.
func (r *run) all(ctx context.Context, plans []cellPlan) error {
	cells := make(map[string]*result.Cell)
	for _, p := range plans {
		c, err := r.open(p)
		if err != nil {
			return err
		}
		cells[p.name()] = c
	}
	for round := range r.rounds(plans) {
		for _, group := range turns(plans) {
			// A cell that did not run ends its turn, and the others have another one.
			for open := r.left(group, cells, round); len(open) > 0; open = r.left(group, cells, round) {
				begun := time.Now()
				err := r.turn(ctx, round, open, cells)
				if ctx.Err() != nil {
					return errors.Join(errors.New("interrupted; what is finished is kept, the same command goes on"), err)
				}
				if err != nil {
					return err
				}
				r.say(open, cells, time.Since(begun))
				if err := r.show(open, cells); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// left of a group to be measured in a round.
func (r *run) left(group []cellPlan, cells map[string]*result.Cell, round int) (list []cellPlan) {
	for _, p := range group {
		if c := cells[p.name()]; !c.Done() && len(c.Samples) < r.until(p.want, round) {
			list = append(list, p)
		}
	}
	return list
}

// turns are the cells that one arena serves: same contender, same stage, one after the other.
func turns(plans []cellPlan) (groups [][]cellPlan) {
	for _, p := range plans {
		if n := len(groups); n > 0 {
			if first := groups[n-1][0]; first.entrant.Name == p.entrant.Name && first.scene.Stage == p.scene.Stage {
				groups[n-1] = append(groups[n-1], p)
				continue
			}
		}
		groups = append(groups, []cellPlan{p})
	}
	return groups
}

// open the cell's file, or begin one. What another binary has measured, or what is damaged, is begun again.
func (r *run) open(p cellPlan) (*result.Cell, error) {
	s, ok := r.subjects[p.entrant.Name]
	if !ok {
		s.name, s.err = p.entrant.Subject()
		r.subjects[p.entrant.Name] = s
	}
	fresh := &result.Cell{
		Contender: p.entrant.Name, Scenario: p.scene.Name, Family: p.entrant.Family, Settings: p.entrant.Settings,
		Title: p.scene.Title, Right: p.scene.Right, Detects: p.entrant.Detects,
		Stays: p.scene.Stays, Headline: p.entrant.Headline, Interval: int64(p.entrant.Interval),
		Subject: s.name, Machine: r.machine, Commit: r.commit, Want: p.want,
	}
	path := filepath.Join(r.dir(), p.name()+".json")
	c, err := result.Load(path)
	if s.err != nil && (err != nil || len(c.Samples) == 0) {
		fresh.NotRun = s.err.Error()
		return fresh, fresh.Save(r.dir())
	}
	if s.err != nil { // what was measured while it was here is kept
		if c.Want = p.want; len(c.Samples) < c.Want {
			c.NotRun = s.err.Error()
		}
		return c, c.Save(r.dir())
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fresh, nil
	case err != nil:
		fmt.Fprintln(r.log, err)
		return fresh, os.Rename(path, path+".damaged")
	case c.Subject != fresh.Subject || c.Machine != fresh.Machine:
		fmt.Fprintf(r.log, "%s: measured %s on %s, begun again\n", p.name(), c.Subject, c.Machine)
		return fresh, nil
	}
	c.Headline, c.Want, c.NotRun = fresh.Headline, p.want, "" // more may be wanted now, and what was missing may be here
	return c, nil
}

// turn stages an arena and adds samples to each of its cells. An error is the run's; what goes wrong with
// the contender stands in the cells.
func (r *run) turn(ctx context.Context, round int, plans []cellPlan, cells map[string]*result.Cell) (err error) {
	e := plans[0].entrant
	a, err := newArena(ctx, e, plans[0].scene.Stage, filepath.Join(r.out, "configs", e.Name))
	if err != nil {
		return r.giveUp(ctx, plans, cells, err)
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	for i, p := range plans {
		c := cells[p.name()]
		if err := r.play(a, round, p, c); err != nil {
			a.keepState(p.scene.Name)
			// The arena is in an unknown state: what was to come in it is given up, or comes with the next turn.
			return r.giveUp(ctx, plans[i:i+1], cells, err)
		}
	}
	return nil
}

// play one scenario until the cell has what is wanted by the end of the round.
func (r *run) play(a *arena, round int, p cellPlan, c *result.Cell) (err error) {
	s := p.scene.New()
	a.patience = 5 * time.Second
	if unseen(p.entrant, p.scene) {
		a.patience = time.Second // nothing comes; it has to be seen that it does not
	}
	if err := a.home(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Finish(a)) }() // also of what was prepared in part
	if err := s.Prepare(a); err != nil {
		return err
	}
	for len(c.Samples) < r.until(p.want, round) {
		if err := a.ctx.Err(); err != nil {
			return err
		}
		sample, err := s.Strike(a)
		if err != nil {
			return err
		}
		sample.Round = round
		if sample.Reversion, err = a.revert(func() error { return s.Clear(a) }); err != nil {
			return err
		}
		c.Samples = append(c.Samples, sample)
		if err := c.Save(r.dir()); err != nil {
			return err
		}
	}
	return nil
}

// giveUp writes into cells why they have no more samples.
func (r *run) giveUp(ctx context.Context, plans []cellPlan, cells map[string]*result.Cell, cause error) error {
	if ctx.Err() != nil {
		return nil
	}
	for _, p := range plans {
		c := cells[p.name()]
		c.NotRun = cause.Error()
		fmt.Fprintf(r.log, "%s: not run: %s\n", c.Name(), c.NotRun)
		if err := c.Save(r.dir()); err != nil {
			return err
		}
	}
	return nil
}

// say what a turn gave.
func (r *run) say(plans []cellPlan, cells map[string]*result.Cell, took time.Duration) {
	for _, p := range plans {
		c := cells[p.name()]
		in, out := c.Sum(result.Inbound), c.Sum(result.Outbound)
		fmt.Fprintf(r.log, "%-34s n %3d/%d  inbound p50 %8.0f us  outbound p50 %8.0f us  unrecovered %d\n",
			c.Name(), len(c.Samples), c.Want, float64(in.P50)/1e3, float64(out.P50)/1e3, in.Unrecovered)
	}
	fmt.Fprintf(r.log, "  %.1f s\n", took.Seconds())
}

// show the files of what a turn has finished.
func (r *run) show(plans []cellPlan, cells map[string]*result.Cell) error {
	for _, p := range plans {
		if !r.print || !cells[p.name()].Done() {
			continue
		}
		name := p.name() + ".json"
		content, err := os.ReadFile(filepath.Join(r.dir(), name))
		if err != nil {
			return err
		}
		if err := vm.Print(r.log, filepath.Join("cells", name), content); err != nil {
			return err
		}
	}
	return nil
}
