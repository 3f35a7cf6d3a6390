// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/control"
)

// alone is a release without a daemon: what the state file knows, and what is ours by its mark.
type alone struct {
	journal *journal
	undo    addr.Undo
	applier *addr.Applier
	pins    string // "": nothing can be pinned here
	found   bool   // there was something of ours
}

// releaseAlone releases a group, or all with "". An *control.InUseError says that there is a daemon.
func releaseAlone(g globals, group string, warn io.Writer) error {
	if err := checkRights(); err != nil {
		return err
	}
	// No daemon starts meanwhile. Where none has ever been, nothing is left behind either.
	if _, err := os.Stat(filepath.Dir(g.Socket)); err == nil {
		l, err := control.Listen(g.Socket)
		if err != nil {
			return err
		}
		defer l.Close()
	}
	a := alone{journal: openJournal(g.State, slog.New(slog.DiscardHandler))}
	a.undo = a.journal.Undo()
	lost := len(a.undo.Groups) == 0
	r, err := chosen(&a.undo, group)
	if err != nil {
		return a.unknown(err, g, lost)
	}
	dir, mounted, err := pinPath()
	if err != nil {
		return advised(err)
	}
	if mounted {
		a.pins = dir
	}
	if a.applier, err = addr.NewApplier(applierOptions()); err != nil {
		return advised(err)
	}
	defer func() { _ = a.applier.Close() }()
	err = a.release(r)
	if lost && a.found {
		fmt.Fprintf(warn, "ipmpd: warning: %s has nothing of this boot and network namespace; what bears ipmpd's mark was removed, "+
			"but sysctls, routes and addresses that had been on the host before could not be restored\n", g.State)
	}
	return err
}

// unknown is the error for a group that the state file does not have: where it has none, and there is
// nothing of ours, there is nothing left of that one.
func (a *alone) unknown(err error, g globals, lost bool) error {
	if !lost {
		return err
	}
	s, lookErr := lookNow()
	if lookErr != nil {
		return advised(lookErr)
	}
	dir, mounted, pinErr := pinPath()
	nothing := &addr.Undo{}
	left := len(addr.Release(addr.Released{Undo: nothing, All: true}, observedFor(s, nothing))) > 0
	if !left && (pinErr != nil || !mounted || !bpf.Pinned(dir)) {
		return nil
	}
	return fmt.Errorf("%s does not say which group is whose; release all of them with `ipmpd release`", g.State)
}

func (a *alone) release(r addr.Released) error {
	r.Routes = a.journal.Replaced()
	b := wayBack(a.applier, r)
	a.found = b.did > 0
	errs := []error{errorOf(b.failures)}
	for _, g := range r.Groups {
		errs = append(errs, detachFilters(g.Members), detachPinned(a.pins, g.Members))
		for _, m := range g.Members {
			a.journal.SetOffline(m.Name, false)
		}
	}
	if len(b.failures) == 0 {
		a.undo.Forget(r)
		a.journal.forgetRoutes(r)
	}
	if r.All {
		errs = append(errs, a.detachAll(&b.before))
	}
	if a.pins != "" && (r.All || len(r.Groups) > 0 && !a.undo.Left()) {
		a.found = a.found || bpf.Pinned(a.pins)
		errs = append(errs, bpf.RemovePins(a.pins))
	} else if a.pins != "" && len(r.Groups) > 0 {
		errs = append(errs, a.clearMaps(r.Groups))
	}
	if len(r.Groups) > 0 || b.did > 0 {
		errs = append(errs, a.save())
	}
	b.announce(a.applier.Sender(), slog.New(slog.DiscardHandler))
	return firstOf(errs)
}

// save what is left to undo; a state file that was lost is not made again.
func (a *alone) save() error {
	if _, err := os.Stat(a.journal.path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return a.journal.SetUndo(a.undo)
}

// detachAll takes our clsact filters off every interface.
func (a *alone) detachAll(o *addr.Observed) error {
	var errs []error
	for _, l := range o.Links {
		found, err := bpf.DetachFilters(l.Index, false)
		a.found = a.found || found
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// clearMaps forgets groups in the pinned maps, with which other groups' programs go on working: they
// would keep members from answering for addresses that no group has any more.
func (a *alone) clearMaps(groups []addr.UndoGroup) error {
	if !bpf.Pinned(a.pins) {
		return nil
	}
	objects, err := bpf.Load(bpf.Options{PinPath: a.pins})
	if err != nil {
		return err
	}
	defer objects.Close()
	var errs []error
	forget := func(list []netip.Prefix) {
		for _, p := range list {
			if p.Addr().Is4() {
				errs = append(errs, objects.DeleteOwner(p.Addr()))
			}
		}
	}
	for _, g := range groups {
		forget(g.Addresses)
		for _, m := range g.Members {
			forget(m.Tests)
			errs = append(errs, objects.SetMember(m.Number, bpf.Member{}))
		}
	}
	return errors.Join(errs...)
}
