// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ipmpd/ipmpd/test/lab"
)

const floorSource = "tools/failbench/floor.c"

// priority of the daemon's prober, by default.
const priority = "50"

// buildFloor compiles it; remove takes it away again.
func buildFloor(ctx context.Context) (binary string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "ipmpd-floor-")
	if err != nil {
		return "", nil, err
	}
	binary = filepath.Join(dir, "floor")
	out, err := exec.CommandContext(ctx, "clang", "-O2", "-Wall", "-Wextra", "-Werror", "-o", binary, floorSource).CombinedOutput()
	if err != nil {
		_ = os.RemoveAll(dir)
		return "", nil, fmt.Errorf("compile %s: %w: %s", floorSource, err, out)
	}
	return binary, func() { _ = os.RemoveAll(dir) }, nil
}

// floor in a lab: its programme, and what it is given behind interval and time.
type floor struct {
	binary string
	space  string
	args   []string
}

// newFloor gives the members their test addresses, so that the target answers them.
func newFloor(binary string, l *lab.Lab) (*floor, error) {
	target, err := l.Router.Link("eth0")
	if err != nil {
		return nil, err
	}
	f := &floor{binary: binary, space: l.Host.Name, args: []string{priority, target.Attrs().HardwareAddr.String(), lab.Router.String()}}
	for i, m := range l.Members {
		if err := l.Host.AddAddr(m.Name, lab.TestAddr(i).String()+"/24"); err != nil {
			return nil, err
		}
		mac, err := l.Host.Link(m.Name)
		if err != nil {
			return nil, err
		}
		// With all members on one link, ARP of the host alone would have several of them answer.
		if err := l.Router.Netlink.NeighSet(&netlink.Neigh{
			LinkIndex: target.Attrs().Index, IP: lab.TestAddr(i).AsSlice(), HardwareAddr: mac.Attrs().HardwareAddr, State: netlink.NUD_PERMANENT,
		}); err != nil {
			return nil, fmt.Errorf("tell the target of %s: %w", m.Name, err)
		}
		f.args = append(f.args, fmt.Sprintf("%s=%v", m.Name, lab.TestAddr(i)))
	}
	return f, nil
}

func (f *floor) run(ctx context.Context, interval, phase time.Duration) (cost, error) {
	args := append([]string{"netns", "exec", f.space, f.binary, strconv.FormatInt(interval.Nanoseconds(), 10),
		strconv.FormatFloat(phase.Seconds(), 'f', 3, 64)}, f.args...)
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
	if err != nil {
		return cost{}, fmt.Errorf("run the floor: %w: %s", err, out)
	}
	values := map[string]int64{}
	for _, field := range strings.Fields(string(out)) {
		key, value, _ := strings.Cut(field, "=")
		if values[key], err = strconv.ParseInt(value, 10, 64); err != nil {
			return cost{}, fmt.Errorf("the floor says %q: %w", field, err)
		}
	}
	if values["rounds"] == 0 {
		return cost{}, fmt.Errorf("the floor sent no round: %s", out)
	}
	return cost{
		rounds: uint64(values["rounds"]), cpu: time.Duration(values["cpu_ns"]), took: time.Duration(values["took_ns"]),
		late: quantiles{time.Duration(values["late_p50_ns"]), time.Duration(values["late_p99_ns"])},
	}, nil
}
