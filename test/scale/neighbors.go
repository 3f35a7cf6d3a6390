// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/lab"
)

const (
	neighborEntries = 50 // the kernel keeps 1,024 of all namespaces, and the other members of the group have them too
	neighborsFor    = 10 * time.Second
)

// neighbors of the first member change their state as those of a busy host do, so many a second; what the daemon takes
// of a processor meanwhile, and before.
func (b *bench) neighbors(ctx context.Context) error {
	if b.sink != nil {
		return nil // nothing to compare
	}
	if b.flips < 1 {
		return fmt.Errorf("-flips %d: not a number of changes a second", b.flips)
	}
	if err := b.running(); err != nil {
		return err
	}
	link, err := b.rack.Host.Link(b.rack.Groups[0][0].Name)
	if err != nil {
		return err
	}
	before, err := b.share(func(end time.Time) error {
		time.Sleep(time.Until(end))
		return nil
	})
	if err != nil {
		return err
	}
	changes := 0
	during, err := b.share(func(end time.Time) error {
		return b.rack.Host.Do(func() error {
			for time.Now().Before(end) && ctx.Err() == nil {
				if err := netlink.NeighSet(b.neighbor(link.Attrs().Index, changes)); err != nil {
					return fmt.Errorf("set a neighbour: %w", err)
				}
				changes++
				time.Sleep(time.Second / time.Duration(b.flips))
			}
			return ctx.Err()
		})
	})
	if err != nil {
		return err
	}
	fmt.Printf("daemon, %% of a core: quiet %.1f, %.0f changes of neighbours a second %.1f\n",
		100*before, float64(changes)/neighborsFor.Seconds(), 100*during)
	return nil
}

// neighbor of the k-th change: all of them in turn, reachable in one turn and stale in the next.
func (b *bench) neighbor(index, k int) *netlink.Neigh {
	n := &netlink.Neigh{
		LinkIndex: index, State: unix.NUD_REACHABLE,
		IP:           lab.Nth(lab.Subnet(0), 0x4000+k%neighborEntries).Addr().AsSlice(),
		HardwareAddr: net.HardwareAddr{2, 0, 0, 1, byte(k % neighborEntries >> 8), byte(k % neighborEntries)},
	}
	if k/neighborEntries%2 == 1 {
		n.State = unix.NUD_STALE
	}
	return n
}

// share of a processor that the daemon takes while something is done.
func (b *bench) share(do func(end time.Time) error) (float64, error) {
	from, err := b.processorTime()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := do(began.Add(neighborsFor)); err != nil {
		return 0, err
	}
	to, err := b.processorTime()
	return (to - from).Seconds() / time.Since(began).Seconds(), err
}

// processorTime that all the daemon's threads have had.
func (b *bench) processorTime() (sum time.Duration, err error) {
	dir := fmt.Sprintf("/proc/%d/task", b.daemon.PID())
	tasks, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	for _, t := range tasks {
		text, err := os.ReadFile(dir + "/" + t.Name() + "/schedstat")
		if err != nil {
			continue // it has ended
		}
		first, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read processor time: %w", err)
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}
