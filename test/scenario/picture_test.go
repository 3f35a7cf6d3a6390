// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
)

// picture is everything on the host that ipmpd could touch, by what shows it, one thing a line.
type picture map[string][]string

// look takes one. Only what changes by itself is left out: lifetimes that run down.
func (s *scene) look() picture {
	s.t.Helper()
	p := picture{}
	require.NoError(s.t, s.InHost(func() error {
		commands := []string{"ip -j -d addr", "ip -j -d -4 route show table all", "ip -j -d -6 route show table all", "ip -j -d nexthop",
			"ip -j -4 rule", "ip -j -6 rule", "ip -j neigh show nud permanent", "ip -j maddr", "tc -j qdisc"}
		for _, m := range s.Members {
			commands = append(commands, "tc -j filter show dev "+m.Name+" ingress", "tc -j filter show dev "+m.Name+" egress")
		}
		for _, c := range commands {
			lines, err := listed(c)
			if err != nil {
				return err
			}
			p[c] = lines
		}
		for _, m := range s.Members {
			ifindex, err := ifindexOf(m.Name)
			if err != nil {
				return err
			}
			for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
				result, err := link.QueryPrograms(link.QueryOptions{Target: ifindex, Attach: at})
				if err != nil && lacksTCX() {
					continue
				}
				if err != nil {
					return err
				}
				for _, program := range result.Programs {
					p["links"] = append(p["links"], fmt.Sprint(m.Name, " ", at, " ", program.ID))
				}
			}
		}
		for _, dir := range []string{"/proc/sys/net/ipv4", "/proc/sys/net/ipv6", "/sys/fs/bpf"} {
			err := filepath.WalkDir(dir, func(path string, f fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				line := path
				if strings.HasPrefix(path, "/proc/sys/") && !f.IsDir() {
					if value, err := os.ReadFile(path); err == nil { // some are for writing only
						line += " = " + string(bytes.TrimSpace(value))
					}
				}
				p[dir] = append(p[dir], line)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	}))
	return p
}

func ifindexOf(name string) (n int, err error) {
	text, err := os.ReadFile("/sys/class/net/" + name + "/ifindex")
	if err == nil {
		_, err = fmt.Sscan(string(text), &n)
	}
	return n, err
}

// listed are the objects that a command shows. Routes have no order that means something here.
func listed(command string) ([]string, error) {
	words := strings.Fields(command)
	out, err := exec.Command(words[0], words[1:]...).Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	var list []any
	if len(bytes.TrimSpace(out)) > 0 {
		if err := json.Unmarshal(out, &list); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", command, err, out)
		}
	}
	lines := []string{}
	for _, v := range list {
		withoutAge(v)
		line, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		lines = append(lines, string(line))
	}
	if strings.Contains(command, "route") {
		slices.Sort(lines)
	}
	return lines, nil
}

// withoutAge takes out what runs down by itself.
func withoutAge(v any) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			withoutAge(x)
		}
	case map[string]any:
		for key, x := range v {
			if n, ok := x.(float64); ok && n != 1<<32-1 && (key == "valid_life_time" || key == "preferred_life_time" || key == "expires") {
				v[key] = "some time"
			}
			withoutAge(x)
		}
	}
}

// rested is the picture of a host on which nothing happens any more.
func (s *scene) rested() picture {
	s.t.Helper()
	var last picture
	s.wait("a host that rests", func() (bool, error) {
		p := s.look()
		addrs := strings.Join(p["ip -j -d addr"], "")
		rests := last != nil && slices.Equal(last["ip -j -d addr"], p["ip -j -d addr"]) && slices.Equal(last["ip -j maddr"], p["ip -j maddr"]) &&
			!strings.Contains(addrs, "tentative") && strings.Count(addrs, `"local":"fe80::`) >= len(s.Members)
		last = p
		s.pass(50 * time.Millisecond)
		return rests, nil
	})
	return last
}

// of is the part of a picture that names an interface, but for the pins and programs.
func (p picture) of(name string) (lines []string) {
	for _, kind := range []string{"ip -j -d addr", "ip -j -d -4 route show table all", "ip -j -d -6 route show table all", "ip -j maddr",
		"tc -j qdisc", "/proc/sys/net/ipv4", "/proc/sys/net/ipv6", "links"} {
		for _, line := range p[kind] {
			if strings.Contains(line, name) && !strings.Contains(line, "157") {
				lines = append(lines, line)
			}
		}
	}
	return lines
}
