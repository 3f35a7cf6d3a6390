// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// Member is an interface of the host, with its cable and the switch port it hangs on. Its methods
// are for one goroutine at a time; Port is safe for all.
type Member struct {
	Name string
	Port *faults.Port

	lab    *Lab
	ns     *Netns // of the host it belongs to
	number int
	mac    net.HardwareAddr
	sw     *netSwitch
	cable  cable
}

func (l *Lab) buildMember(i int) error {
	m := &Member{Name: fmt.Sprintf("hme%d", i), lab: l, ns: l.Host, number: i, mac: l.nextMAC(false), sw: l.switches[0]}
	if i < len(l.opts.Names) {
		m.Name = l.opts.Names[i]
	}
	if i >= l.opts.Members-l.opts.SecondSwitch {
		m.sw = l.switches[1]
	}
	if l.opts.TwoHosts && i == l.opts.Members-1 {
		m.ns = l.Second
	}
	l.Members = append(l.Members, m)
	return m.Recreate()
}

// Recreate makes the interface again after [Member.Delete]: same name, same MAC, another ifindex.
func (m *Member) Recreate() error {
	if m.cable != nil {
		return fmt.Errorf("recreate %s: it exists", m.Name)
	}
	var opts CableOptions
	if m.number < len(m.lab.opts.Cables) {
		opts = m.lab.opts.Cables[m.number]
	}
	c, port, err := m.lab.plug(m.ns, m.Name, m.mac, m.sw, m.Name, opts)
	if err != nil {
		return fmt.Errorf("member %s: %w", m.Name, err)
	}
	m.cable, m.Port = c, port
	return nil
}

// Delete takes the interface away, with its cable and its switch port.
func (m *Member) Delete() error {
	if m.cable == nil {
		return fmt.Errorf("delete %s: it does not exist", m.Name)
	}
	if err := m.cable.close(); err != nil {
		return err
	}
	m.cable = nil
	return nil
}

// CutSilent loses every frame in both directions and leaves the carrier. The moment of the cut is
// Port.CutAt.
func (m *Member) CutSilent() error { return m.Port.Cut() }

// CutCarrier pulls the cable. It returns the CLOCK_MONOTONIC time in ns just before.
func (m *Member) CutCarrier() (int64, error) {
	at := faults.Now()
	if err := m.cable.carrier(false); err != nil {
		return 0, fmt.Errorf("cut carrier of %s: %w", m.Name, err)
	}
	return at, nil
}

// Repair ends a cut of either kind.
func (m *Member) Repair() error {
	if err := m.Port.Heal(); err != nil {
		return err
	}
	if err := m.cable.carrier(true); err != nil {
		return fmt.Errorf("carrier of %s: %w", m.Name, err)
	}
	return nil
}

// Forwards tells whether the switch uses the port: it may learn of a carrier that is back as much as a second
// after the host does.
func (m *Member) Forwards() (bool, error) {
	link, err := m.sw.ns.Link(m.Name)
	if err != nil {
		return false, err
	}
	state := link.Attrs().OperState
	return state != netlink.OperDown && state != netlink.OperLowerLayerDown, nil
}

// Netem puts the kernel's network emulator on the way from the switch to the host, `Netem("delay", "5ms")`; without
// arguments it takes it off. It needs a kernel that has it, and tc(8).
func (m *Member) Netem(args ...string) error {
	line := []string{"-n", m.sw.ns.Name, "qdisc", "replace", "dev", m.Name, "root", "netem"}
	if len(args) == 0 {
		line = []string{"-n", m.sw.ns.Name, "qdisc", "delete", "dev", m.Name, "root"}
	}
	out, err := exec.Command("tc", append(line, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("netem %s to %s: %w: %s", strings.Join(args, " "), m.Name, err, bytes.TrimSpace(out))
	}
	return nil
}

// MAC of the interface.
func (m *Member) MAC() net.HardwareAddr { return m.mac }
