// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"github.com/ipmpd/ipmpd/pkg/detect"
	"github.com/ipmpd/ipmpd/pkg/detect/probe"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// census is one question to everybody on a member's link.
type census struct {
	probe.Census
	u      *unit
	family int
}

// discover finds targets for a family that has no router to ask (spec section 3.2): it drops responders
// that are dead or slow, and asks everybody where there are too few. It returns whether the prober's
// plan is another.
func (e *engine) discover(u *unit, family int, now int64) (changed bool) {
	side := &u.side[family]
	dropped := side.from == detect.FromMulticast && side.discovery.Drop(side.rotation.Aside)
	if side.from == detect.FromMulticast && side.rotation.Silent() && !u.tracker.GroupFailed() {
		// Whoever else has been heard of is asked before the group fails for its targets.
		if s := e.watcher.Snapshot(); u.knowsOthers(family, s) {
			dropped = side.discovery.Drop(func(netip.Addr) bool { return true }) || dropped
		}
	}
	if side.discovery.Due(now, side.from, len(side.targets), side.rotation.Silent()) {
		e.askEverybody(u, family)
	}
	return dropped && e.retarget(u, e.watcher.Snapshot())
}

// knowsOthers: there are neighbours that are no targets.
func (u *unit) knowsOthers(family int, s *netstate.Snapshot) bool {
	c := u.candidates(family, s)
	return slices.ContainsFunc(c.Neighbours, func(a netip.Addr) bool {
		return !slices.Contains(u.side[family].targets, a) && c.Fits(detect.Family(family), a)
	})
}

// askEverybody on each member that is probed from a test address.
func (e *engine) askEverybody(u *unit, family int) {
	for _, m := range u.members {
		source, kind := m.test(family), m.kind[family]
		if !source.IsValid() || kind != detect.KindICMP && kind != detect.KindARP || !m.asks() {
			continue
		}
		// Members use the identifiers from icmpID on.
		c := &census{probe.Census{Link: m.ifindex, Source: source, ID: e.icmpID - 1}, u, family}
		select {
		case e.censuses <- c:
		default: // many are under way; it is asked again
		}
	}
}

// runCensuses asks, any number of questions at a time, and gives the engine the answers.
func (e *engine) runCensuses(ctx context.Context) error {
	var asking sync.WaitGroup
	defer asking.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-e.censuses:
			asking.Go(func() {
				err := c.Take(ctx, func(a netip.Addr) {
					select {
					case e.events <- func() { e.responded(c, a) }:
					case <-ctx.Done():
					}
				})
				if err != nil {
					e.log.Debug("nobody was asked who may be a target", "error", err)
				}
			})
		}
	}
}

// responded: somebody has answered a question to everybody.
func (e *engine) responded(c *census, a netip.Addr) {
	side := &c.u.side[c.family]
	if !slices.Contains(e.units, c.u) || side.from == detect.FromConfig || side.from == detect.FromRoutes {
		return // another configuration is in force, or there is a router meanwhile
	}
	// Those that were dropped are still there, and are asked when nobody else is left.
	if side.rotation.Aside(a) && len(side.discovery.Found()) > 0 && !c.u.tracker.GroupFailed() {
		return
	}
	s := e.watcher.Snapshot()
	candidates := c.u.candidates(c.family, s)
	if !candidates.Fits(detect.Family(c.family), a) || !side.discovery.Responded(a) {
		return
	}
	if e.retarget(c.u, s) {
		e.updateProbing()
	}
}
