// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ipmpd/ipmpd/test/lab"
)

// bfd is a session between the host, on its first member, and the router, both of the same make. It moves
// nothing: measured is when either end says that it is down.
type bfd struct {
	// launch one end: its processes.
	launch func(t *topology, ns *lab.Netns, name, ifname string, own, other netip.Addr) ([]*process, error)

	t            *topology
	processes    []*process
	hosts        int // of the processes, those of the host
	host, router *bfdEnd
}

// Both with 10 ms three times: shorter ones go down under load (peers.md: BIRD at 3 ms, three times in 20 s).
const bfdInterval = 10 * time.Millisecond

func bfds() []entrant {
	settings := "BFD between host and router, 10 ms, three times; detection only"
	return []entrant{
		{Name: "bird-bfd-10ms", Family: "bird", Settings: settings, Detects: true, Interval: bfdInterval,
			Subject: func() (string, error) { return packaged("bird2", "bird", "--version") },
			New:     func() contender { return &bfd{launch: launchBIRD} }},
		{Name: "frr-bfd-10ms", Family: "frr", Settings: settings + "; bfdd's own floor", Detects: true, Interval: bfdInterval,
			Subject: func() (string, error) { return packaged("frr", frrDir+"bfdd", "--version") },
			New:     func() contender { return &bfd{launch: launchFRR} }},
	}
}

func launchBIRD(t *topology, ns *lab.Netns, name, ifname string, own, other netip.Addr) ([]*process, error) {
	config, err := t.Config(name+".conf", fmt.Sprintf(`router id %s;
protocol device {}
protocol bfd {
	interface %q {
		min rx interval 10 ms;
		min tx interval 10 ms;
		idle tx interval 100 ms;
		multiplier 3;
	};
	neighbor %s dev %q local %s;
}
`, own, ifname, other, ifname, own))
	if err != nil {
		return nil, err
	}
	if config, err = filepath.Abs(config); err != nil {
		return nil, err
	}
	file := func(kind string) string { return filepath.Join(t.Dir, name+kind) }
	p, err := start(ns, file(".log"), exec.Command("bird", "-f", "-c", config, "-s", file(".ctl"), "-P", file(".pid")))
	if err != nil {
		return nil, err
	}
	return []*process{p}, nil
}

const (
	frrDir  = "/usr/lib/frr/"
	frrUser = "frr"
)

// launchFRR starts zebra, which tells bfdd of the interfaces, and bfdd. A path space of their own keeps their
// sockets apart from those of this host's and of the other end's. They insist on a user of their package's
// group frrvty, who may not read where the results are: the folder has a copy of what they are configured by.
func launchFRR(t *topology, ns *lab.Netns, name, ifname string, own, other netip.Addr) (list []*process, err error) {
	space := filepath.Base(t.Dir) + "-" + name
	sockets := filepath.Join("/var/run/frr", space)
	if err := os.MkdirAll(sockets, 0o755); err != nil {
		return nil, err
	}
	owner, err := user.Lookup(frrUser)
	if err != nil {
		return nil, fmt.Errorf("%w; the package frr makes it", err)
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", frrUser, err)
	}
	if err := os.Chown(sockets, uid, -1); err != nil {
		return nil, err
	}
	for _, d := range []struct{ daemon, config string }{
		{"zebra", ""},
		{"bfdd", fmt.Sprintf("bfd\n peer %s local-address %s interface %s\n  detect-multiplier 3\n  receive-interval 10\n  transmit-interval 10\n exit\nexit\n", other, own, ifname)},
	} {
		if _, err := t.Config(name+"-"+d.daemon+".conf", d.config); err != nil {
			return list, err
		}
		config := filepath.Join(sockets, d.daemon+".conf")
		if err := os.WriteFile(config, []byte(d.config), 0o644); err != nil {
			return list, err
		}
		p, err := start(ns, filepath.Join(t.Dir, name+"-"+d.daemon+".log"), exec.Command(frrDir+d.daemon, "-N", space, "-f", config,
			"-i", filepath.Join(sockets, d.daemon+".pid"), "-u", frrUser, "-g", frrUser, "-A", "127.0.0.1", "-P", "0", "--log", "stdout"))
		if err != nil {
			return list, err
		}
		list = append(list, p)
	}
	return list, nil
}

// Setup gives the host's end an address and starts both.
func (b *bfd) Setup(t *topology) (err error) {
	b.t = t
	member := t.Members[0].Name
	if err := t.Host.AddAddr(member, netip.PrefixFrom(lab.TestAddr(0), 24).String()); err != nil {
		return err
	}
	if b.host, err = listenBFD(t.Host, member); err != nil {
		return err
	}
	if b.router, err = listenBFD(t.Router, "eth0"); err != nil {
		return err
	}
	list, err := b.launch(t, t.Host, "host", member, lab.TestAddr(0), lab.Router)
	b.processes, b.hosts = list, len(list)
	if err != nil {
		return err
	}
	list, err = b.launch(t, t.Router, "router", "eth0", lab.Router, lab.TestAddr(0))
	b.processes = append(b.processes, list...)
	return err
}

// Ready when both ends say that they are up.
func (b *bfd) Ready() (bool, error) {
	for _, p := range b.processes {
		if err := p.ended(); err != nil {
			return false, lab.Fatal(err)
		}
	}
	if !b.host.up() || !b.router.up() {
		return false, fmt.Errorf("the host's end is up: %t, the router's: %t", b.host.up(), b.router.up())
	}
	return true, nil
}

// Down is when the router, to which inbound traffic would go on, and the host said that they are down.
func (b *bfd) Down(after int64) (inbound, outbound int64) {
	return b.router.down(after), b.host.down(after)
}

// Teardown ends both.
func (b *bfd) Teardown() error {
	for _, e := range []*bfdEnd{b.host, b.router} {
		if e != nil {
			e.close()
		}
	}
	err := stopAll(b.processes)
	for _, name := range []string{"host", "router"} {
		_ = os.RemoveAll(filepath.Join("/var/run/frr", filepath.Base(b.t.Dir)+"-"+name)) // not there but for FRR
	}
	return err
}

// PIDs of the host's end.
func (b *bfd) PIDs() (pids []int) {
	for _, p := range b.processes[:b.hosts] {
		pids = append(pids, family(p.cmd.Process.Pid)...)
	}
	return pids
}

// timespec of a control message: two native words.
func timespec(data []byte) int64 {
	return int64(binary.NativeEndian.Uint64(data))*int64(time.Second) + int64(binary.NativeEndian.Uint64(data[8:]))
}
