// SPDX-License-Identifier: Apache-2.0

package solaris

import (
	"strings"

	"github.com/ipmpd/ipmpd/pkg/control"
)

// modes has the fields of each mode, with their widths (spec section 7.1).
var modes = map[Mode][]field{
	Addresses: {
		{column{"ADDRESS", 26}, func(r *row) string { return r.named(r.address.Address) }},
		{column{"STATE", 7}, func(r *row) string { return r.address.State }},
		{column{"GROUP", 12}, (*row).groupName},
		{column{"INBOUND", 12}, (*row).inbound},
		{column{"OUTBOUND", 23}, (*row).outbound},
	},
	Groups: {
		{column{"GROUP", 12}, (*row).groupName},
		{column{"GROUPNAME", 12}, (*row).groupName},
		{column{"STATE", 10}, func(r *row) string { return r.group.State }},
		{column{"FDT", 10}, (*row).detectionTime},
		{column{"INTERFACES", 30}, (*row).members},
	},
	Interfaces: {
		{column{"INTERFACE", 12}, func(r *row) string { return r.member.Name }},
		{column{"ACTIVE", 8}, func(r *row) string { return yesNo(r.member.Active) }},
		{column{"GROUP", 12}, (*row).groupName},
		{column{"FLAGS", 10}, (*row).flags},
		{column{"LINK", 10}, func(r *row) string { return r.member.Link }},
		{column{"PROBE", 10}, func(r *row) string { return r.member.Probe }},
		{column{"STATE", 10}, func(r *row) string { return r.member.State }},
	},
	Probes: {
		{column{"TIME", 10}, func(r *row) string { return seconds(r.since) }},
		{column{"INTERFACE", 12}, func(r *row) string { return r.probe.Interface }},
		{column{"PROBE", 7}, (*row).probeID},
		// The reply is stamped and taken in by the kernel at once: there is no way up through
		// an application that RTT would have and NETRTT not.
		{column{"NETRTT", 10}, func(r *row) string { return r.answered(r.probe.RTTNS) }},
		{column{"RTT", 10}, func(r *row) string { return r.answered(r.probe.RTTNS) }},
		{column{"RTTAVG", 10}, func(r *row) string { return r.answered(r.probe.RTTAvgNS) }},
		{column{"TARGET", 20}, (*row).target},
		{column{"RTTDEV", 10}, func(r *row) string { return r.answered(r.probe.RTTDevNS) }},
	},
	Targets: {
		{column{"INTERFACE", 12}, func(r *row) string { return r.member.Name }},
		{column{"MODE", 10}, (*row).targetMode},
		{column{"TESTADDR", 20}, (*row).testAddress},
		{column{"TARGETS", 38}, (*row).targets},
	},
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// groupName is both the group's name and that of its IPMP interface, of which there is none here.
func (r *row) groupName() string {
	if r.group == nil {
		return ""
	}
	return r.group.Name
}

func (r *row) inbound() string {
	if r.address.State != "up" {
		return ""
	}
	return r.address.Interface
}

// outbound is every member that carries traffic of the address's family.
func (r *row) outbound() string {
	if r.inbound() == "" {
		return ""
	}
	family := "ipv4"
	if strings.Contains(r.address.Address, ":") {
		family = "ipv6"
	}
	var list []string
	for i := range r.group.Interfaces {
		m := &r.group.Interfaces[i]
		active := m.Active
		if f, ok := m.Families[family]; ok {
			active = f.Active
		}
		if active {
			list = append(list, m.Name)
		}
	}
	return strings.Join(list, " ")
}

// detectionTime is what is configured, or what can be achieved where that is far from it; nothing
// where no member is probed.
func (r *row) detectionTime() string {
	probed := false
	for i := range r.group.Interfaces {
		kind := r.group.Interfaces[i].ProbeKind
		probed = probed || kind == "icmp" || kind == "arp"
	}
	if !probed || r.group.DetectionTimeNS == 0 {
		return ""
	}
	is := r.group.DetectionTimeNS
	if a := r.group.AchievableDetectionTimeNS; a != nil && *a > is+is/2 {
		is = *a
	}
	return seconds(is)
}

// members: active ones, then those that could be, then those that cannot.
func (r *row) members() string {
	var active, inactive, unusable []string
	for i := range r.group.Interfaces {
		m := &r.group.Interfaces[i]
		switch {
		case m.Active:
			active = append(active, m.Name)
		case usable(m):
			inactive = append(inactive, "("+m.Name+")")
		default:
			unusable = append(unusable, "["+m.Name+"]")
		}
	}
	return strings.Join(append(append(active, inactive...), unusable...), " ")
}

// usable as the contract has it, section 1.
func usable(m *control.Interface) bool {
	return m.State == "ok" || m.State == "unknown" && m.Link != "down"
}

// flags in their seven places. Multicast and broadcast leave by the first active member; a member
// that is offline keeps its addresses here, but as Solaris shows it none is in use.
func (r *row) flags() string {
	m := r.member
	flags := []byte("-------")
	set := func(place int, letter byte, is bool) {
		if is {
			flags[place] = letter
		}
	}
	set(0, 'i', r.group != nil && usable(m) && !m.Active)
	set(1, 's', m.Standby)
	set(2, 'm', r.nominee("ipv4"))
	set(3, 'b', r.nominee("ipv4"))
	set(4, 'M', r.nominee("ipv6"))
	set(5, 'd', m.State == "offline" || m.State == "missing")
	set(6, 'h', m.Cause == "mac")
	return string(flags)
}

// nominee is the first active member of a family.
func (r *row) nominee(family string) bool {
	if r.group == nil {
		return false
	}
	for i := range r.group.Interfaces {
		m := &r.group.Interfaces[i]
		if f, ok := m.Families[family]; ok && f.Active {
			return m.Name == r.member.Name
		}
	}
	return false
}

func (r *row) targetMode() string {
	switch {
	case r.family == "":
		return "disabled"
	case r.member.TargetsFrom[r.family] == "multicast", r.member.TargetsFrom[r.family] == "neighbours":
		return "multicast"
	}
	return "routes"
}

func (r *row) testAddress() string {
	if source := r.member.ProbesFrom[r.family]; source != "" {
		return r.named(source)
	}
	return ""
}

func (r *row) targets() string {
	var list []string
	for _, t := range r.member.Families[r.family].Targets {
		list = append(list, r.named(t))
	}
	return strings.Join(list, " ")
}
