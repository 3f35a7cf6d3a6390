// SPDX-License-Identifier: Apache-2.0

// Cost measures what ipmpd costs a host on this machine: the daemon's memory and that of its BPF
// maps; the throughput of one iperf3 connection through a member, with its programs on and off in
// turn; and the daemon's CPU time beside that of the smallest loop that sends the same. `go run
// ./test/cost` as root, with bin/ipmpd built, iperf3 and clang installed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/ipmpd/ipmpd/test/lab"
)

const config = `groups:
  unrealgrp1:
    detection-time: %s
    attach: tcx
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
	binary, detection string
	only              string
	pairs             int
	phase             time.Duration
	members           numbers
	intervals         durations
	turns             int
	turn              time.Duration
	threads           bool
}

func main() {
	var o options
	flag.StringVar(&o.binary, "ipmpd", "bin/ipmpd", "the daemon's binary")
	flag.StringVar(&o.detection, "detection-time", "100ms", "of the group")
	flag.IntVar(&o.pairs, "pairs", 200, "phases with and without, for each direction")
	flag.DurationVar(&o.phase, "phase", 100*time.Millisecond, "length of a phase")
	flag.StringVar(&o.only, "only", "memory,throughput,cpu", "what to measure")
	o.members, o.intervals = numbers{2, 8, 64}, durations{100 * time.Microsecond, 250 * time.Microsecond, time.Millisecond, 25 * time.Millisecond}
	flag.Var(&o.members, "members", "for cpu: how many (groups have 32)")
	flag.Var(&o.intervals, "intervals", "for cpu: between rounds")
	flag.IntVar(&o.turns, "turns", 7, "for cpu: phases of daemon and floor")
	flag.DurationVar(&o.turn, "turn", 500*time.Millisecond, "for cpu: length of a phase")
	flag.BoolVar(&o.threads, "threads", false, "for cpu: what each of the daemon's threads took")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, o options) (err error) {
	if o.binary, err = filepath.Abs(o.binary); err != nil {
		return err
	}
	only := strings.Split(o.only, ",")
	if slices.Contains(only, "memory") || slices.Contains(only, "throughput") {
		if err := use(ctx, o, only); err != nil {
			return err
		}
	}
	if slices.Contains(only, "cpu") {
		return cpu(ctx, o)
	}
	return nil
}

// use is what the daemon takes where its host is at work.
func use(ctx context.Context, o options, only []string) (err error) {
	l, err := lab.New(lab.Options{Members: 2})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	d, err := l.Daemon(o.binary, fmt.Sprintf(config, o.detection))
	if err != nil {
		return err
	}
	if err := d.WaitReady(10 * time.Second); err != nil {
		return err
	}
	err = l.Wait("the address in use", 10*time.Second, func() (bool, error) { return l.Peer.Reaches(lab.Data) })
	if err != nil {
		return err
	}
	if slices.Contains(only, "memory") {
		if err := memory(d); err != nil {
			return err
		}
	}
	if !slices.Contains(only, "throughput") {
		return nil
	}
	server := exec.CommandContext(ctx, "ip", "netns", "exec", l.Peer.Name, "iperf3", "-s")
	if err := server.Start(); err != nil {
		return fmt.Errorf("start iperf3: %w", err)
	}
	defer func() {
		_ = server.Process.Signal(syscall.SIGTERM) // it may have ended with the context
		_ = server.Wait()
	}()
	// It would put its programs back on. What is in the kernel works on.
	if err := d.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	var sw hooks
	if err := l.Host.Do(func() error { return sw.take(l) }); err != nil {
		return err
	}
	defer sw.close()
	for _, d := range []struct {
		name string
		args []string
	}{{"sending", nil}, {"receiving", []string{"-R"}}} {
		if err := compare(ctx, o, d.name, d.args, l, &sw); err != nil {
			return err
		}
	}
	return nil
}

// compare goes through one iperf3 connection, with and without the programs in turn. A pair is two
// phases side by side, every other one the wrong way round, so that a drift of the machine cancels.
func compare(ctx context.Context, o options, name string, args []string, l *lab.Lab, sw *hooks) error {
	seconds := int(time.Duration(2*o.pairs)*(o.phase+settle)/time.Second) + 10
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", l.Host.Name, "iperf3",
		"-c", "192.0.2.100", "-B", "192.0.2.10", "-t", strconv.Itoa(seconds)}, args...)...)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start iperf3: %w", err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	}()
	rate := func(on bool) (float64, error) {
		if err := l.Host.Do(func() error { return sw.set(on) }); err != nil {
			return 0, err
		}
		sleep(ctx, settle)
		before, err := octets(l)
		if err != nil {
			return 0, err
		}
		from := time.Now()
		sleep(ctx, o.phase)
		after, err := octets(l)
		return float64(after-before) * 8 / float64(time.Since(from).Nanoseconds()), errors.Join(err, ctx.Err())
	}
	err := l.Wait("iperf3 to move something", 10*time.Second, func() (bool, error) {
		g, err := rate(true)
		return g > 0.1, err
	})
	if err != nil {
		return err
	}
	var with, without, ratios []float64
	for i := range o.pairs {
		on := i%2 == 0
		first, err := rate(on)
		if err != nil {
			return err
		}
		second, err := rate(!on)
		if err != nil {
			return err
		}
		if !on {
			first, second = second, first
		}
		with, without = append(with, first), append(without, second)
		ratios = append(ratios, first/second)
	}
	slices.Sort(ratios)
	// The ranks between which the median of the population lies with 95 % (sign test).
	n := float64(len(ratios))
	low, high := int(n/2-0.98*math.Sqrt(n)), int(math.Ceil(n/2+0.98*math.Sqrt(n)))
	fmt.Printf("iperf3 %s, %d pairs of %v in one connection, attach tcx, detection-time %s\n", name, o.pairs, o.phase, o.detection)
	fmt.Printf("  without  median %.2f Gbit/s\n", median(without))
	fmt.Printf("  with     median %.2f Gbit/s\n", median(with))
	fmt.Printf("  ratio    median of pairs %.3f, 95 %% between %.3f and %.3f\n", median(ratios), ratios[max(low, 0)], ratios[min(high, len(ratios)-1)])
	return nil
}

// settle is how long after a change of programs nothing is measured.
const settle = 20 * time.Millisecond

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// octets that the first member has moved in both directions.
func octets(l *lab.Lab) (uint64, error) {
	link, err := l.Host.Link(l.Members[0].Name)
	if err != nil {
		return 0, err
	}
	stats := link.Attrs().Statistics
	return stats.RxBytes + stats.TxBytes, nil
}

// hooks are the places where the daemon's programs run, taken over from it: its links are detached,
// so that the same programs can be put on and taken off here.
type hooks struct {
	programs []program
}

type program struct {
	*ebpf.Program
	ifindex int
	attach  ebpf.AttachType
	link    link.Link
}

// take runs in the host's namespace.
func (h *hooks) take(l *lab.Lab) error {
	for _, m := range l.Members {
		dev, err := l.Host.Link(m.Name)
		if err != nil {
			return err
		}
		for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
			found, err := link.QueryPrograms(link.QueryOptions{Target: dev.Attrs().Index, Attach: at})
			if err != nil {
				return fmt.Errorf("query %s of %s: %w", at, m.Name, err)
			}
			if len(found.Programs) != 1 {
				return fmt.Errorf("%s of %s has %d programs, not the daemon's alone", at, m.Name, len(found.Programs))
			}
			p, err := ebpf.NewProgramFromID(found.Programs[0].ID)
			if err != nil {
				return fmt.Errorf("open the program of %s: %w", m.Name, err)
			}
			h.programs = append(h.programs, program{Program: p, ifindex: dev.Attrs().Index, attach: at})
			id, _ := found.Programs[0].LinkID()
			daemons, err := link.NewFromID(id)
			if err != nil {
				return fmt.Errorf("open the link of %s: %w", m.Name, err)
			}
			if err := errors.Join(daemons.Detach(), daemons.Close()); err != nil {
				return fmt.Errorf("detach %s: %w", m.Name, err)
			}
		}
	}
	return nil
}

func (h *hooks) set(on bool) error {
	for i := range h.programs {
		p := &h.programs[i]
		switch {
		case on && p.link == nil:
			l, err := link.AttachTCX(link.TCXOptions{Interface: p.ifindex, Program: p.Program, Attach: p.attach})
			if err != nil {
				return fmt.Errorf("attach: %w", err)
			}
			p.link = l
		case !on && p.link != nil:
			if err := p.link.Close(); err != nil {
				return fmt.Errorf("detach: %w", err)
			}
			p.link = nil
		}
	}
	return nil
}

func (h *hooks) close() {
	for _, p := range h.programs {
		if p.link != nil {
			_ = p.link.Close()
		}
		_ = p.Close()
	}
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
	maps, err := mapsOf(d.PID())
	if err != nil {
		return err
	}
	sum := 0
	for _, n := range maps {
		sum += n
	}
	fmt.Printf("BPF maps: %d, %.2f MiB\n", len(maps), float64(sum)/(1<<20))
	return nil
}

// mapsOf a process: id, and bytes of memory.
func mapsOf(pid int) (map[ebpf.MapID]int, error) {
	folder := fmt.Sprintf("/proc/%d/fdinfo", pid)
	fds, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("read file descriptors: %w", err)
	}
	maps := map[ebpf.MapID]int{}
	for _, f := range fds {
		info, err := os.ReadFile(filepath.Join(folder, f.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		values := map[string]int{}
		for line := range strings.Lines(string(info)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			if n, err := strconv.Atoi(strings.TrimSpace(value)); err == nil {
				values[key] = n
			}
		}
		if id, ok := values["map_id"]; ok {
			maps[ebpf.MapID(id)] = values["memlock"]
		}
	}
	return maps, nil
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
