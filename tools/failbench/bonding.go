// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/lab"
)

// bonding is the kernel's, active-backup, with one way of watching its members.
type bonding struct {
	options string // of `ip link add … type bond`
	keeps   bool   // its neighbours while it has no carrier
	host    *lab.Netns
	members []string
	down    map[string]time.Time // members that the bond holds for down, since when
}

const bond = "bond0"

// tick of Debian's kernel. An interval of bonding is rounded up to ticks, and a work that is asked for n ticks from now
// is done n+1 ticks from now: with an interval of 1 ms the monitors look every 8 ms.
const tick = 4 * time.Millisecond

// bondings are the ways that take part. With arp_missed_max 1, in place of its default of 2, it is faster than most would
// dare.
func bondings() []entrant {
	var list []entrant
	for _, b := range []struct {
		name, options string
		interval      time.Duration
		blind, full   bool
		keeps         bool // see bonding.keeps
	}{
		{"bonding-miimon-1", "miimon 1", 2 * tick, true, true, false},
		{"bonding-miimon-100", "miimon 100", 26 * tick, true, false, false},
		{"bonding-arp-1", "arp_interval 1", 2 * tick, false, false, false},
		{"bonding-arp-1-keep", "arp_interval 1", 2 * tick, false, true, true},
		{"bonding-arp-1-missed-1", "arp_interval 1 arp_missed_max 1", 2 * tick, false, false, false},
		{"bonding-arp-1-validate", "arp_interval 1 arp_validate all", 2 * tick, false, false, false},
		{"bonding-arp-10-validate", "arp_interval 10 arp_validate all", 4 * tick, false, false, false},
		{"bonding-arp-100-validate", "arp_interval 100 arp_validate all", 26 * tick, false, false, false},
	} {
		options, settings := b.options, "mode active-backup "+b.options
		if !b.blind {
			options += " arp_ip_target " + lab.Router.String()
			settings = "mode active-backup " + options + "; a member that it still holds for down a second after the repair is taken out and put in again"
		}
		if b.keeps {
			settings += "; " + keeping(bond)
		}
		list = append(list, entrant{
			Name: b.name, Family: "bonding", Settings: settings, Interval: b.interval, Headline: true, Blind: b.blind, Full: b.full, Daemonless: true,
			Credulous: !b.blind && !strings.Contains(b.options, "arp_validate"),
			Subject:   bondingSubject, New: func() contender { return &bonding{options: options, keeps: b.keeps, down: map[string]time.Time{}} },
		})
	}
	return list
}

// bondingSubject does not load the module: that makes an interface in this machine's own namespace.
func bondingSubject() (string, error) {
	if _, err := os.Stat("/sys/module/bonding"); err != nil {
		return "", errors.New("the kernel has no bonding, or it is not loaded; make bench-vm, or modprobe bonding max_bonds=0")
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	return "bonding of Linux " + unix.ByteSliceToString(u.Release[:]), nil
}

// Setup is what a person would type.
func (b *bonding) Setup(t *topology) error {
	b.host = t.Host
	lines := []string{"link add " + bond + " type bond mode active-backup " + b.options}
	for _, m := range t.Members {
		b.members = append(b.members, m.Name)
		lines = append(lines, "link set "+m.Name+" down", "link set "+m.Name+" master "+bond)
	}
	lines = append(lines, "link set "+bond+" up")
	if err := typed(t, "bonding.ip", lines, bond); err != nil || !b.keeps {
		return err
	}
	return keep(t, bond)
}

// keep the neighbours of a device that is without a carrier for a moment. By default they go, and who sends then
// waits for ARP: for a second, as the first request is lost in that moment.
func keep(t *topology, device string) error {
	return t.Host.Sysctl("ipv4/conf/"+device+"/arp_evict_nocarrier", "0")
}

func keeping(device string) string {
	return "sysctl net.ipv4.conf." + device + ".arp_evict_nocarrier=0"
}

// typed gives lines to `ip -batch` in the host, and the host's addresses to a device.
func typed(t *topology, name string, lines []string, device string) error {
	for _, a := range t.dataAddresses() {
		lines = append(lines, "address add "+a.String()+" dev "+device)
	}
	path, err := t.Config(name, strings.Join(lines, "\n")+"\n")
	if err != nil {
		return err
	}
	out, err := exec.Command("ip", "-n", t.Host.Name, "-batch", path).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip -batch %s: %w: %s", path, err, bytes.TrimSpace(out))
	}
	return nil
}

// Ready when one member is active and all are up, so that there is one to fail over to.
func (b *bonding) Ready() (bool, error) {
	active := 0
	for _, name := range b.members {
		link, err := b.host.Link(name)
		if err != nil {
			return false, lab.Fatal(err)
		}
		s, ok := link.Attrs().Slave.(*netlink.BondSlave)
		if !ok {
			return false, lab.Fatal(fmt.Errorf("%s is not in %s", name, bond))
		}
		if s.MiiStatus != netlink.BondLinkUp {
			if err := b.rejoin(link); err != nil {
				return false, lab.Fatal(err)
			}
			return false, fmt.Errorf("%s is %s", name, s.MiiStatus)
		}
		delete(b.down, name)
		if s.State == netlink.BondStateActive {
			active++
		}
	}
	if active != 1 {
		return false, fmt.Errorf("%d members are active", active)
	}
	return true, nil
}

// rejoin a member that has been down for a second although nothing is wrong with it any more. With an interval of
// one tick it stayed so for 20 s when tried: the backup hears no more than the active member's own probes, which come
// every second tick, and is believed to be up where the last came within one.
func (b *bonding) rejoin(link netlink.Link) error {
	name := link.Attrs().Name
	since, known := b.down[name]
	if !known {
		b.down[name] = time.Now()
	}
	if !known || time.Since(since) < time.Second {
		return nil
	}
	delete(b.down, name)
	master, err := b.host.Link(bond)
	if err != nil {
		return err
	}
	n := b.host.Netlink
	if err := errors.Join(n.LinkSetNoMaster(link), n.LinkSetDown(link), n.LinkSetMaster(link, master)); err != nil {
		return fmt.Errorf("put %s into %s again: %w", name, bond, err)
	}
	return nil
}

// Offline has another member do the work: bonding has no other word for it than which member is the active one.
func (b *bonding) Offline(member string) error {
	for _, name := range b.members {
		if name != member {
			return b.activate(name)
		}
	}
	return fmt.Errorf("%s has no member beside %s", bond, member)
}

// Online has the member do the work again.
func (b *bonding) Online(member string) error { return b.activate(member) }

func (b *bonding) activate(member string) error {
	out, err := exec.Command("ip", "-n", b.host.Name, "link", "set", bond, "type", "bond", "active_slave", member).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make %s the active member of %s: %w: %s", member, bond, err, bytes.TrimSpace(out))
	}
	return nil
}

// Teardown has nothing to end: the device goes with the namespace.
func (b *bonding) Teardown() error { return nil }
