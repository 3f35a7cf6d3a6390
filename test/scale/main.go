// SPDX-License-Identifier: Apache-2.0

// Scale measures what many groups and addresses cost on this machine: start with nothing on the host
// and over the remains of a former run, reload, failover of one member as its peer sees it, the
// processor's time while many neighbours change their state, and the daemon's memory. `go run
// ./test/scale -groups 64 -members 4 -addresses 64` as root, with bin/ipmpd built.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/test/lab"
)

type options struct {
	binary                    string
	groups, members, addrs, n int
	ipv6, duplicates          bool
	detection                 string
	rate                      int
	only, log                 string
	blocks, flips             int
	sink                      map[string][]time.Duration // takes the rows, which are not printed then
}

func main() {
	var o options
	flag.StringVar(&o.binary, "ipmpd", "bin/ipmpd", "the daemon's binary")
	flag.IntVar(&o.groups, "groups", 64, "groups, each with a switch of its own")
	flag.IntVar(&o.members, "members", 4, "members of each group")
	flag.IntVar(&o.addrs, "addresses", 64, "data addresses of each group")
	flag.BoolVar(&o.ipv6, "ipv6", false, "every other address is of IPv6")
	flag.IntVar(&o.n, "n", 10, "repetitions")
	flag.BoolVar(&o.duplicates, "duplicate-check", false, "of all groups")
	flag.StringVar(&o.detection, "detection-time", "100ms", "of all groups")
	flag.IntVar(&o.rate, "rate", 1000, "announcements a second and member, 0: unlimited")
	flag.StringVar(&o.only, "only", "start,restart,reload,change,carrier,silent,neighbors", "what to measure")
	flag.IntVar(&o.flips, "flips", 300, "for neighbors: changes of their state a second")
	flag.IntVar(&o.blocks, "compare", 0, "so many times n cuts with one address and with all of them, in turn, and the ratio")
	flag.StringVar(&o.log, "log", "", "keep the daemon's log in this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := measure
	if o.blocks > 0 {
		run = compare
	}
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

// bench is a rack with its daemon.
type bench struct {
	options
	rack   *lab.Rack
	daemon *lab.Daemon
	client *control.Client
	ready  *readiness
	want   map[placed]bool
}

func measure(ctx context.Context, o options) (err error) {
	if o.binary, err = filepath.Abs(o.binary); err != nil {
		return err
	}
	b := &bench{options: o}
	if b.rack, err = lab.NewRack(lab.RackOptions{Groups: o.groups, Members: o.members}); err != nil {
		return err
	}
	defer func() {
		if o.log != "" && b.daemon != nil {
			err = errors.Join(err, os.WriteFile(o.log, []byte(b.daemon.Tail(1e6)), 0o600))
		}
		err = errors.Join(err, b.rack.Close())
	}()
	if b.ready, err = listenReady(filepath.Join(b.rack.Dir, "notify")); err != nil {
		return err
	}
	defer b.ready.close()
	b.want = b.addresses()
	if o.sink == nil {
		b.head()
	}
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{{"start", b.starts}, {"restart", b.restarts}, {"reload", b.reloads}, {"change", b.changes},
		{"carrier", b.carrierCuts}, {"silent", b.silentCuts}, {"neighbors", b.neighbors}} {
		if !slices.Contains(strings.Split(o.only, ","), step.name) {
			continue
		}
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	if o.sink != nil {
		return nil
	}
	return b.memory()
}

func (b *bench) head() {
	o := b.options
	fmt.Printf("%d groups, %d members, %d addresses (ipv6: %v), detection-time %s, duplicate-check %v, rate %d, n %d\n",
		o.groups, o.groups*o.members, len(b.want), o.ipv6, o.detection, o.duplicates, o.rate, o.n)
	fmt.Printf("%-50s %9s %9s %9s %9s\n", "milliseconds", "n", "p50", "p99", "max")
}

// row of the table.
func (b *bench) row(name string, times []time.Duration) {
	if b.sink != nil {
		b.sink[name] = append(b.sink[name], times...)
		return
	}
	row(name, times)
}

func row(name string, times []time.Duration) {
	if len(times) == 0 {
		return
	}
	s := slices.Sorted(slices.Values(times))
	ms := func(d time.Duration) string { return fmt.Sprintf("%.3f", float64(d)/float64(time.Millisecond)) }
	fmt.Printf("%-50s %9d %9s %9s %9s\n", name, len(s), ms(s[len(s)/2]), ms(s[(len(s)*99+99)/100-1]), ms(s[len(s)-1]))
}

// start the daemon and wait until it says that it is ready, and every address is where it belongs.
func (b *bench) start() (ready, inPlace time.Duration, err error) {
	b.ready.forget()
	from := time.Now()
	if b.daemon == nil {
		if b.daemon, err = b.rack.Daemon(b.binary, b.config("")); err == nil {
			b.client = control.NewClient(b.daemon.Socket)
		}
	} else {
		err = b.daemon.Start()
	}
	if err != nil {
		return 0, 0, err
	}
	at, err := b.ready.wait(60*time.Second, b.daemon.Ended)
	if err != nil {
		return 0, 0, fmt.Errorf("%w\n%s", err, b.daemon.Tail(20))
	}
	// What the kernel has is looked at when the daemon is ready, and not before: looking costs time.
	err = b.rack.Wait("every address on its member", 60*time.Second, func() (bool, error) {
		missing, err := b.misplaced()
		inPlace = time.Since(from)
		if missing == 0 {
			inPlace = min(inPlace, max(at.Sub(from), 0)) // they were when it said so
		}
		return missing == 0, err
	})
	if err != nil {
		return 0, 0, err
	}
	if _, err := b.client.Status(context.Background()); err != nil {
		return 0, 0, err
	}
	return at.Sub(from), inPlace, nil
}

// starts with nothing on the host: released before each.
func (b *bench) starts(ctx context.Context) error {
	var ready, inPlace, released []time.Duration
	for range b.n {
		r, p, err := b.start()
		if err != nil {
			return err
		}
		ready, inPlace = append(ready, r), append(inPlace, p)
		from := time.Now()
		if err := b.client.Release(ctx, ""); err != nil {
			return err
		}
		released = append(released, time.Since(from))
		if err := b.ended(); err != nil {
			return err
		}
	}
	b.row("start, nothing on the host: ready", ready)
	b.row("start, nothing on the host: addresses", inPlace)
	b.row("release", released)
	return nil
}

// ended waits until the daemon has.
func (b *bench) ended() error {
	err := b.rack.Wait("the daemon's end", 30*time.Second, func() (bool, error) { return b.daemon.Ended(), nil })
	return errors.Join(err, b.daemon.Kill())
}

// restarts over what a daemon left that was killed.
func (b *bench) restarts(context.Context) error {
	if err := b.running(); err != nil {
		return err
	}
	var ready, inPlace []time.Duration
	for range b.n {
		if err := b.daemon.Kill(); err != nil {
			return err
		}
		r, p, err := b.start()
		if err != nil {
			return err
		}
		ready, inPlace = append(ready, r), append(inPlace, p)
	}
	b.row("start over the remains of a run: ready", ready)
	b.row("start over the remains of a run: addresses", inPlace)
	return nil
}

// running daemon, all members answering.
func (b *bench) running() error {
	if b.daemon == nil || b.daemon.Ended() {
		if _, _, err := b.start(); err != nil {
			return err
		}
	}
	return b.rack.Wait("all members to answer", 60*time.Second, func() (bool, error) {
		s, err := b.client.Status(context.Background())
		if err != nil {
			return false, err
		}
		for _, g := range s.Groups {
			for _, i := range g.Interfaces {
				if i.State != "ok" {
					return false, nil
				}
			}
		}
		return true, nil
	})
}

// reloads of the file as it is.
func (b *bench) reloads(ctx context.Context) error {
	return b.reloadEach(ctx, "reload, nothing changed", func(int) string { return b.config("") })
}

// changes of one group: a setting that is no matter of the host, and an address more and less.
func (b *bench) changes(ctx context.Context) error {
	err := b.reloadEach(ctx, "reload, hold-down of one group", func(i int) string {
		return b.config(fmt.Sprintf("    hold-down: %ds\n", i%2))
	})
	if err != nil {
		return err
	}
	return b.reloadEach(ctx, "reload, one address less or more", func(i int) string {
		if i%2 == 0 {
			// The last of the last group.
			whole := strings.TrimSuffix(b.config(""), "\n")
			return whole[:strings.LastIndexByte(whole, '\n')+1]
		}
		return b.config("")
	})
}

func (b *bench) reloadEach(ctx context.Context, name string, config func(int) string) error {
	if err := b.running(); err != nil {
		return err
	}
	var times []time.Duration
	for i := range 2 * b.n {
		if err := b.daemon.Configure(config(i)); err != nil {
			return err
		}
		from := time.Now()
		if _, err := b.client.Reload(ctx); err != nil {
			return err
		}
		times = append(times, time.Since(from))
	}
	b.row(name, times)
	return nil
}
