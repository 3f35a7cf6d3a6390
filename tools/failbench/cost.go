// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// costly is a contender with processes of its own.
type costly interface {
	PIDs() []int
}

// cost is a second of quiet in which the contender's processor time is taken: that of its processes, not that
// of what its programs do in the kernel for others' packets.
type cost struct{ watch }

func (c *cost) Strike(a *arena) (result.Sample, error) {
	p, ok := a.contender.(costly)
	if !ok {
		return result.Sample{}, errors.New("it has no process whose time could be taken")
	}
	var used int64
	c.do = func(a *arena) error {
		before, err := cpuTime(p.PIDs())
		if err != nil {
			return err
		}
		begun := time.Now()
		if err := a.pause(time.Second); err != nil {
			return err
		}
		after, err := cpuTime(p.PIDs())
		used = (after - before) * int64(time.Second) / int64(time.Since(begun))
		return err
	}
	s, err := c.watch.Strike(a)
	s.CPU = used
	return s, err
}

// cpuTime of processes, ns, all their threads together: /proc/PID/task/TID/schedstat, which counts ns.
func cpuTime(pids []int) (sum int64, err error) {
	for _, pid := range pids {
		dir := fmt.Sprintf("/proc/%d/task", pid)
		threads, err := os.ReadDir(dir)
		if err != nil {
			return 0, err
		}
		for _, t := range threads {
			text, err := os.ReadFile(dir + "/" + t.Name() + "/schedstat")
			if errors.Is(err, os.ErrNotExist) {
				continue // it has ended meanwhile
			}
			if err != nil {
				return 0, err
			}
			first, _, _ := strings.Cut(string(text), " ")
			ns, err := strconv.ParseInt(first, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("schedstat of %d: %w", pid, err)
			}
			sum += ns
		}
	}
	return sum, nil
}
