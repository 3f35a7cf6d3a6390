// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/lab/faults"
	"github.com/ipmpd/ipmpd/test/lab/trial"
)

// report is the object that JSON=1 prints.
type report struct {
	Silent         *trial.Summary `json:"silent,omitempty"`
	Carrier        *trial.Summary `json:"carrier,omitempty"`
	Second         *trial.Summary `json:"second_carrier,omitempty"`
	Stopped        *stopped       `json:"stopped,omitempty"`
	TCP            bool           `json:"tcp_ok"`
	FalseFailovers int            `json:"false_failovers"`
	// PlannedLost are packets lost by repair, failback, offline and online.
	PlannedLost int             `json:"planned_lost"`
	Noise       trial.Quantiles `json:"noise_gap_us"` // of the flow that is not cut, same windows
	TCPBytes    int64           `json:"tcp_bytes"`
	Attach      string          `json:"attach"`
	Kernel      string          `json:"kernel"`
	DetectionUS float64         `json:"detection_time_us"`
	Seconds     float64         `json:"seconds"`
}

// stopped sums up the cuts with user space stopped.
type stopped struct {
	N         int             `json:"n"`
	Valid     int             `json:"valid"` // stopped before the routes were written
	Outbound  trial.Quantiles `json:"outbound_gap_us"`
	LostAfter int             `json:"lost_after_verdict"`
	Missed    int             `json:"missed"`
}

// measurement in progress.
type measurement struct {
	*trial.Trial
	opts   options
	out    io.Writer
	report report
	all    []trial.Cut
}

func measure(ctx context.Context, o options, t *trial.Trial, out io.Writer) error {
	m := &measurement{Trial: t, opts: o, out: out}
	begun := time.Now()
	m.report.Attach, m.report.Kernel = m.attached(), kernel()
	m.report.DetectionUS = float64(o.detection) / float64(time.Microsecond)
	err := m.cuts(ctx)
	if err == nil {
		err = m.strays()
	}
	if err != nil {
		m.print(errUnfinished) // what there is
		return err
	}
	r, tcpErr := t.Download.Finish(10 * time.Second)
	m.report.TCP, m.report.TCPBytes = tcpErr == nil, r.Bytes
	m.report.Noise = trial.Noise(m.all)
	m.report.Seconds = time.Since(begun).Seconds()
	m.print(tcpErr)
	if o.json {
		line, err := json.Marshal(m.report)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s\n", line)
	}
	for _, s := range []*trial.Summary{m.report.Silent, m.report.Carrier, m.report.Second} {
		if s != nil && s.Missed > 0 {
			return errFailed
		}
	}
	if tcpErr != nil {
		return errFailed
	}
	return nil
}

var errUnfinished = errors.New("not finished")

func (m *measurement) cuts(ctx context.Context) error {
	if m.opts.stopped {
		return m.stops(ctx)
	}
	if m.opts.second {
		return m.pairs(ctx)
	}
	for _, kind := range []trial.Kind{trial.Silent, trial.Carrier} {
		cuts, err := m.cutsOf(ctx, kind)
		s := trial.Summarize(cuts)
		if kind == trial.Silent {
			m.report.Silent = &s
		} else {
			m.report.Carrier = &s
		}
		if err != nil {
			return err
		}
	}
	return m.ready(ctx)
}

func (m *measurement) cutsOf(ctx context.Context, kind trial.Kind) ([]trial.Cut, error) {
	var cuts []trial.Cut
	for i := range m.opts.cuts {
		if err := m.ready(ctx); err != nil {
			return cuts, err
		}
		c, err := m.Cut(kind)
		if err != nil {
			return cuts, err
		}
		m.note(i, c)
		cuts = append(cuts, c)
	}
	return cuts, nil
}

func (m *measurement) pairs(ctx context.Context) error {
	var firsts, seconds []trial.Cut
	for i := range m.opts.cuts {
		if err := m.ready(ctx); err != nil {
			return err
		}
		direction := faults.To // the second is of the member with inbound traffic, then of that with outbound
		if i%2 == 1 {
			direction = faults.From
		}
		first, second, err := m.CutTwice(direction)
		if err != nil {
			return err
		}
		m.note(i, first)
		firsts = append(firsts, first)
		if !first.Missed {
			m.note(i, second)
			seconds = append(seconds, second)
		}
	}
	a, b := trial.Summarize(firsts), trial.Summarize(seconds)
	m.report.Carrier, m.report.Second = &a, &b
	return m.ready(ctx)
}

func (m *measurement) stops(ctx context.Context) error {
	r := &stopped{}
	var gaps []time.Duration
	// The stop must come in the some 200 us between verdict and routes; not all do.
	for i := 0; r.Valid < m.opts.cuts && i < 5*m.opts.cuts; i++ {
		if err := m.ready(ctx); err != nil {
			return err
		}
		s, err := m.CutStopped(trial.Carrier)
		if err != nil {
			return err
		}
		m.note(i, s.Cut)
		r.N++
		if s.Missed {
			r.Missed++
		}
		if s.Before {
			r.Valid++
			r.LostAfter += s.LostAfter
			gaps = append(gaps, s.Outbound.Longest)
		}
	}
	r.Outbound = trial.Quantify(gaps)
	m.report.Stopped = r
	return m.ready(ctx)
}

// ready repairs the last cut and waits until all is at home.
func (m *measurement) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	from := faults.Now()
	if err := m.Repair(); err != nil {
		return err
	}
	p, err := m.Home(from)
	m.report.PlannedLost += p.Lost()
	if p.Lost() > 0 && m.opts.verbose {
		fmt.Fprintf(m.out, "  going home lost %d inbound, gap %s from %s after the repair; %d outbound, gap %s from %s\n",
			p.Inbound.Lost, micro(p.Inbound.Longest), micro(time.Duration(p.Inbound.Start-from)),
			p.Outbound.Lost, micro(p.Outbound.Longest), micro(time.Duration(p.Outbound.Start-from)))
	}
	return err
}

func (m *measurement) note(i int, c trial.Cut) {
	m.all = append(m.all, c)
	m.report.FalseFailovers += len(c.Unexplained)
	for _, e := range c.Unexplained {
		fmt.Fprintf(m.out, "  FALSE failover of %s at %s: %s %s, found with %s cut %d, of %s\n",
			e.Interface, e.Time.Format("15:04:05.000000"), e.Cause, e.Detail, c.Kind, i+1, c.Member)
	}
	if len(c.Unexplained) > 0 {
		fmt.Fprint(m.out, m.Daemon.Tail(60))
	}
	if c.Missed {
		fmt.Fprintf(m.out, "  MISSED %s cut %d of %s\n", c.Kind, i+1, c.Member)
	}
	if m.opts.verbose {
		fmt.Fprintf(m.out, "  %-7s %3d %s  in %s (%d lost)  out %s (%d lost)  noise %s  wire out %s ann %s in %s  told %v\n",
			c.Kind, i+1, c.Member, micro(c.Inbound.Longest), c.Inbound.Lost, micro(c.Outbound.Longest), c.Outbound.Lost,
			micro(c.Reference.Longest), micro(c.Wire.Outbound), micro(c.Wire.Announcement), micro(c.Wire.Inbound), c.Failover.Timeline)
	}
}

// strays counts failovers after the last cut.
func (m *measurement) strays() error {
	late, err := m.Unexplained()
	m.report.FalseFailovers += len(late)
	return err
}

func (m *measurement) attached() string {
	s, err := m.Daemon.Status()
	if err != nil || len(s.Groups) == 0 || len(s.Groups[0].Interfaces) == 0 {
		return ""
	}
	return s.Groups[0].Interfaces[0].Attach
}

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

func (m *measurement) print(tcp error) {
	w := m.out
	fmt.Fprintf(w, "\n  microseconds          %9s %9s %9s %9s %9s\n", "min", "p50", "p90", "p99", "max")
	row := func(name string, q trial.Quantiles) {
		fmt.Fprintf(w, "  %-20s  %9.0f %9.0f %9.0f %9.0f %9.0f\n", name, q.Min, q.P50, q.P90, q.P99, q.Max)
	}
	for _, s := range []struct {
		name string
		*trial.Summary
	}{{"silent", m.report.Silent}, {"carrier", m.report.Carrier}, {"second carrier", m.report.Second}} {
		if s.Summary == nil {
			continue
		}
		fmt.Fprintf(w, "  %s cuts: %d, missed %d, lost %d inbound, %d outbound\n", s.name, s.N, s.Missed, s.LostInbound, s.LostOutbound)
		row("  inbound gap", s.Inbound)
		row("  outbound gap", s.Outbound)
		row("  verdict", s.Verdict)
	}
	if s := m.report.Stopped; s != nil {
		fmt.Fprintf(w, "  user space stopped: %d, of these before the routes %d, missed %d\n", s.N, s.Valid, s.Missed)
		fmt.Fprintf(w, "  outbound packets lost after the switch: %d\n", s.LostAfter)
		row("  outbound gap", s.Outbound)
	}
	row("noise (not cut)", m.report.Noise)
	fmt.Fprintf(w, "  failovers without a cut %d; lost by planned moves %d; ", m.report.FalseFailovers, m.report.PlannedLost)
	if tcp != nil {
		fmt.Fprintf(w, "TCP BROKEN: %s\n", strings.TrimSpace(tcp.Error()))
	} else {
		fmt.Fprintf(w, "TCP: 1 connection, %.0f MB, checksum right\n", float64(m.report.TCPBytes)/1e6)
	}
}
