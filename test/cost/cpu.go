// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/lab"
)

// cpu compares what the daemon takes with the floor: the smallest loop of C that sends the same
// frames at the same ticks (tools/failbench/floor.c). Each has a lab of its own, of the same form,
// and they take turns: the daemon is stopped (SIGSTOP) while the floor runs.
func cpu(ctx context.Context, o options) error {
	floor, remove, err := buildFloor(ctx)
	if err != nil {
		return err
	}
	defer remove()
	fmt.Printf("CPU time, daemon and floor in turn, %d pairs of phases of %v (%d rounds at least); medians\n", o.turns, o.turn, leastRounds)
	fmt.Println("  members  interval  daemon: rounds/s  us/round  of a core  late p50/p99 us   floor: rounds/s  us/round  of a core  late p50/p99 us   ratio of us/round")
	for _, members := range o.members {
		if err := cpuOf(ctx, o, floor, members); err != nil {
			return fmt.Errorf("%d members: %w", members, err)
		}
	}
	return nil
}

// leastRounds of a phase: slow rounds get longer phases.
const leastRounds = 100

func cpuOf(ctx context.Context, o options, floor string, members int) (err error) {
	var labs [2]*lab.Lab
	for i := range labs {
		if labs[i], err = lab.New(lab.Options{Members: members}); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, labs[i].Close()) }()
	}
	f, err := newFloor(floor, labs[1])
	if err != nil {
		return err
	}
	var d *lab.Daemon
	for _, interval := range o.intervals {
		text := manyConfig(members, 4*interval)
		if d == nil {
			d, err = labs[0].Daemon(o.binary, text)
		} else if err = errors.Join(d.Stop(), d.Configure(text)); err == nil {
			err = d.Start()
		}
		if err != nil {
			return err
		}
		if err := cpuCell(ctx, o, labs[0], d, f, members, interval); err != nil {
			return fmt.Errorf("rounds of %v: %w", interval, err)
		}
	}
	return nil
}

// manyConfig is one group, or several where one cannot have so many members.
func manyConfig(members int, detection time.Duration) string {
	var b strings.Builder
	b.WriteString("groups:\n")
	for i := range members {
		if i%groupMembers == 0 {
			fmt.Fprintf(&b, "  group%d:\n    detection-time: %v\n    adapt: false\n    attach: tcx\n    duplicate-check: false\n"+
				"    targets: [%v]\n    addresses: [192.0.2.%d/24]\n    interfaces:\n",
				i/groupMembers, detection, lab.Router, 200+i/groupMembers)
		}
		fmt.Fprintf(&b, "      hme%d: {test: [%v/24]}\n", i, lab.TestAddr(i))
	}
	return b.String()
}

const groupMembers = 32

// cost of one phase.
type cost struct {
	rounds uint64
	cpu    time.Duration
	took   time.Duration
	late   quantiles // behind the tick
}

type quantiles struct{ p50, p99 time.Duration }

func (c cost) perRound() float64 { return float64(c.cpu.Nanoseconds()) / 1000 / float64(c.rounds) }
func (c cost) share() float64    { return float64(c.cpu) / float64(c.took) }
func (c cost) rate() float64     { return float64(c.rounds) / c.took.Seconds() }

func cpuCell(ctx context.Context, o options, l *lab.Lab, d *lab.Daemon, f *floor, members int, interval time.Duration) error {
	if err := d.WaitReady(20 * time.Second); err != nil {
		return err
	}
	tracks, err := openTracks(d, (members+groupMembers-1)/groupMembers)
	if err != nil {
		return err
	}
	defer tracks.close()
	err = l.Wait("all members to answer", 20*time.Second, func() (bool, error) {
		s, err := d.Status()
		if err != nil {
			return false, err
		}
		for _, g := range s.Groups {
			for _, m := range g.Interfaces {
				if m.Probe != "ok" || m.State != "ok" {
					return false, fmt.Errorf("%s is %s, probe %s", m.Name, m.State, m.Probe)
				}
			}
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	phase := max(o.turn, leastRounds*interval)
	sleep(ctx, time.Second) // what comes with a start is over
	var daemons, floors []cost
	var threads map[string]time.Duration
	for range o.turns {
		before := threadTimes(d.PID())
		c, err := daemonPhase(ctx, d, tracks, interval, phase)
		if err != nil {
			return err
		}
		threads = addDifference(threads, before, threadTimes(d.PID()))
		daemons = append(daemons, c)
		if err := d.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		c, err = f.run(ctx, interval, phase)
		if err := errors.Join(err, d.Signal(syscall.SIGCONT), ctx.Err()); err != nil {
			return err
		}
		floors = append(floors, c)
		sleep(ctx, settle)
	}
	var ratios []float64
	for i := range daemons {
		ratios = append(ratios, daemons[i].perRound()/floors[i].perRound())
	}
	slices.Sort(ratios)
	fmt.Printf("  %7d  %8v  %s  %s   %.2f (%.2f .. %.2f)\n", members, interval, row(daemons), row(floors), median(ratios), ratios[0], ratios[len(ratios)-1])
	if o.threads {
		took := time.Duration(0)
		for _, c := range daemons {
			took += c.took
		}
		printThreads(threads, took)
	}
	return nil
}

func row(list []cost) string {
	var rate, per, share, p50, p99 []float64
	for _, c := range list {
		rate, per, share = append(rate, c.rate()), append(per, c.perRound()), append(share, c.share())
		p50, p99 = append(p50, micro(c.late.p50)), append(p99, micro(c.late.p99))
	}
	return fmt.Sprintf("%16.0f  %8.1f  %8.2f %%  %7.1f %7.1f", median(rate), median(per), 100*median(share), median(p50), median(p99))
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// daemonPhase lets the daemon run.
func daemonPhase(ctx context.Context, d *lab.Daemon, t *tracks, interval, phase time.Duration) (cost, error) {
	from, err := t.rounds()
	if err != nil {
		return cost{}, err
	}
	used, begun := processTime(d.PID()), time.Now()
	sleep(ctx, phase)
	c := cost{cpu: processTime(d.PID()) - used, took: time.Since(begun)}
	to, err := t.rounds()
	if err != nil {
		return cost{}, err
	}
	if c.rounds = to - from; c.rounds == 0 {
		return cost{}, fmt.Errorf("the daemon sent no round in %v", phase)
	}
	c.late, err = t.late(interval)
	return c, err
}

// processTime is the CPU time of a process, with all its threads, also those that have ended.
func processTime(pid int) time.Duration {
	const sched = 2 // CPUCLOCK_SCHED of linux/posix-timers_types.h: in ns, not in ticks
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|sched), &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// threadTimes of a process, by thread; none where the kernel does not tell (CONFIG_SCHED_DEBUG).
func threadTimes(pid int) map[string]time.Duration {
	times := map[string]time.Duration{}
	list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, e := range list {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/sched", pid, e.Name()))
		if err != nil {
			continue // it has ended
		}
		values := map[string]string{}
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok {
				values[strings.TrimSpace(key)] = strings.TrimSpace(value)
			}
		}
		ms, _ := strconv.ParseFloat(values["se.sum_exec_runtime"], 64)
		times[e.Name()+", policy "+values["policy"]] = time.Duration(ms * float64(time.Millisecond))
	}
	return times
}

func addDifference(sum, before, after map[string]time.Duration) map[string]time.Duration {
	if sum == nil {
		sum = map[string]time.Duration{}
	}
	for k, v := range after {
		sum[k] += v - before[k]
	}
	return sum
}

func printThreads(times map[string]time.Duration, took time.Duration) {
	for _, k := range slices.SortedFunc(maps.Keys(times), func(a, b string) int { return int(times[b] - times[a]) }) {
		if share := 100 * float64(times[k]) / float64(took); share >= 0.01 {
			fmt.Printf("           thread %s: %.2f %% of a core\n", k, share)
		}
	}
}
