// SPDX-License-Identifier: Apache-2.0

package config

import "fmt"

// HostLink is what CheckHost wants to know about an interface of the host.
type HostLink struct {
	Name       string
	Exists     bool
	Loopback   bool
	Master     string // name of the device it is enslaved to; "" is none
	MasterKind string // rtnetlink's kind of that device: bridge, bond, vrf ...
	MTU        int
	Manager    string // ManagerNetworkd or ManagerNM where that would undo a move; "" where not
}

// The managers that take addresses off on carrier loss and put them back (contract section 3).
const (
	ManagerNetworkd = "networkd"
	ManagerNM       = "NetworkManager"
)

// CheckHost judges the members of a configuration by what the host is. Links may come in any
// order; a member without a link counts as missing, which is only a warning: it joins when it
// appears. Both lists are in file order, groups before monitored interfaces. Of these nothing moves,
// so that a port of a bridge or a bond, and an interface that somebody manages, may be watched.
func CheckHost(cfg *Config, links []HostLink) (errs []*Error, warnings []Warning) {
	host := make(map[string]HostLink, len(links))
	for _, l := range links {
		host[l.Name] = l
	}
	for _, g := range cfg.Groups {
		var first *HostLink
		for _, m := range g.Interfaces {
			l := host[m.Name]
			if !l.Exists {
				warnings = append(warnings, Warning(hostError(cfg, m, "check the name, or plug it in; the group runs without it",
					"interface %s does not exist", m.Name)))
				continue
			}
			if err := checkLink(cfg, m, l); err != nil {
				errs = append(errs, err)
				continue
			}
			if first == nil {
				first = &l
			} else if l.MTU != first.MTU {
				err := hostError(cfg, m, "give the members of a group one MTU",
					"interface %s has MTU %d, but %s has %d", m.Name, l.MTU, first.Name, first.MTU)
				errs = append(errs, &err)
			}
			if vrf(l) != vrf(*first) {
				warnings = append(warnings, Warning(hostError(cfg, m, "put the members of a group into one VRF, or none of them; their routes are in one table",
					"interface %s is in %s, but %s in %s", m.Name, vrf(l), first.Name, vrf(*first))))
			}
		}
	}
	for _, m := range cfg.Monitor {
		switch l := host[m.Name]; {
		case !l.Exists:
			warnings = append(warnings, Warning(hostError(cfg, m, "check the name, or plug it in; it is watched when it appears",
				"interface %s does not exist", m.Name)))
		case l.Loopback:
			err := hostError(cfg, m, "remove it", "interface %s is a loopback", m.Name)
			errs = append(errs, &err)
		}
	}
	return errs, warnings
}

// vrf that a link belongs to.
func vrf(l HostLink) string {
	if l.MasterKind == "vrf" {
		return "the VRF " + l.Master
	}
	return "no VRF"
}

// checkLink returns the first thing that keeps a link from being a member.
func checkLink(cfg *Config, m Interface, l HostLink) *Error {
	var err Error
	switch {
	case l.Loopback:
		err = hostError(cfg, m, "remove it", "interface %s is a loopback", m.Name)
	case l.MasterKind == "bridge":
		err = hostError(cfg, m, "take it off the bridge", "interface %s is a port of the bridge %s", m.Name, l.Master)
	case l.MasterKind == "bond" || l.MasterKind == "team":
		err = hostError(cfg, m, "take it off, or name the "+l.MasterKind+" itself",
			"interface %s is a port of the %s %s", m.Name, l.MasterKind, l.Master)
	case l.Manager == ManagerNetworkd:
		err = hostError(cfg, m, fmt.Sprintf("write `[Match]\\nName=%s\\n[Link]\\nUnmanaged=yes` to "+
			"/etc/systemd/network/05-ipmpd-%s.network and run `networkctl reload`", m.Name, m.Name),
			"systemd-networkd manages interface %s and would undo a move", m.Name)
	case l.Manager == ManagerNM:
		err = hostError(cfg, m, fmt.Sprintf("write `[keyfile]\\nunmanaged-devices+=interface-name:%s` to "+
			"/etc/NetworkManager/conf.d/90-ipmpd-%s.conf and run `nmcli general reload`, then `ip link set %s up`, because it sets it down", m.Name, m.Name, m.Name),
			"NetworkManager manages interface %s and would undo a move", m.Name)
	default:
		return nil
	}
	return &err
}

func hostError(cfg *Config, m Interface, advice, format string, args ...any) Error {
	return cfg.ErrorAt(m.Pos, fmt.Sprintf(format, args...), advice)
}

// ErrorAt is an error that only a host shows, at the place of what it is about.
func (c *Config) ErrorAt(at Pos, cause, advice string) Error {
	if w := c.origin.at(at); w.file != "" {
		return *w.wrong(advice, "%s", cause)
	}
	return Error{File: c.File, Line: at.Line, Column: at.Column, Cause: cause, Advice: advice}
}

// Solaris says whether it was made from Solaris files, which know no such key as `force`.
func (c *Config) Solaris() bool { return c.origin != nil }
