// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/ipmpd/ipmpd/test/lab/faults"
	"github.com/ipmpd/ipmpd/test/lab/trial"
)

// show is the demo for a person: one silent cut and one of the carrier, each repaired.
func show(ctx context.Context, t *trial.Trial, out io.Writer) error {
	fmt.Fprintf(out, "ipmpd is watching. Traffic: one TCP download at 20 MB/s to 192.0.2.10, and 10,000 UDP packets\n")
	fmt.Fprintf(out, "a second each way, stamped by the kernel where they arrive.\n")
	if _, err := t.Home(faults.Now()); err != nil {
		return err
	}
	ok := true
	planned := 0
	for i, kind := range []trial.Kind{trial.Silent, trial.Carrier} {
		name := t.Lab.Members[0].Name
		what := name + " goes silent: the switch loses all its frames, the link stays up"
		if kind == trial.Carrier {
			what = name + "'s cable is pulled"
		}
		fmt.Fprintf(out, "\n── %d ── %s ──\n\n", i+1, what)
		c, err := t.Cut(kind)
		if err != nil {
			return err
		}
		if c.Missed {
			ok = false
			fmt.Fprintf(out, "   NOT REPAIRED: the traffic did not come back, or no failover is in the history\n")
		} else {
			failover(out, t, c)
		}
		from := faults.Now()
		if err := t.Repair(); err != nil {
			return err
		}
		p, err := t.Home(from)
		if err != nil {
			return err
		}
		planned += p.Lost()
		fmt.Fprintf(out, "   repaired: %s answers again, the address and both directions are back on it after %s;\n   packets lost by going home: %d\n",
			name, time.Duration(faults.Now()-from).Round(time.Millisecond), p.Lost())
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	r, err := t.Download.Finish(5 * time.Second)
	fmt.Fprintf(out, "\n── the download ──\n\n")
	if err != nil {
		fmt.Fprintf(out, "   BROKEN: %v\n", err)
		return errFailed
	}
	fmt.Fprintf(out, "   1 connection, 2 failovers, %.1f MB; SHA-256 sent = received = %x…\n", float64(r.Bytes)/1e6, r.Sent[:8])
	if !ok {
		return errFailed
	}
	if planned > 0 {
		fmt.Fprintf(out, "   (going home should lose nothing, but lost %d packets)\n", planned)
	}
	return nil
}
