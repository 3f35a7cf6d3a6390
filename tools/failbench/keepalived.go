// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ipmpd/ipmpd/test/lab"
)

// keepalived moves the address between two hosts by VRRP (RFC 5798), version 3, whose interval has steps of a
// hundredth of a second: the shortest is what takes part.
type keepalived struct {
	t         *topology
	processes []*process
}

func keepaliveds() []entrant {
	return []entrant{{
		Name: "keepalived-vrrp-10ms", Family: "keepalived", Settings: "VRRPv3 between two hosts, advertisements every 10 ms, the least there is; priorities 150 and 100",
		Shape: twoHosts, Interval: 10 * time.Millisecond,
		Subject: func() (string, error) { return packaged("keepalived", "keepalived", "--version") },
		New:     func() contender { return &keepalived{} },
	}}
}

// packaged is the first line of what a program says about its version, or why it is not here.
func packaged(pkg, program string, args ...string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%s is not installed; apt-get install %s", program, pkg)
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, out)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return first, nil
}

// Setup starts one on each host. Both begin as backups, so that the higher priority decides.
func (k *keepalived) Setup(t *topology) error {
	k.t = t
	for i, host := range []struct {
		ns       *lab.Netns
		priority int
	}{{t.Host, 150}, {t.Second, 100}} {
		member := t.Members[i].Name
		if err := host.ns.AddAddr(member, netip.PrefixFrom(lab.TestAddr(i), 24).String()); err != nil {
			return err
		}
		var b strings.Builder
		fmt.Fprintf(&b, "global_defs {\n    router_id host%d\n    vrrp_version 3\n}\n", i)
		fmt.Fprintf(&b, "vrrp_instance bench {\n    state BACKUP\n    interface %s\n    virtual_router_id 51\n    priority %d\n    advert_int 0.01\n", member, host.priority)
		b.WriteString("    virtual_ipaddress {\n")
		for _, a := range t.dataAddresses() {
			fmt.Fprintf(&b, "        %s dev %s\n", a, member)
		}
		b.WriteString("    }\n}\n")
		name := fmt.Sprintf("keepalived%d", i)
		config, err := t.Config(name+".conf", b.String())
		if err != nil {
			return err
		}
		if config, err = filepath.Abs(config); err != nil {
			return err
		}
		file := func(kind string) string { return filepath.Join(t.Dir, name+kind) }
		p, err := start(host.ns, file(".log"), exec.Command("keepalived", "--dont-fork", "--vrrp", "--no-syslog", "--log-console",
			"--use-file", config, "--pid", file(".pid"), "--vrrp_pid", file("-vrrp.pid")))
		if err != nil {
			return err
		}
		k.processes = append(k.processes, p)
	}
	return nil
}

// Ready when the first host alone has the address.
func (k *keepalived) Ready() (bool, error) {
	for _, p := range k.processes {
		if err := p.ended(); err != nil {
			return false, lab.Fatal(err)
		}
	}
	first, err := has(k.t.Host, k.t.Members[0].Name)
	if err != nil {
		return false, err
	}
	second, err := has(k.t.Second, k.t.Members[1].Name)
	if err != nil {
		return false, err
	}
	if !first || second {
		return false, fmt.Errorf("the first host has the address: %t, the second: %t", first, second)
	}
	return true, nil
}

func has(ns *lab.Netns, member string) (bool, error) {
	addrs, err := ns.Addresses(member)
	for _, a := range addrs {
		if a.Addr() == lab.Data {
			return true, err
		}
	}
	return false, err
}

// Teardown ends both.
func (k *keepalived) Teardown() error { return stopAll(k.processes) }

// PIDs of the first host's, the parent and its VRRP process.
func (k *keepalived) PIDs() []int { return family(k.processes[0].cmd.Process.Pid) }
