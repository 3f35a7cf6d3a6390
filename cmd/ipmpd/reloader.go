// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"reflect"
	"time"

	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/control"
)

// reloader reads the configuration file again, whoever asks for it, one at a time. It reads and judges
// on the goroutine of who asks; the engine gets what is good, as an event.
type reloader struct {
	from   source
	level  *slog.LevelVar
	log    *slog.Logger
	engine *engine
	hangup <-chan os.Signal
	turn   chan struct{}  // holds one token, of who reloads
	runs   config.Config  // what cannot be changed while the daemon runs
	status func(string)   // tells systemd; may be nil
	notify func([]string) // takes over the programs of `notify`
}

func newReloader(d *daemon, from source, level *slog.LevelVar, hangup <-chan os.Signal) *reloader {
	return &reloader{from: from, level: level, log: d.log, engine: d.engine, hangup: hangup,
		turn: make(chan struct{}, 1), runs: *d.cfg, notify: d.programs.Set}
}

// backend is who answers for the daemon on the control socket.
type backend struct {
	*engine
	*reloader
}

// Run reloads on every SIGHUP, until ctx ends. What is wrong is said in the log.
func (r *reloader) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.hangup:
			_, _ = r.Reload(ctx)
		}
	}
}

// Reload implements control.Backend.
func (r *reloader) Reload(ctx context.Context) (*control.Reload, error) {
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-r.turn }()
	answer, err := r.reload(ctx)
	if err != nil {
		r.log.Error("not reloaded; the old configuration stays in force", "error", err)
		r.engine.event(control.Event{Event: control.EventStepFailed,
			Detail: "reload: the old configuration stays in force: " + oneLine(err)})
	}
	return answer, err
}

func (r *reloader) reload(ctx context.Context) (*control.Reload, error) {
	cfg, warnings, err := r.from.loadForHost(hostLinks)
	if err == nil {
		var accepted []config.Warning
		accepted, err = r.lookAhead(ctx, cfg)
		warnings = append(warnings, accepted...)
	}
	var wrong *config.Error
	if errors.As(err, &wrong) {
		return nil, &control.Error{Status: control.WrongConfig, Cause: wrong.Error()}
	}
	if err != nil {
		return nil, err
	}
	answer := &control.Reload{}
	for _, w := range warnings {
		answer.Warnings = append(answer.Warnings, w.String())
	}
	if !reflect.DeepEqual(cfg.Realtime, r.runs.Realtime) {
		answer.Warnings = append(answer.Warnings,
			"realtime: cannot be changed while the daemon runs; restart it for the new values")
	}
	for _, w := range answer.Warnings {
		r.log.Warn(w)
	}
	r.level.Set(cfg.LogLevel)
	if answer.Summary, err = r.engine.reload(ctx, cfg, r.notify); err != nil {
		return nil, err
	}
	if r.status != nil {
		r.status(watched(cfg))
	}
	return answer, nil
}

// lookAhead judges what a configuration will do to the host, where it is another than the one that runs.
func (r *reloader) lookAhead(ctx context.Context, cfg *config.Config) ([]config.Warning, error) {
	answer := make(chan []config.Group, 1)
	var running []config.Group
	select {
	case r.engine.events <- func() { answer <- r.engine.configured() }:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case running = <-answer:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if diff := compare(running, cfg.Watched()); diff.nothing() {
		return nil, nil
	}
	return checkLastAddress(cfg, r.engine.journal)
}

// reload lets the engine take over a configuration. It returns what was different, once those who left
// have been let go.
func (e *engine) reload(ctx context.Context, cfg *config.Config, notify func([]string)) (summary string, err error) {
	answer := make(chan string, 1)
	event := func() {
		notify(programPaths(cfg.Notify)) // who is new hears of the reload already
		before, groups := e.states(), cfg.Watched()
		diff := compare(e.configured(), groups)
		now, later := e.atOnce(groups)
		e.reconfigure(now)
		e.event(control.Event{Event: control.EventConfigReloaded, Detail: diff.String()})
		e.tellStates(before)
		e.reloads++
		mine := e.reloads
		e.afterwards = append(e.afterwards, func() {
			if later && mine == e.reloads {
				before := e.states()
				e.reconfigure(groups)
				e.tellStates(before)
			}
			answer <- diff.String()
		})
		e.dismiss(time.Now())
	}
	select {
	case e.events <- event:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	select {
	case summary = <-answer:
		return summary, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
