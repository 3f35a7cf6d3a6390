// SPDX-License-Identifier: Apache-2.0

// The demo builds a small network on this machine, runs ipmpd in it on the seed's configuration,
// pulls the cable under traffic, and tells what became of the packets. `make demo` runs it.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/ipmpd/ipmpd/test/lab/flow"
	"github.com/ipmpd/ipmpd/test/lab/trial"
)

// options come from flags, whose defaults come from the environment that make passes on.
type options struct {
	binary    string
	attach    string
	cuts      int
	json      bool
	verbose   bool
	second    bool
	firstLost bool
	stopped   bool
	detection time.Duration
	shapes    string
	raw       string
	limit     time.Duration
}

func parse(args []string, env func(string) string) (options, error) {
	var o options
	cuts, err := strconv.Atoi(cmp.Or(env("CUTS"), "0"))
	if err != nil || cuts < 0 {
		return o, fmt.Errorf("CUTS=%s: not a number of cuts", env("CUTS"))
	}
	set := func(name string) bool { v := env(name); return v != "" && v != "0" }
	f := flag.NewFlagSet("demo", flag.ContinueOnError)
	f.StringVar(&o.binary, "ipmpd", cmp.Or(env("IPMPD"), "bin/ipmpd"), "the daemon's binary")
	f.StringVar(&o.attach, "attach", env("ATTACH"), "attach mode: tcx, xdp; empty is auto (ATTACH)")
	f.IntVar(&o.cuts, "cuts", cuts, "number of silent and of carrier cuts to measure (CUTS)")
	f.BoolVar(&o.json, "json", set("JSON"), "one JSON object as the last line (JSON)")
	f.BoolVar(&o.verbose, "verbose", set("VERBOSE"), "a line for each cut (VERBOSE)")
	f.BoolVar(&o.second, "second", set("SECOND"), "carrier cuts in pairs within a second, on three members (SECOND)")
	f.BoolVar(&o.firstLost, "first-lost", set("FIRSTLOST"), "drop the first announcements of each failover (FIRSTLOST)")
	f.BoolVar(&o.stopped, "stopped", set("STOPPED"), "stop user space right after the verdict (STOPPED)")
	f.DurationVar(&o.detection, "detection-time", 400*time.Microsecond, "of the group")
	f.StringVar(&o.shapes, "shapes", env("SHAPES"), "compare groups of these shapes, pair,standby,ipv6,dual,eight or all, in one run (SHAPES)")
	f.StringVar(&o.raw, "raw", env("RAW"), "file that the cuts of shapes are added to, and that is gone on with (RAW)")
	f.DurationVar(&o.limit, "limit", 0, "begin no other lab of a shape after this time; 0: until all are cut")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.shapes == "all" {
		o.shapes = "pair,standby,ipv6,dual,eight"
	}
	if (o.second || o.stopped || o.json || o.shapes != "") && o.cuts == 0 {
		o.cuts = 10
	}
	return o, nil
}

func main() {
	flow.Child()
	o, err := parse(os.Args[1:], os.Getenv)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
		// A second interrupt ends the process; the next lab sweeps up after it.
		context.AfterFunc(ctx, stop)
		err = run(ctx, o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

var errFailed = errors.New("it did not do what it promises; see above")

func run(ctx context.Context, o options, out io.Writer) (err error) {
	opts := trial.Options{Binary: o.binary, Attach: o.attach, Detection: o.detection, FirstLost: o.firstLost}
	opts.Lab.Members = 2
	if o.second {
		opts.Lab.Members = 3
	}
	if o.shapes != "" {
		return compare(ctx, o, out)
	}
	banner(out, opts)
	t, err := trial.New(opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	if o.cuts > 0 {
		return measure(ctx, o, t, out)
	}
	return show(ctx, t, out)
}
