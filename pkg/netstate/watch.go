// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Change is a set of what changed.
type Change uint8

const (
	Links Change = 1 << iota
	Addresses
	Routes
	Nexthops
	Neighbors
	// Resynced: everything was listed anew; anything may have changed.
	Resynced

	All = Links | Addresses | Routes | Nexthops | Neighbors
)

const (
	// settle is how long route messages may gather before the tables are listed: one ip command
	// or one failover is one listing.
	settle = 2 * time.Millisecond
	// A table that takes long to list is listed so much more seldom.
	listShare    = 10
	retryListing = 100 * time.Millisecond
)

// past is a deadline that has been.
var past = time.Unix(1, 0)

// Options of a Watcher. The zero value is what the daemon uses.
type Options struct {
	// Buffer of the subscription in bytes; 0: 16 MiB, what a start with 4,096 addresses brings.
	Buffer int
	// KeepRoute says which routes matter; nil: all. The others are in no snapshot and, more
	// important where a routing daemon keeps a full table, cause no listing when they change.
	KeepRoute func(*Route) bool
	// Log; nil: none.
	Log *slog.Logger
}

// Watcher knows the host's network state.
type Watcher struct {
	opt     Options
	log     *slog.Logger
	file    *os.File // the subscription
	raw     syscall.RawConn
	list    *lister
	changes chan Change
	syncs   chan chan error
	wrote   atomic.Bool

	// Run's own
	stale  Change // to be listed
	relist time.Time
	rest   time.Time // not before

	mu    sync.Mutex
	table table
	snap  *Snapshot // nil: to be made
}

// Open subscribes, then lists: its Snapshot is complete when it returns. Run keeps it so.
func Open(opt Options) (*Watcher, error) {
	if opt.Buffer == 0 {
		opt.Buffer = 16 << 20
	}
	w := &Watcher{opt: opt, log: opt.Log, changes: make(chan Change, 1), syncs: make(chan chan error, 16)}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	fd, err := subscribe(opt.Buffer, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_NEIGH, unix.RTNLGRP_NEXTHOP)
	if err != nil {
		return nil, err
	}
	w.file = os.NewFile(uintptr(fd), "rtnetlink")
	if w.raw, err = w.file.SyscallConn(); err == nil {
		w.list, err = openLister()
	}
	if err == nil {
		err = w.listNow(All)
	}
	if err != nil {
		_ = w.Close()
		return nil, err
	}
	w.notify(All | Resynced)
	return w, nil
}

// Close gives the sockets back, after Run has returned.
func (w *Watcher) Close() error {
	err := w.file.Close()
	if w.list != nil {
		err = errors.Join(err, w.list.close())
	}
	return err
}

// Snapshot is the state as of now.
func (w *Watcher) Snapshot() *Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.snap == nil {
		w.snap = w.table.snapshot()
	}
	return w.snap
}

// Changes delivers what changed since the last receive, added up. The snapshot taken after a
// receive has it. It is never closed.
func (w *Watcher) Changes() <-chan Change { return w.changes }

// notify never blocks: there is one sender, and it takes an unread notice back to add to it.
func (w *Watcher) notify(c Change) {
	if c == 0 {
		return
	}
	select {
	case old := <-w.changes:
		c |= old
	default:
	}
	w.changes <- c
}

// Run follows the host until ctx ends. Errors in reading are logged and answered by a listing.
func (w *Watcher) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = w.file.SetReadDeadline(past) })
	defer stop()
	buf := make([]byte, 64<<10)
	for ctx.Err() == nil {
		changed, _, err := w.read(buf, true)
		if errors.Is(err, os.ErrClosed) {
			return fmt.Errorf("follow netlink: %w", err)
		}
		w.absorb(changed, err, buf)
		w.answer(buf)
		w.update(ctx)
	}
	return nil
}

// absorb notes what was read, or that something was lost.
func (w *Watcher) absorb(changed Change, err error, buf []byte) {
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		w.log.Warn("netlink messages lost; listing everything", "error", err)
		w.drain(buf)
		w.stale |= All | Resynced
	}
	w.notify(changed &^ (Routes | Nexthops)) // these when they are listed
	w.stale |= changed & (Routes | Nexthops)
}

// Wrote says that the caller is about to change routes or nexthops, or just has: the next listing that
// messages bring is a change, whatever it finds. Otherwise what somebody undoes before it was ever listed
// would leave no trace: nothing differs from what was listed last. To be called before and after.
func (w *Watcher) Wrote() { w.wrote.Store(true) }

// Sync returns when the snapshot has everything that happened before the call, as a planner needs
// that has just written itself. It needs Run to run.
func (w *Watcher) Sync(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case w.syncs <- done:
	case <-ctx.Done():
		return ctx.Err()
	}
	_ = w.file.SetReadDeadline(past)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answer serves those who wait in Sync.
func (w *Watcher) answer(buf []byte) {
	for len(w.syncs) > 0 {
		done := <-w.syncs
		_ = w.file.SetReadDeadline(time.Time{})
		for more := true; more; {
			var changed Change
			var err error
			changed, more, err = w.read(buf, false)
			w.absorb(changed, err, buf)
		}
		var err error
		if what := w.stale; what != 0 {
			if err = w.listNow(what); err == nil {
				w.stale, w.relist = 0, time.Time{}
			}
		}
		done <- err
	}
}

// update lists what is stale when its time has come, and sets the alarm for when it has not.
func (w *Watcher) update(ctx context.Context) {
	now := time.Now()
	if w.stale == 0 {
		w.alarm(ctx, time.Time{})
		return
	}
	if w.relist.IsZero() {
		w.relist = now.Add(settle)
		if w.rest.After(w.relist) {
			w.relist = w.rest
		}
	}
	due := w.relist
	if w.stale&Resynced != 0 {
		due = w.rest // after a loss nothing is certain: no settling
	}
	if now.Before(due) {
		w.alarm(ctx, due)
		return
	}
	what := w.stale
	w.stale, w.relist = 0, time.Time{}
	if err := w.listNow(what); err != nil {
		w.log.Warn("network state not listed; trying again", "error", err)
		w.stale |= what
		w.rest = time.Now().Add(retryListing)
		w.relist = w.rest
		w.alarm(ctx, w.rest)
		return
	}
	if w.wrote.Swap(false) {
		w.notify(what & (Routes | Nexthops))
	}
	w.rest = time.Now().Add(listShare * time.Since(now))
	w.alarm(ctx, time.Time{})
}

// alarm makes the next read return at t. The deadlines that Sync and ctx's end set must win.
func (w *Watcher) alarm(ctx context.Context, t time.Time) {
	_ = w.file.SetReadDeadline(t)
	if ctx.Err() != nil || len(w.syncs) > 0 {
		_ = w.file.SetReadDeadline(past)
	}
}

// listNow lists the tables in what and swaps them in together, or changes nothing.
func (w *Watcher) listNow(what Change) (err error) {
	var t table
	step := func(c Change, list func() error) {
		if err == nil && what&c != 0 {
			err = list()
		}
	}
	var links []Link
	var addresses []Address
	var neighbors []Neighbor
	step(Links, func() (err error) { links, err = w.list.links(); return })
	step(Addresses, func() (err error) { addresses, err = w.list.addresses(); return })
	step(Nexthops, func() (err error) { t.nexthops, err = w.list.nexthops(); return })
	step(Routes, func() (err error) { t.routes, err = w.list.routes(w.opt.KeepRoute); return })
	step(Neighbors, func() (err error) { neighbors, err = w.list.neighbors(); return })
	if err != nil {
		return err
	}
	sortRoutes(t.routes)
	sortNexthops(t.nexthops)

	w.mu.Lock()
	changed := what &^ (Routes | Nexthops)
	if what&Links != 0 {
		w.table.setLinks(links)
	}
	if what&Addresses != 0 {
		w.table.setAddresses(addresses)
	}
	if what&Neighbors != 0 {
		w.table.setNeighbors(neighbors)
	}
	if what&Routes != 0 && !slices.EqualFunc(w.table.routes, t.routes, sameRoute) {
		w.table.routes = t.routes
		changed |= Routes
	}
	if what&Nexthops != 0 && !slices.EqualFunc(w.table.nexthops, t.nexthops, sameNexthop) {
		w.table.nexthops = t.nexthops
		changed |= Nexthops
	}
	w.snap = nil
	w.mu.Unlock()
	w.notify(changed)
	return nil
}
