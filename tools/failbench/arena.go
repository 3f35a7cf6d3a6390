// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
	"github.com/ipmpd/ipmpd/test/lab/flow"
)

// bound is how long anything that should take milliseconds may take before the cell is given up.
const bound = 10 * time.Second

// arena is a lab with a contender at work and the flows that it is judged by.
type arena struct {
	*topology
	ctx       context.Context
	entrant   entrant
	contender contender

	inbound   *flow.Flow // peer to data address
	outbound  *flow.Flow
	reference *flow.Flow // peer to router, never cut: this machine's noise
	flows     *flow.Flows

	active   *lab.Member   // what both directions go over
	failures int           // that were spread over the contender's rounds
	patience time.Duration // how long the traffic may take to come back
}

// stage of an arena: what a scenario needs of the lab.
type stage struct {
	members, secondSwitch int
	stall                 bool // the router's replies can be held back
	addresses             int  // beside lab.Data
	routes                int
	// own is the scenario that has the arena for itself, as it leaves something behind: after loss on all members
	// ipmpd probes at a slower rate for ten minutes, as it would with a target that limits its replies.
	own string
}

// newArena builds the lab, sets the contender up and, when it is ready, starts the flows.
func newArena(ctx context.Context, e entrant, s stage, configs string) (*arena, error) {
	opts := lab.Options{Members: max(2, s.members), SecondSwitch: s.secondSwitch}
	opts.RouterCable.TAP = s.stall
	opts.TwoHosts = e.Shape == twoHosts
	l, err := lab.New(opts)
	if err != nil {
		return nil, err
	}
	a := &arena{topology: &topology{Lab: l, configs: configs, more: s.addresses}, ctx: ctx, entrant: e, contender: e.New()}
	if err := a.start(s); err != nil {
		a.keepState("setup")
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// keepState of the lab and the contender beside its configuration, for who wants to know why a cell did not run.
func (a *arena) keepState(scenario string) {
	if a.ctx.Err() == nil {
		_, _ = a.Config("not-run-"+scenario+".txt", a.Dump()) // the cell says the cause anyway
	}
}

func (a *arena) start(s stage) error {
	if err := a.contender.Setup(a.topology); err != nil {
		return fmt.Errorf("set %s up: %w", a.entrant.Name, err)
	}
	if err := a.wait(a.entrant.Name+" to be ready", 2*bound, a.contender.Ready); err != nil {
		return err
	}
	if err := a.addRoutes(s.routes); err != nil {
		return err
	}
	if err := a.startFlows(s); err != nil {
		return err
	}
	return a.wait("traffic", bound, func() (bool, error) {
		if a.entrant.Detects {
			return a.reference.ArrivedSince(0) > 1000, nil
		}
		return a.inbound.ArrivedSince(0) > 1000 && a.outbound.ArrivedSince(0) > 1000, nil
	})
}

func (a *arena) startFlows(s stage) (err error) {
	every := a.entrant.packets()
	reference := flow.Spec{Name: "reference", Interval: every, From: a.Peer, To: a.Router, Source: lab.Peer, Destination: lab.Router}
	if s.stall {
		reference.Interval = 10 * time.Millisecond // it goes through the router's slow cable, and says nothing when that stalls
	}
	if a.entrant.Detects {
		if a.flows, err = flow.Start(reference); err == nil {
			a.reference = a.flows.Flows[0]
		}
		return err
	}
	// A first packet each way, so that no flow begins with the loss of one that waits for ARP.
	if err := a.wait("the data address to answer", bound, func() (bool, error) { return a.Peer.Reaches(lab.Data) }); err != nil {
		return err
	}
	a.flows, err = flow.Start(
		flow.Spec{Name: "inbound", Interval: every, From: a.Peer, To: a.Host, AlsoTo: a.Second, Source: lab.Peer, Destination: lab.Data},
		flow.Spec{Name: "outbound", Interval: every, From: a.Host, AlsoFrom: a.Second, To: a.Peer, Source: lab.Data, Destination: lab.Peer},
		reference,
	)
	if err == nil {
		a.inbound, a.outbound, a.reference = a.flows.Flows[0], a.flows.Flows[1], a.flows.Flows[2]
	}
	return err
}

// wait until ok, the limit, or the end of the run.
func (a *arena) wait(what string, limit time.Duration, ok func() (bool, error)) error {
	deadline := time.Now().Add(limit)
	for pause := time.Millisecond; ; pause = min(2*pause, 16*time.Millisecond) { // to ask costs the contender's processor
		done, err := ok()
		switch {
		case done && err == nil:
			return nil
		case a.ctx.Err() != nil:
			return a.ctx.Err()
		case lab.IsFatal(err):
			return err
		case time.Now().After(deadline):
			if err == nil {
				err = errors.New("not yet true")
			}
			return fmt.Errorf("waited %s for %s: %w", limit, what, err)
		}
		time.Sleep(pause)
	}
}

// home waits until the contender is ready and the traffic of both directions goes over one member.
func (a *arena) home() error {
	if err := a.wait(a.entrant.Name+" to be ready again", 2*bound, a.contender.Ready); err != nil {
		return err
	}
	// A port that the switch does not use yet would make the next failure longer, of what looks at the carrier only.
	if err := a.wait("the switch to use all ports", bound, a.forwards); err != nil {
		return err
	}
	if a.entrant.Detects {
		a.active = a.Members[0]
		return nil
	}
	return a.wait("traffic of both directions over one member", bound, func() (bool, error) {
		in, out, err := a.carriers()
		if err != nil {
			return false, err
		}
		if len(in) != 1 || len(out) != 1 || in[0] != out[0] {
			return false, fmt.Errorf("inbound goes over %s, outbound over %s", names(in), names(out))
		}
		a.active = in[0]
		return true, nil
	})
}

func (a *arena) forwards() (bool, error) {
	for _, m := range a.Members {
		if ok, err := m.Forwards(); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// carriers are the members that data frames go over now, in a sample of some hundred packets.
func (a *arena) carriers() (in, out []*lab.Member, err error) {
	type count struct{ in, out uint64 }
	read := func() (list []count, err error) {
		for _, m := range a.Members {
			to, err := m.Port.Count(faults.To, faults.IP(faults.Data))
			if err != nil {
				return nil, err
			}
			from, err := m.Port.Count(faults.From, faults.IP(faults.Data))
			if err != nil {
				return nil, err
			}
			list = append(list, count{to.Packets, from.Packets})
		}
		return list, nil
	}
	before, err := read()
	if err != nil {
		return nil, nil, err
	}
	time.Sleep(10 * time.Millisecond) // a sample, not a wait
	after, err := read()
	if err != nil {
		return nil, nil, err
	}
	for i, m := range a.Members {
		if after[i].in > before[i].in {
			in = append(in, m)
		}
		if after[i].out > before[i].out {
			out = append(out, m)
		}
	}
	return in, out, nil
}

func names(members []*lab.Member) string {
	if len(members) == 0 {
		return "no member"
	}
	s := members[0].Name
	for _, m := range members[1:] {
		s += ", " + m.Name
	}
	return s
}

// Close ends flows, contender and lab.
func (a *arena) Close() error {
	var errs []error
	if a.flows != nil {
		errs = append(errs, a.flows.Close())
	}
	return errors.Join(append(errs, a.contender.Teardown(), a.Lab.Close())...)
}
