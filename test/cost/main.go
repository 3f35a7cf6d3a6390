// SPDX-License-Identifier: Apache-2.0

// Cost measures what ipmpd costs a host on this machine: the throughput of iperf3 through a member
// with the programs attached, over that without, alternating in one run; the daemon's memory; and
// that of its BPF maps. `go run ./test/cost` as root, with bin/ipmpd built and iperf3 installed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ipmpd/ipmpd/test/lab"
)

const config = `groups:
  unrealgrp1:
    detection-time: %s
    attach: %s
    targets: [192.0.2.1]
    interfaces:
      hme0:
        test: ["192.0.2.11/24"]
      hme1:
        test: ["192.0.2.12/24"]
        standby: true
    addresses:
      - 192.0.2.10/24
`

type options struct {
	binary, attach, detection string
	runs                      int
	each                      time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.binary, "ipmpd", "bin/ipmpd", "the daemon's binary")
	flag.StringVar(&o.attach, "attach", "tcx", "attach mode")
	flag.StringVar(&o.detection, "detection-time", "100ms", "of the group")
	flag.IntVar(&o.runs, "runs", 7, "runs with and without")
	flag.DurationVar(&o.each, "each", 2*time.Second, "length of a run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, o options) (err error) {
	binary, err := filepath.Abs(o.binary)
	if err != nil {
		return err
	}
	plain, err := newSide(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plain.close()) }()
	// Without ipmpd: the same address on the same interface, by hand.
	if err := plain.lab.Host.AddAddr("hme0", "192.0.2.10/24"); err != nil {
		return err
	}
	guarded, err := newSide(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, guarded.close()) }()
	d, err := guarded.lab.Daemon(binary, fmt.Sprintf(config, o.detection, o.attach))
	if err != nil {
		return err
	}
	if err := d.WaitReady(10 * time.Second); err != nil {
		return err
	}
	for _, d := range []struct {
		name string
		args []string
	}{{"sending", nil}, {"receiving", []string{"-R"}}} {
		if err := compare(ctx, o, d.name, d.args, plain, guarded); err != nil {
			return err
		}
	}
	return memory(d)
}

// compare one direction, run by run.
func compare(ctx context.Context, o options, name string, args []string, plain, guarded *side) error {
	var with, without []float64
	for range o.runs {
		for _, s := range []struct {
			side *side
			to   *[]float64
		}{{plain, &without}, {guarded, &with}} {
			g, err := s.side.throughput(ctx, o.each, args)
			if err != nil {
				return err
			}
			*s.to = append(*s.to, g)
		}
	}
	fmt.Printf("iperf3 %s, %d runs of %v each, alternating, attach %s, detection-time %s (Gbit/s)\n",
		name, o.runs, o.each, o.attach, o.detection)
	fmt.Printf("  without  median %.2f  (%s)\n", median(without), list(without))
	fmt.Printf("  with     median %.2f  (%s)\n", median(with), list(with))
	fmt.Printf("  ratio    %.3f\n", median(with)/median(without))
	return nil
}

// side is a lab with an iperf3 server at its peer.
type side struct {
	lab    *lab.Lab
	server *exec.Cmd
}

func newSide(ctx context.Context) (*side, error) {
	l, err := lab.New(lab.Options{Members: 2})
	if err != nil {
		return nil, err
	}
	s := &side{lab: l, server: exec.CommandContext(ctx, "ip", "netns", "exec", l.Peer.Name, "iperf3", "-s")}
	if err := s.server.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start iperf3: %w", err), l.Close())
	}
	return s, nil
}

func (s *side) close() error {
	_ = s.server.Process.Signal(syscall.SIGTERM) // it may have ended with the context
	_ = s.server.Wait()
	return s.lab.Close()
}

// throughput from the host's data address to the peer, in Gbit/s.
func (s *side) throughput(ctx context.Context, length time.Duration, args []string) (float64, error) {
	seconds := strconv.Itoa(max(1, int(length.Seconds())))
	cmd := exec.CommandContext(ctx, "ip", "netns", "exec", s.lab.Host.Name, "iperf3", "-J",
		"-c", "192.0.2.100", "-B", "192.0.2.10", "-t", seconds, "-O", "1")
	cmd.Args = append(cmd.Args, args...)
	var out []byte
	err := s.lab.Wait("iperf3 to connect", 10*time.Second, func() (bool, error) {
		var err error
		out, err = exec.CommandContext(ctx, cmd.Path, cmd.Args[1:]...).Output()
		return err == nil, err
	})
	if err != nil {
		return 0, err
	}
	var r struct {
		End struct {
			Received struct {
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return 0, fmt.Errorf("read iperf3's answer: %w", err)
	}
	if r.End.Received.BitsPerSecond == 0 {
		return 0, errors.New("iperf3 moved nothing")
	}
	return r.End.Received.BitsPerSecond / 1e9, nil
}

// memory of the daemon: resident set, and its BPF maps as the kernel accounts for them.
func memory(d *lab.Daemon) error {
	proc := fmt.Sprintf("/proc/%d", d.PID())
	status, err := os.ReadFile(proc + "/status")
	if err != nil {
		return fmt.Errorf("read memory: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "VmHWM") {
			fmt.Print("daemon ", line)
		}
	}
	fds, err := os.ReadDir(proc + "/fdinfo")
	if err != nil {
		return fmt.Errorf("read file descriptors: %w", err)
	}
	maps := map[string]int{}
	for _, f := range fds {
		info, err := os.ReadFile(filepath.Join(proc, "fdinfo", f.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		var id, lock string
		for line := range strings.Lines(string(info)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			switch key {
			case "map_id":
				id = strings.TrimSpace(value)
			case "memlock":
				lock = strings.TrimSpace(value)
			}
		}
		if n, err := strconv.Atoi(lock); err == nil && id != "" {
			maps[id] = n
		}
	}
	sum := 0
	for _, n := range maps {
		sum += n
	}
	fmt.Printf("BPF maps: %d, %.2f MiB\n", len(maps), float64(sum)/(1<<20))
	return nil
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

func list(v []float64) string {
	text := make([]string, len(v))
	for i, f := range v {
		text[i] = fmt.Sprintf("%.2f", f)
	}
	return strings.Join(text, " ")
}
