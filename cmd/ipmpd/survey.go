// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/check"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/group"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// survey is what `check` reads of the host. It reads, and changes nothing: programs that it loads to
// see whether the kernel takes them are attached to nothing and closed again.
type survey struct {
	cfg *config.Config
	// root is where files of managers and leases are looked for; "/" but in tests.
	root      string
	effective uint64
	pins      string
	snapshot  *netstate.Snapshot
	units     []*unit // groups
	monitored []*unit
	kernel    check.KernelFacts
	processes []check.Process
}

// examine the host for a configuration. The error is of what has to be readable anywhere.
func examine(ctx context.Context, cfg *config.Config, root string) ([]check.Finding, error) {
	s := &survey{cfg: cfg, root: root}
	var err error
	if s.effective, err = effectiveRights(); err != nil {
		return nil, err
	}
	watcher, err := netstate.Open(netstate.Options{})
	if err != nil {
		return nil, err
	}
	s.snapshot = watcher.Snapshot()
	if err := watcher.Close(); err != nil {
		return nil, fmt.Errorf("close rtnetlink: %w", err)
	}
	groups := cfg.Watched()
	places := seating{}.allot(groups)
	for i := range groups {
		u := newUnit(&groups[i], places)
		for _, m := range u.members {
			m.look(s.snapshot)
		}
		if u.monitors() {
			s.monitored = append(s.monitored, u)
			continue
		}
		u.state, _ = group.New(u.groupConfig(), time.Duration(monotonic()), u.start(s.snapshot))
		s.units = append(s.units, u)
	}
	s.pins = pinsHere()
	s.kernel = kernelFacts(missingRights(s.effective) == nil)
	s.processes = processesHere()

	found := check.Kernel(s.kernel)
	found = append(found, check.Rights(s.rights())...)
	found = append(found, check.Realtime(realtimeFacts(cfg.Realtime, s.effective))...)
	found = append(found, s.members()...)
	found = append(found, check.Sysctls(s.sysctls())...)
	found = append(found, check.All(s.all())...)
	found = append(found, check.Routes(s.staying())...)
	found = append(found, s.unmoved(ctx)...)
	return found, nil
}

// members that exist, with everything that is about one of them.
func (s *survey) members() []check.Finding {
	var found []check.Finding
	var links []check.Link
	var drivers []check.Driver
	var managers []check.Manager
	first := firstNamespace(s.root)
	for _, u := range s.units {
		foreign := u.foreign(s.snapshot)
		for _, m := range u.members {
			if m.ifindex == 0 {
				continue
			}
			l := check.Link{Name: m.cfg.Name, Group: u.cfg.Name, MAC: m.mac}
			for _, a := range foreign {
				if a.Interface == l.Name {
					l.Foreign = append(l.Foreign, a.Address)
				}
			}
			l.Uppers = uppersOf(s.snapshot, m.ifindex)
			d, programs, notes := s.driver(u, m)
			l.Programs = programs
			found = append(found, notes...)
			links, drivers = append(links, l), append(drivers, d)
			if first {
				manager := managerOf(s.root, l.Name, m.ifindex)
				for _, a := range u.cfg.Addresses {
					manager.Ours = append(manager.Ours, a.Prefix)
				}
				managers = append(managers, manager)
			}
		}
	}
	for _, u := range s.monitored {
		if m := u.members[0]; m.ifindex != 0 {
			d, _, notes := s.driver(u, m)
			drivers, found = append(drivers, d), append(found, notes...)
			if text := m.lacks(); text != "" {
				found = append(found, check.Finding{Level: check.Warning, About: m.cfg.Name, Text: text,
					Advice: []string{"add it, or leave `test` out: then its own first address will do"}})
			}
		}
	}
	found = slices.Concat(check.Drivers(drivers), found, check.Links(links), check.Ports(drivers), check.Managers(managers))
	if !first && len(links) > 0 {
		found = append(found, check.Finding{Level: check.Note, About: "managers",
			Text: "not looked at: the files of networkd, NetworkManager and ifupdown speak of another network namespace"})
	}
	return found
}

// driver of a member with what is on it already: programs of others.
func (s *survey) driver(u *unit, m *member) (d check.Driver, programs []string, notes []check.Finding) {
	d = check.Driver{Member: m.cfg.Name, Name: driverOf(m.cfg.Name), Attach: string(u.cfg.Attach), TCX: s.kernel.TCX}
	foreign, err := bpf.ForeignOn(m.ifindex, s.pins)
	if err != nil {
		notes = append(notes, check.Finding{Level: check.Note, About: m.cfg.Name, Text: "programs of others were not looked at: " + err.Error()})
	}
	for _, p := range foreign {
		programs = append(programs, p.String())
		if p.Hook == "xdp" {
			d.XDPByOther = strings.TrimPrefix(p.String(), "xdp ")
		}
	}
	return d, programs, notes
}

// sysctls that `run` would set, by the plan that it would make.
func (s *survey) sysctls() []check.Sysctl {
	var d addr.Desired
	for _, u := range s.units {
		d.Groups = append(d.Groups, u.desired())
	}
	o := observed(s.snapshot, d)
	var list []check.Sysctl
	for _, op := range addr.Plan(d, o) {
		if op.Kind == addr.SetSysctl {
			list = append(list, check.Sysctl{Member: op.LinkName, Key: op.Key, From: o.Sysctls[op.Key], To: op.Value, Why: op.Why})
		}
	}
	return list
}

// unmoved is what does not move with an address (contract section 1).
func (s *survey) unmoved(ctx context.Context) []check.Finding {
	var groups []check.Group
	var members []string
	byIndex := map[int]string{}
	for _, u := range s.units {
		g := check.Group{Name: u.cfg.Name}
		for _, m := range u.members {
			g.Members = append(g.Members, m.cfg.Name)
			if m.ifindex != 0 {
				byIndex[m.ifindex] = m.cfg.Name
			}
		}
		groups = append(groups, g)
		members = append(members, g.Members...)
	}
	rules, flowtables, missed := firewall(ctx)
	found := check.Rules(rules, groups)
	found = append(found, check.Flowtables(flowtables, groups)...)
	found = append(found, check.NotLookedAt(missed)...)
	bound, err := boundSockets(byIndex)
	if err != nil {
		found = append(found, check.Finding{Level: check.Note, About: "sockets", Text: "not looked at: " + oneLine(err)})
	}
	found = append(found, check.Sockets(bound)...)
	return append(found, check.Processes(s.processes, members)...)
}

// uppersOf a member are VLANs and the like on it. A veth's parent is its other end.
func uppersOf(s *netstate.Snapshot, ifindex int) (list []string) {
	for i := range s.Links {
		l := &s.Links[i]
		switch l.Kind {
		case "vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "vxlan", "macsec":
			if l.Parent == ifindex && l.PeerNetNS == -1 {
				list = append(list, l.Name+" ("+l.Kind+")")
			}
		}
	}
	return list
}
