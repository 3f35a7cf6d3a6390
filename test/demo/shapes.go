// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ipmpd/ipmpd/test/lab/trial"
)

// shapes of groups that are compared with the first one.
var shapes = []struct {
	name  string
	shape trial.Shape
}{
	{"pair", trial.Shape{}},
	{"standby", trial.Shape{Standby: 1}},
	{"ipv6", trial.Shape{Families: trial.IPv6}},
	{"dual", trial.Shape{Families: trial.Dual}},
	{"eight", trial.Shape{Members: 8}},
}

// block is how many cuts of each kind one lab is used for. Labs follow each other, so that all shapes see
// the same machine.
const block = 5

// sample is what one cut of a shape cost. A file of them is a run that can be gone on with.
type sample struct {
	Shape    string        `json:"shape"`
	Kind     trial.Kind    `json:"kind"`
	Missed   bool          `json:"missed"`
	Inbound  time.Duration `json:"inbound_ns"`
	Outbound time.Duration `json:"outbound_ns"`
	Verdict  time.Duration `json:"verdict_ns"`
	Noise    time.Duration `json:"noise_ns"`
	False    int           `json:"false_failovers"`
}

// compare the shapes until there are so many cuts of each kind and shape.
func compare(ctx context.Context, o options, out io.Writer) error {
	samples, err := readSamples(o.raw)
	if err != nil {
		return err
	}
	chosen := strings.Split(o.shapes, ",")
	for _, name := range chosen {
		if !slices.ContainsFunc(shapes, func(s struct {
			name  string
			shape trial.Shape
		}) bool {
			return s.name == name
		}) {
			return fmt.Errorf("SHAPES=%s: no such shape; pair, standby, ipv6, dual, eight are", name)
		}
	}
	begun := time.Now()
	for more := true; more; {
		more = false
		for _, s := range shapes {
			if !slices.Contains(chosen, s.name) || count(samples, s.name) >= 2*o.cuts || o.limit > 0 && time.Since(begun) > o.limit {
				continue
			}
			list, err := cutShape(ctx, o, s.name, s.shape, out)
			samples = append(samples, list...)
			if err == nil {
				err = appendSamples(o.raw, list)
			}
			if err != nil {
				printShapes(out, samples)
				return fmt.Errorf("%s: %w", s.name, err)
			}
			more = true
		}
	}
	missed := printShapes(out, samples)
	if o.json {
		line, err := json.Marshal(map[string]any{"shapes": summaries(samples), "kernel": kernel(),
			"detection_time_us": float64(o.detection) / float64(time.Microsecond)})
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s\n", line)
	}
	if missed > 0 {
		return errFailed
	}
	return nil
}

func count(samples []sample, shape string) (n int) {
	for i := range samples {
		if samples[i].Shape == shape {
			n++
		}
	}
	return n
}

// cutShape builds the lab of one shape and cuts its first member, silent and carrier in turn.
func cutShape(ctx context.Context, o options, name string, shape trial.Shape, out io.Writer) (list []sample, err error) {
	t, err := trial.New(trial.Options{Binary: o.binary, Attach: o.attach, Detection: o.detection, Shape: shape})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	m := &measurement{Trial: t, opts: o, out: out}
	for i := range block {
		for _, kind := range []trial.Kind{trial.Silent, trial.Carrier} {
			if err := m.ready(ctx); err != nil {
				return list, err
			}
			c, err := m.Cut(kind)
			if err != nil {
				return list, err
			}
			m.note(i, c)
			list = append(list, sample{Shape: name, Kind: kind, Missed: c.Missed, Inbound: c.Inbound.Longest,
				Outbound: c.Outbound.Longest, Noise: c.Reference.Longest, False: len(c.Unexplained),
				Verdict: time.Duration(c.Failover.Timeline["verdict"])})
		}
	}
	if err := m.ready(ctx); err != nil {
		return list, err
	}
	_, err = t.Download.Finish(10 * time.Second)
	return list, err
}

// shapeSummary of the cuts of one kind, with the p50 over that of the pair.
type shapeSummary struct {
	N             int             `json:"n"`
	Missed        int             `json:"missed"`
	False         int             `json:"false_failovers"`
	Inbound       trial.Quantiles `json:"inbound_gap_us"`
	Outbound      trial.Quantiles `json:"outbound_gap_us"`
	Verdict       trial.Quantiles `json:"verdict_us"`
	Noise         trial.Quantiles `json:"noise_gap_us"`
	InboundRatio  float64         `json:"inbound_ratio"`
	OutboundRatio float64         `json:"outbound_ratio"`
}

// summaries by kind and shape.
func summaries(samples []sample) map[trial.Kind]map[string]*shapeSummary {
	all := map[trial.Kind]map[string]*shapeSummary{}
	for _, kind := range []trial.Kind{trial.Silent, trial.Carrier} {
		all[kind] = map[string]*shapeSummary{}
		for _, shape := range shapes {
			s := &shapeSummary{}
			var inbound, outbound, verdict, noise []time.Duration
			for _, x := range samples {
				if x.Kind != kind || x.Shape != shape.name {
					continue
				}
				s.N, s.False = s.N+1, s.False+x.False
				if x.Missed {
					s.Missed++
					continue
				}
				inbound, outbound = append(inbound, x.Inbound), append(outbound, x.Outbound)
				verdict, noise = append(verdict, x.Verdict), append(noise, x.Noise)
			}
			if s.N == 0 {
				continue
			}
			s.Inbound, s.Outbound = trial.Quantify(inbound), trial.Quantify(outbound)
			s.Verdict, s.Noise = trial.Quantify(verdict), trial.Quantify(noise)
			if pair := all[kind]["pair"]; pair != nil {
				s.InboundRatio, s.OutboundRatio = ratio(s.Inbound, pair.Inbound), ratio(s.Outbound, pair.Outbound)
			} else if shape.name == "pair" {
				s.InboundRatio, s.OutboundRatio = 1, 1
			}
			all[kind][shape.name] = s
		}
	}
	return all
}

// ratio of two p50; 0: there is nothing to compare.
func ratio(a, b trial.Quantiles) float64 {
	if b.P50 == 0 {
		return 0
	}
	return a.P50 / b.P50
}

func printShapes(out io.Writer, samples []sample) (missed int) {
	all := summaries(samples)
	for _, kind := range []trial.Kind{trial.Silent, trial.Carrier} {
		fmt.Fprintf(out, "\n  %-8s %5s %6s %5s   %-29s %5s   %-29s %5s   %7s   %s\n", kind, "n", "missed", "false",
			"inbound gap p50 / p99 / max", "ratio", "outbound gap p50 / p99 / max", "ratio", "verdict", "noise p50 / p99 (us)")
		for _, shape := range shapes {
			s := all[kind][shape.name]
			if s == nil {
				continue
			}
			missed += s.Missed
			three := func(q trial.Quantiles) string { return fmt.Sprintf("%.0f / %.0f / %.0f", q.P50, q.P99, q.Max) }
			fmt.Fprintf(out, "  %-8s %5d %6d %5d   %-29s %5.2f   %-29s %5.2f   %7.0f   %.0f / %.0f\n", shape.name, s.N, s.Missed, s.False,
				three(s.Inbound), s.InboundRatio, three(s.Outbound), s.OutboundRatio, s.Verdict.P50, s.Noise.P50, s.Noise.P99)
		}
	}
	return missed
}

func readSamples(path string) (list []sample, err error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for in := json.NewDecoder(f); ; {
		var s sample
		if err := in.Decode(&s); errors.Is(err, io.EOF) {
			return list, nil
		} else if err != nil {
			return nil, fmt.Errorf("read %s: %w; take another file", path, err)
		}
		list = append(list, s)
	}
}

func appendSamples(path string, list []sample) error {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	to := json.NewEncoder(f)
	for i := range list {
		err = errors.Join(err, to.Encode(&list[i]))
	}
	return errors.Join(err, f.Close())
}
