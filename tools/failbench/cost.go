// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// family of a process: it and its children. Some kernels do not list these, so all are looked at.
func family(pid int) []int {
	parents := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		// PID (NAME) STATE PARENT, and the name may have anything in it.
		after := text[bytes.LastIndexByte(text, ')')+1:]
		fields := strings.Fields(string(after))
		own, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil || len(fields) < 2 {
			continue
		}
		if parent, err := strconv.Atoi(fields[1]); err == nil {
			parents[parent] = append(parents[parent], own)
		}
	}
	pids := []int{pid}
	for i := 0; i < len(pids); i++ {
		pids = append(pids, parents[pids[i]]...)
	}
	return pids
}
