// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ipmpd/ipmpd/test/lab/flow"
	"github.com/ipmpd/ipmpd/test/lab/trial"
)

func banner(out io.Writer, opts trial.Options) {
	fmt.Fprintln(out, `
  ipmpd: two interfaces, one address, a pulled cable

  ┌─ host ────────────────────────┐         ┌─ switch ─┐        ┌─ router ────────┐
  │ hme0  192.0.2.11 (test)       ╪════✂════╪          ╪════════╪ 192.0.2.1       │
  │       192.0.2.10 (data) ◄─────┼─ moves  │          │        └─────────────────┘
  │ hme1  192.0.2.12 (test)       ╪═════════╪          │        ┌─ peer ──────────┐
  └───────────────────────────────┘         └──────────╪════════╪ 192.0.2.100     │
                                                       └────────└─────────────────┘`[1:])
	attach := opts.Attach
	if attach == "" {
		attach = "auto"
	}
	fmt.Fprintf(out, "  detection-time %s, attach: %s\n\n", opts.Detection, attach)
}

// step of a failover, after the cut or the last good reply.
type step struct {
	at   time.Duration
	what string
}

// failover draws one.
func failover(out io.Writer, t *trial.Trial, c trial.Cut) {
	strips(out, t, c)
	wire := []step{{0, "the cut, stamped by the program that drops"}}
	if c.Kind == trial.Carrier {
		wire[0].what = "the cut"
	}
	for _, s := range []step{
		{c.Wire.Outbound, "outbound: first frame by another member"},
		{c.Wire.Announcement, "first announcement on the wire"},
		{c.Wire.Inbound, "inbound: traffic is back at the application"},
	} {
		if s.at != 0 {
			wire = append(wire, s)
		}
	}
	fmt.Fprintln(out, "   seen on the wire, after the cut")
	steps(out, wire)
	var own []step
	for _, name := range []struct{ key, what string }{
		{"last_reply", "last good reply"}, {"verdict", "verdict, in the kernel"},
		{"egress_switched", "outbound switched"}, {"first_announcement", "first announcement"},
		{"announced", "all announced"}, {"routes", "routes"}, {"addresses", "address moved"},
	} {
		if at, ok := c.Failover.Timeline[name.key]; ok {
			own = append(own, step{time.Duration(at), name.what})
		}
	}
	after := "the last good reply"
	if c.Failover.Cause == "link" {
		after = "the link event"
	}
	fmt.Fprintf(out, "   told by ipmpd history, after %s (cause %s, %s)\n", after, c.Failover.Cause, c.Failover.Detail)
	steps(out, own)
	fmt.Fprintf(out, "   lost    inbound %d packets, longest gap %s;  outbound %d packets, longest gap %s\n",
		c.Inbound.Lost, micro(c.Inbound.Longest), c.Outbound.Lost, micro(c.Outbound.Longest))
	fmt.Fprintf(out, "   noise   the flow that was not cut: longest gap %s\n", micro(c.Reference.Longest))
}

// steps draws them as a list with bars on one scale.
func steps(out io.Writer, list []step) {
	const width = 30
	slices.SortStableFunc(list, func(a, b step) int { return int(a.at - b.at) })
	longest := time.Duration(1)
	for _, s := range list {
		longest = max(longest, s.at)
	}
	for _, s := range list {
		bar := int(int64(s.at) * width / int64(longest))
		fmt.Fprintf(out, "   %10s  %s%s%s  %s\n", micro(s.at), strings.Repeat("─", bar), "●", strings.Repeat(" ", width-bar), s.what)
	}
	fmt.Fprintln(out)
}

// strips draw each direction's arrivals around the cut, a character for each slot.
func strips(out io.Writer, t *trial.Trial, c trial.Cut) {
	const slots, before = 60, 15
	slot := 100 * time.Microsecond
	for worst := max(c.Inbound.Longest, c.Outbound.Longest); worst > (slots-before-10)*slot; {
		slot *= 2
	}
	from := c.At - before*int64(slot)
	to := from + slots*int64(slot)
	fmt.Fprintf(out, "   packets by the time they were sent, %s a character: █ arrived  · lost  blank: none sent\n   %s✂ cut\n", micro(slot), strings.Repeat(" ", 10+before))
	for _, d := range []struct {
		name string
		f    *flow.Flow
	}{{"inbound", t.Inbound}, {"outbound", t.Outbound}} {
		strip := []rune(strings.Repeat(" ", slots))
		for _, p := range d.f.Packets(from, to) {
			mark := &strip[(p.Sent-from)/int64(slot)]
			if p.Arrived == 0 {
				*mark = '·'
			} else if *mark == ' ' {
				*mark = '█'
			}
		}
		fmt.Fprintf(out, "   %-9s %s\n", d.name, string(strip))
	}
	fmt.Fprintln(out)
}

// micro prints whole microseconds below 10 ms, milliseconds above.
func micro(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%d µs", d.Round(time.Microsecond)/time.Microsecond)
	}
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
