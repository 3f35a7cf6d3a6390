// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// releaseTries is how often a release is planned, releasePause the time between two that fail.
const (
	releaseTries = 5
	releasePause = 50 * time.Millisecond
)

// chosen is what a release of a group is about, of all with "", but for its routes. An *control.Error says that there is
// no such group; one that was released is nothing to do.
func chosen(u *addr.Undo, name string) (addr.Released, error) {
	r := addr.Released{Undo: u, All: name == "", Now: boottime()}
	if g := u.Group(name); g == nil && name != "" {
		var names []string
		for _, g := range u.Groups {
			names = append(names, g.Name)
		}
		advice := "there are: " + strings.Join(names, ", ")
		if len(names) == 0 {
			advice = "there is none; see `ipmpd status`"
		}
		return r, control.NotFound(fmt.Sprintf("no group %q", name), advice)
	}
	for _, g := range u.Groups {
		if !g.Released && (r.All || g.Name == name) {
			r.Groups = append(r.Groups, g)
		}
	}
	if r.All {
		r.Groups = append(r.Groups, u.Former...)
	}
	return r, nil
}

// back is what became of a release.
type back struct {
	did      int // operations
	failures []addr.Failure
	// arrived are the addresses that are on another interface now, to be announced from there.
	arrived map[netip.Addr]int
	before  addr.Observed
}

// wayBack performs a release on the host, and looks whether it was done.
func wayBack(applier *addr.Applier, r addr.Released) (b back) {
	b.arrived = map[netip.Addr]int{}
	for try := range releaseTries {
		epoch := applier.Epoch()
		s, err := lookNow()
		if err != nil {
			b.failures = []addr.Failure{{Err: err}}
			continue
		}
		o := observedFor(s, r.Undo)
		if try == 0 {
			b.before = o
		}
		ops := addr.Release(r, o)
		if len(ops) == 0 {
			b.failures = nil
			return b
		}
		b.did += len(ops)
		maps.Copy(b.arrived, addr.Arrived(ops, o))
		b.failures = applier.Apply(epoch, ops)
		if len(b.failures) > 0 && !errors.Is(b.failures[0].Err, addr.ErrOvertaken) {
			time.Sleep(releasePause)
		}
	}
	return b
}

// lookNow lists the host, in the kernel's order.
func lookNow() (*netstate.Snapshot, error) {
	w, err := netstate.Open(netstate.Options{})
	if err != nil {
		return nil, err
	}
	defer w.Close()
	return w.Snapshot(), nil
}

// errorOf steps that failed: the first, and how many there are.
func errorOf(failures []addr.Failure) error {
	if len(failures) == 0 {
		return nil
	}
	f := &failures[0]
	step := strings.TrimSpace(f.Op.Kind.String() + " " + prefixText(f.Op) + f.Op.Key)
	if f.Op.Kind == 0 {
		step = "look at the host"
	}
	return fmt.Errorf("%s could not be undone, the first: %s: %w; repeat `ipmpd release`",
		counted(len(failures), "step", "steps"), step, f.Err)
}

// announcements of what has arrived elsewhere, from there and to whom the host had to do with.
func (b *back) announcements() (list []addr.Announcement) {
	links := map[int]addr.HostLink{}
	for _, l := range b.before.Links {
		links[l.Index] = l
	}
	own := map[netip.Addr]bool{}
	for _, a := range b.before.Addresses {
		own[a.Prefix.Addr()] = true
	}
	const inUse = unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE | unix.NUD_PERMANENT
	seen := map[addr.Neighbor]bool{}
	var neighbors []addr.Neighbor
	for _, n := range b.before.Neighbors {
		entry := addr.Neighbor{IP: n.IP, MAC: n.MAC}
		if n.MAC != (addr.MAC{}) && n.State&inUse != 0 && !n.IP.IsMulticast() && !own[n.IP] && !seen[entry] {
			seen[entry] = true
			neighbors = append(neighbors, entry)
		}
	}
	for _, ip := range slices.SortedFunc(maps.Keys(b.arrived), netip.Addr.Compare) {
		l := links[b.arrived[ip]]
		forwarding := "net/ipv6/conf/" + l.Name + "/forwarding"
		list = append(list, addr.Announcement{Address: ip, Link: l.Index, MAC: l.MAC, Neighbors: neighbors,
			Router: ip.Is6() && netstate.Sysctls([]string{forwarding})[forwarding] == "1",
			Policy: addr.Announce{Count: 5, Interval: time.Second, Rate: 1000}})
	}
	return list
}

// announce before the end: at once, after 10 ms and after 100 ms.
func (b *back) announce(sender *addr.Sender, log *slog.Logger) {
	list := b.announcements()
	if len(list) == 0 {
		return
	}
	a := addr.NewAnnouncer(sender, log)
	for i := range list {
		list[i].Policy.Count = 3
	}
	a.Announce(list...)
	frames := time.Duration(len(list) * 3 * (1 + addr.MaxUnicast))
	ctx, cancel := context.WithTimeout(context.Background(), 150*time.Millisecond+min(frames*time.Millisecond, 2*time.Second))
	defer cancel()
	_ = a.Run(ctx) // ends with ctx
}

// detachPinned takes off interfaces what is pinned there, if anything can be.
func detachPinned(pins string, members []addr.UndoMember) error {
	var errs []error
	for _, m := range members {
		if pins != "" && m.Index != 0 {
			errs = append(errs, bpf.DetachPinned(pins, m.Index))
		}
	}
	return errors.Join(errs...)
}

// detachFilters takes clsact filters off, which are not pinned, and the qdisc where we made it.
func detachFilters(members []addr.UndoMember) error {
	var errs []error
	for _, m := range members {
		if m.Index != 0 {
			_, err := bpf.DetachFilters(m.Index, !m.Clsact)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
