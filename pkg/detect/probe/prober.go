// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipmpd/ipmpd/bpf"
)

// maxSleep is how often an idle prober shows that it lives.
const maxSleep = 100 * time.Millisecond

// Options of a Prober.
type Options struct {
	// Instances and Tracks are the BPF maps of that name (mmapped).
	Instances []bpf.Instance
	Tracks    []bpf.Track
	Realtime  Realtime
	Warn      func(error) // what the kernel did not permit; may be nil
	Questions *Questions  // where refused sends ask for the carrier; may be nil
}

// Prober sends the rounds of all groups from one thread.
type Prober struct {
	options   Options
	instances []bpf.Instance
	tracks    []bpf.Track
	fd        int
	key       sipKey // of the nonces
	rounded   uint64 // thread only: rounds of all tracks so far
	near      near   // the reader

	plan    atomic.Pointer[compiledPlan]
	stopped atomic.Bool
	bell    atomic.Uint32 // a futex, rung when plan, stopped or watches have changed
	beat    atomic.Int64
	watches atomic.Pointer[[]*Watch] // nil: nobody

	mutex sync.Mutex // of Update and of the list of watches
}

// New makes a prober and its socket (CAP_NET_RAW in the present network namespace), with an empty
// plan. Close it when Run has ended.
func New(o Options) (*Prober, error) {
	var key [16]byte
	if _, err := rand.Read(key[:]); err != nil {
		return nil, fmt.Errorf("make key of nonces: %w", err)
	}
	fd, err := openSocket()
	if err != nil {
		return nil, err
	}
	p := &Prober{
		options: o, instances: o.Instances, tracks: o.Tracks, fd: fd,
		key: sipKey{binary.NativeEndian.Uint64(key[:8]), binary.NativeEndian.Uint64(key[8:])},
	}
	p.plan.Store(&compiledPlan{})
	return p, nil
}

// Update replaces the plan from the next tick on. Tracks and instances that are in both plans go
// on as they are: no round is lost, no count begins anew. plan must not be changed afterwards.
// An error leaves the old plan in force.
func (p *Prober) Update(plan *Plan) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if err := plan.Validate(); err != nil {
		return fmt.Errorf("update probe plan: %w", err)
	}
	p.plan.Store(p.compile(plan, p.plan.Load()))
	p.ring()
	return nil
}

// HeartbeatNs is when the thread last looked at its clock, CLOCK_MONOTONIC; it does so every 100 ms
// at least. 0: it has not begun.
func (p *Prober) HeartbeatNs() int64 { return p.beat.Load() }

// Run sends rounds until ctx ends, whose error it returns.
func (p *Prober) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		p.stopped.Store(true)
		p.ring()
	})
	defer stop()
	return RealtimeThread(p.options.Realtime, p.options.Warn, func() error {
		p.loop()
		return ctx.Err()
	})
}

// pass begins the rounds of a plan that are due and returns when the next one is.
//
//go:nosplit
//go:norace
func (p *Prober) pass(plan *compiledPlan, watches []*Watch, now int64) (wake int64) {
	p.beat.Store(now)
	p.near.follow(now)
	wake = now + int64(maxSleep)
	for i := range plan.tracks {
		t := &plan.tracks[i]
		if t.state.schedule(now, t.interval) {
			if n, began := p.begin(t); n != 0 {
				p.send(t, n, began)
			}
			p.closeRounds(t, watches)
		}
		wake = min(wake, t.state.next)
	}
	return wake
}

func (p *Prober) instanceOf(instance int) *instanceState {
	return p.plan.Load().instances[instance]
}

func (p *Prober) trackOf(track int) *trackState {
	return p.plan.Load().byNumber[track]
}
