// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/detect/probe"
	"github.com/ipmpd/ipmpd/pkg/netstate"
	"github.com/ipmpd/ipmpd/pkg/notify"
)

// extraProcs are Go's scheduler places for the locked real-time threads, so that one that wakes up
// never waits for the goroutine that runs in its place.
const extraProcs = 4

// ballast is never touched and so costs no memory, but the collector counts it as live: its heap may grow by
// as much before it runs, where a small daemon's would at once (docs/decisions/0016-memory.md).
const ballast = 12 << 20

// hang is how long the engine or the prober may be silent before the watchdog is no longer fed.
const hang = 5 * time.Second

// daemon is everything that `run` opens, and the tasks that work with it.
type daemon struct {
	cfg      *config.Config
	log      *slog.Logger
	listener net.Listener
	objects  *bpf.Objects
	watcher  *netstate.Watcher
	applier  *addr.Applier
	prober   *probe.Prober
	question *probe.Questions
	carrier  func(ifindex int) (up, sends bool, err error) // by netlink
	lockless atomic.Pointer[bpf.Carrier]                   // does not wait for RTNL; nil: not yet, or not on this kernel
	links    *netstate.LinkEvents
	sysctls  *netstate.SysctlWatcher  // nil: not to be had
	castNews *netstate.MembershipNews // nil: not to be had
	engine   *engine
	reloader *reloader
	programs *notify.Runner
	dumper   *dumper
	realtime probe.Realtime
	closers  []func()
	warned   sync.Map // texts
	ballast  []byte
}

// openDaemon opens everything, in an order in which each failure leaves the host untouched: nothing
// is written to the host before begin.
func openDaemon(cfg *config.Config, g globals, log *slog.Logger) (_ *daemon, err error) {
	runtime.GOMAXPROCS(runtime.NumCPU() + extraProcs)
	if cfg.Realtime.Priority > 0 {
		if err := beNice(); err != nil {
			log.Warn("the daemon's ordinary threads wait their turn", "error", err)
		}
	}
	d := &daemon{cfg: cfg, log: log, ballast: make([]byte, ballast), realtime: probe.Realtime{Priority: cfg.Realtime.Priority, CPUs: cfg.Realtime.CPUs}}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	// A daemon that lives is an error that comes before everything else.
	if d.listener, err = control.Listen(g.Socket); err != nil {
		return nil, err
	}
	d.defers(func() { _ = d.listener.Close() })
	release, err := claimNamespace(log)
	if err != nil {
		return nil, err
	}
	d.defers(release)
	pins, err := pinFolder()
	if err != nil {
		log.Warn("nothing can be pinned: programs are attached anew at every start", "error", err)
	}
	if d.objects, err = bpf.Load(bpf.Options{PinPath: pins, Discard: func(pin string, why error) {
		log.Warn("pins of a former run are of no use; fresh ones take their place", "pin", pin, "reason", why)
	}}); err != nil {
		return nil, err
	}
	d.defers(d.objects.Close)
	if d.watcher, err = netstate.Open(netstate.Options{Log: log}); err != nil {
		return nil, err
	}
	d.defers(func() { _ = d.watcher.Close() })
	local, err := netstate.OpenLocal()
	if err != nil {
		return nil, err
	}
	d.defers(local.Close)
	options := applierOptions()
	options.Delivers = local.Delivers
	if d.applier, err = addr.NewApplier(options); err != nil {
		return nil, err
	}
	d.defers(func() { _ = d.applier.Close() })
	if err = d.openCarrier(); err != nil {
		return nil, err
	}
	if d.links, err = netstate.OpenLinkEvents(0); err != nil {
		return nil, err
	}
	d.defers(func() { _ = d.links.Close() })
	d.openSysctls()
	d.openCasts()
	if d.question, err = probe.NewQuestions(); err != nil {
		return nil, err
	}
	d.defers(func() { _ = d.question.Close() })
	d.prober, err = probe.New(probe.Options{
		Instances: d.objects.Instances(), Tracks: d.objects.Tracks(),
		Realtime: d.realtime, Warn: d.warn, Questions: d.question})
	if err != nil {
		return nil, err
	}
	d.defers(func() { _ = d.prober.Close() })
	d.engine = &engine{
		log: log, events: make(chan any, 1024), journal: openJournal(g.State, log), public: &control.Broadcaster{},
		objects: d.objects, shown: d.objects, instances: d.objects.Instances(), tracks: d.objects.Tracks(), epoch: 1,
		fast:    &fastPath{tracks: d.objects.Tracks(), herald: addr.NewHerald(d.applier)},
		applier: d.applier, announcer: addr.NewAnnouncer(d.applier.Sender(), log),
		watcher: d.watcher, news: d.watcher.Changes(), sysctls: d.sysctls, readSysctls: netstate.Sysctls, prober: d.prober, questions: d.question, strangers: strangers{},
		censuses: make(chan *census, 2*bpf.Members), icmpID: uint16(rand.Uint32()), quiet: true, firstUse: newFirstUse(),
	}
	d.engine.fast.hush = d.engine.announcer.Hush
	if d.engine.finisher, err = newFinisher(func(ev any) { d.engine.events <- ev }); err != nil {
		return nil, err
	}
	d.defers(func() { _ = d.engine.finisher.close() })
	d.engine.casts = casting{joins: addr.NewJoins(), news: make(chan struct{}, 1)}
	d.engine.undo = d.engine.journal.Undo()
	if d.objects.Adopted && len(d.engine.undo.Groups) == 0 {
		log.Warn("the state file of the former run is lost: `ipmpd release` cannot put back what it changed", "file", g.State)
	}
	d.programs = newNotifyPrograms(d.engine.public, g.Socket, log)
	d.programs.Set(programPaths(cfg.Notify))
	return d, nil
}

// openCarrier opens the way to ask for carriers that every kernel has: netlink, which waits for RTNL.
func (d *daemon) openCarrier() error {
	c, err := netstate.OpenCarrier()
	if err != nil {
		return err
	}
	d.defers(func() { _ = c.Close() })
	d.carrier = c.Ask
	return nil
}

// loadCarrier is a task that loads the BPF program that asks for carriers and waits for nobody, where
// the kernel has what it needs. It reads all of the kernel's BTF for that, 50 ms and more, which no
// failover that a former run has left half done should wait for.
func (d *daemon) loadCarrier(ctx context.Context) error {
	program, err := bpf.OpenCarrier()
	if err != nil {
		d.log.Info("carriers are asked for by netlink", "reason", err)
		return nil
	}
	d.lockless.Store(program)
	<-ctx.Done()
	return nil
}

// askCarrier runs on the asker's thread, and nowhere else.
func (d *daemon) askCarrier(ifindex int) (up, sends bool, err error) {
	if program := d.lockless.Load(); program != nil {
		return program.Ask(ifindex)
	}
	return d.carrier(ifindex)
}

// openSysctls: where the host has no inotify instance left, sysctls are looked at when something else
// changes.
func (d *daemon) openSysctls() {
	w, err := netstate.OpenSysctls(d.log)
	if err != nil {
		d.log.Warn("that somebody changes a sysctl is not heard of", "error", err)
		return
	}
	d.sysctls = w
	d.defers(func() { _ = w.Close() })
}

func (d *daemon) defers(f func()) { d.closers = append(d.closers, f) }

// close gives everything back, last opened first. What is pinned and what is on the host stays.
func (d *daemon) close() {
	if program := d.lockless.Load(); program != nil {
		_ = program.Close()
	}
	for _, f := range slices.Backward(d.closers) {
		f()
	}
	d.closers = nil
}

// warn of what the kernel does not permit, once for all real-time threads.
func (d *daemon) warn(err error) {
	if _, said := d.warned.LoadOrStore(err.Error(), true); !said {
		d.log.Warn("real-time scheduling is not to be had", "error", err)
	}
}

// task is one goroutine of the daemon.
type task struct {
	name string
	run  func(context.Context) error
}

// run works until ctx ends or a task fails.
func (d *daemon) run(ctx context.Context) error {
	e := d.engine
	e.begin(d.cfg)
	server := control.NewServer(control.ServerOptions{
		Listener: d.listener, Backend: backend{e, d.reloader}, Events: e.public, Version: d.version, Probes: probes(d.prober), Log: d.log})
	systemd := &notifier{healthy: d.healthy, log: d.log}
	d.reloader.status = systemd.Status
	reader := &probe.Reader{Events: d.objects.Events(), Realtime: d.realtime, Warn: d.warn, Prober: d.prober, Event: e.onVerdict}
	asker := &probe.Asker{
		Questions: d.question, Realtime: d.realtime, Warn: d.warn,
		Carrier: d.askCarrier, Answer: e.onCarrier, Failed: e.onNoCarrier}
	tasks := []task{
		{"journal", e.journal.Run},
		{"watcher", d.watcher.Run},
		{"reader", reader.Run},
		{"finisher", func(ctx context.Context) error { return e.finisher.run(ctx, d.realtime, d.warn) }},
		{"asker", asker.Run},
		{"links", d.runLinks},
		{"carrier", d.loadCarrier},
		{"announcer", e.announcer.Run},
		{"duplicates", e.runDuplicates},
		{"censuses", e.runCensuses},
		{"prober", d.prober.Run},
		{"confirm", d.confirm},
		{"engine", e.run},
		{"server", server.Run},
		{"hangup", d.reloader.Run},
		{"dump", d.dumper.Run},
		{"watchdog", systemd.Run},
		{"programs", d.programs.Run},
		{"ready", func(ctx context.Context) error { return d.ready(ctx, server, systemd) }},
	}
	if d.sysctls != nil {
		tasks = append(tasks, task{"sysctls", d.sysctls.Run})
	}
	if d.castNews != nil {
		tasks = append(tasks, task{"multicast", d.runCastNews})
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, t := range tasks {
		g.Go(func() error {
			if err := t.run(ctx); err != nil && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			return nil
		})
	}
	err := g.Wait()
	systemd.Stopping()
	if errors.Is(err, errReleased) {
		d.log.Info("stopped; everything is released")
		return nil
	}
	d.log.Info("stopped; addresses, routes and programs stay", "error", err)
	return err
}

// ready tells systemd when commands are answered, rounds are sent and addresses are in use, but those
// that somebody else has.
func (d *daemon) ready(ctx context.Context, server *control.Server, systemd *notifier) error {
	select {
	case <-server.Ready():
	case <-ctx.Done():
		return nil
	}
	select {
	case <-d.engine.firstUse.over:
	case <-ctx.Done():
		return nil
	}
	systemd.Ready(watched(d.cfg))
	d.log.Info("ready", "groups", len(d.cfg.Groups), "monitored", len(d.cfg.Monitor), "adopted", d.objects.Adopted, "timer", d.objects.Timer)
	return nil
}

// watched is the daemon's status in a few words.
func watched(cfg *config.Config) string {
	text := counted(len(cfg.Groups), "group", "groups")
	if n := len(cfg.Monitor); n > 0 {
		text += " and " + counted(n, "interface in none", "interfaces in none")
	}
	return text + " watched"
}

// runLinks hears link messages on a locked real-time thread.
func (d *daemon) runLinks(ctx context.Context) error {
	return probe.RealtimeThread(d.realtime, d.warn, func() error { return d.links.Run(ctx, d.engine.onLink) })
}

// healthy: the engine and the prober have both shown a sign of life lately.
func (d *daemon) healthy() bool {
	now := monotonic()
	return now-d.engine.alive.Load() < hang.Nanoseconds() && now-d.prober.HeartbeatNs() < hang.Nanoseconds()
}

// version of this daemon, for clients.
func (d *daemon) version() control.Version {
	features := []string{"ring buffer", "resilient nexthop groups"}
	if d.objects.Timer {
		features = append(features, "bpf_timer")
	}
	if d.lockless.Load() != nil {
		features = append(features, "carrier without RTNL")
	}
	if d.objects.Adopted {
		features = append(features, "adopted maps")
	}
	return ownVersion(features)
}
