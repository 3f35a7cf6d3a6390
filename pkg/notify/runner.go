// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// QueueLength is how many events may wait for the programs.
	QueueLength = 1000
	// lastWords is how much longer programs may run when the daemon ends.
	lastWords = time.Second
)

// Event is one for the programs.
type Event struct {
	Name  string
	Value any // becomes JSON
}

// Runner gives every event to every program. Its fields do not change once Run is called.
type Runner struct {
	// Next event of a queue that never makes who publishes wait. After the end of ctx it returns what
	// is still queued, and an error when that is nothing.
	Next func(ctx context.Context) (Event, error)
	// Lost says how many events the queue has dropped that no gap event of it has told of yet. Nil: none.
	Lost func() uint64
	// Env is the programs' environment, all of it.
	Env []string
	Log *slog.Logger

	programs atomic.Pointer[[]string]
	limit    time.Duration // 0: Limit

	helper *helper
	last   map[string]outcome // what each program's log line was last about
	losing bool
}

// Set the programs, for the events that are not begun yet; those that are queued stay queued.
func (r *Runner) Set(programs []string) {
	programs = slices.Clone(programs)
	r.programs.Store(&programs)
}

// Run until ctx ends; what is queued then has one more second.
func (r *Runner) Run(ctx context.Context) error {
	r.last = map[string]outcome{}
	if r.limit == 0 {
		r.limit = Limit
	}
	defer func() {
		if r.helper != nil {
			r.helper.stop()
		}
	}()
	last, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(lastWords, cancel) })
	defer stop()
	missed := 0
	for {
		ev, err := r.Next(ctx)
		if err != nil {
			break
		}
		if last.Err() != nil {
			missed++
			continue
		}
		r.tell(last, ev)
		r.sayLost()
	}
	if missed > 0 && len(r.list()) > 0 {
		r.Log.Warn("events were not given to the notify programs, as the daemon ends", "events", missed)
	}
	return nil
}

func (r *Runner) list() []string {
	if p := r.programs.Load(); p != nil {
		return *p
	}
	return nil
}

// tell each program of one event.
func (r *Runner) tell(ctx context.Context, ev Event) {
	programs := r.list()
	if len(programs) == 0 {
		return
	}
	input, err := json.Marshal(ev.Value)
	if err != nil {
		r.Log.Error("an event cannot be told as JSON", "event", ev.Name, "error", err)
		return
	}
	for _, p := range programs {
		o, err := r.run(ctx, request{Program: p, Event: ev.Name, Input: append(input, '\n'), Env: r.Env, Limit: r.limit})
		if err != nil {
			o = outcome{Problem: "was lost (" + err.Error() + "); its helper is started again for the next event"}
			if ctx.Err() != nil {
				o.Problem = "was killed, as the daemon ends; give it the event by hand where that counts"
			}
		}
		r.say(p, ev.Name, o)
	}
}

func (r *Runner) run(ctx context.Context, ask request) (outcome, error) {
	if r.helper == nil {
		h, err := startHelper()
		if err != nil {
			return outcome{}, err
		}
		r.helper = h
	}
	o, err := r.helper.ask(ctx, ask)
	if err != nil {
		r.helper.stop()
		r.helper = nil
	}
	return o, err
}

// say what came of a run, unless it is what was said of the program last.
func (r *Runner) say(program, event string, o outcome) {
	was := r.last[program]
	r.last[program] = o
	args := []any{"program", program, "event", event}
	if o.Output != "" {
		args = append(args, "output", o.Output)
	}
	switch {
	case o == was:
	case o.Problem != "":
		r.Log.Warn("a notify program "+o.Problem, args...)
	case was.Problem != "":
		r.Log.Info("a notify program works again", args...)
	case o.Output != "":
		r.Log.Info("a notify program wrote", args...)
	}
}

// sayLost says when events begin to be lost; the gap event says how many they were.
func (r *Runner) sayLost() {
	losing := r.Lost != nil && r.Lost() > 0 && len(r.list()) > 0
	if losing && !r.losing {
		r.Log.Warn("events are lost to the notify programs, as they are slower; a gap event will tell how many", "queue", QueueLength)
	}
	r.losing = losing
}
