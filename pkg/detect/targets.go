// SPDX-License-Identifier: Apache-2.0

package detect

import (
	"net/netip"
	"slices"
	"time"
)

const (
	mostConfigured = 16
	mostChosen     = 5
	autoARP        = 100 * time.Millisecond // 10 a second: switches shut a port at 15
)

var linkLocal = netip.MustParsePrefix("fe80::/10")

// Candidates for targets of one family of a group.
type Candidates struct {
	Configured []netip.Addr          // where given, only these
	NextHops   []netip.Addr          // of the group's routes
	Responders []netip.Addr          // to multicast, the first one first
	Neighbours []netip.Addr          // reachable ones, the best first
	Own        func(netip.Addr) bool // whether it is an address of this host; nil: it has none
	Subnets    []netip.Prefix        // of the test and data addresses
}

// ChooseTargets of one family: the configured ones (at most 16), else on-link next hops, else up to
// 5 responders to multicast, else up to 5 reachable neighbours. An address of this host, or one that
// is not on link, is never a target. Spec section 3.
func ChooseTargets(f Family, c Candidates) []netip.Addr {
	if len(c.Configured) > 0 {
		return c.pick(f, c.Configured, mostConfigured)
	}
	if hops := c.pick(f, c.NextHops, mostChosen); len(hops) > 0 {
		return hops
	}
	if responders := c.pick(f, c.Responders, mostChosen); len(responders) > 0 {
		return responders
	}
	return c.pick(f, c.Neighbours, mostChosen)
}

// Source is where the targets are from.
type Source string

// Sources of targets.
const (
	FromConfig     Source = "config"
	FromRoutes     Source = "routes"
	FromMulticast  Source = "multicast"
	FromNeighbours Source = "neighbours"
)

// SourceOf what ChooseTargets chooses.
func SourceOf(f Family, c Candidates) Source {
	switch {
	case len(c.Configured) > 0:
		return FromConfig
	case len(c.pick(f, c.NextHops, 1)) > 0:
		return FromRoutes
	case len(c.pick(f, c.Responders, 1)) > 0:
		return FromMulticast
	}
	return FromNeighbours
}

// hosts: neither the file nor a route names them.
func (s Source) hosts() bool { return s == FromMulticast || s == FromNeighbours }

// Retarget is ChooseTargets and SourceOf for a group whose targets so far were those of was, and from
// where. While the group has failed they stay, unless the file or a route names others: a route may
// have gone because of the failure, and a neighbour that does not answer leaves the kernel's table.
// Without them nobody would be asked whether the failure is over. Spec sections 2.7 and 3.1.
func Retarget(f Family, c Candidates, was []netip.Addr, from Source, failed bool) ([]netip.Addr, Source) {
	is := SourceOf(f, c)
	if !failed || !is.hosts() || from == FromConfig {
		return ChooseTargets(f, c), is
	}
	if from.hosts() {
		was = append(append(slices.Clone(was), c.Responders...), c.Neighbours...)
	}
	if stay := c.pick(f, was, mostChosen); len(stay) > 0 {
		return stay, from
	}
	return ChooseTargets(f, c), is
}

func (c *Candidates) pick(f Family, from []netip.Addr, most int) []netip.Addr {
	var out []netip.Addr
	for _, a := range from {
		a = a.Unmap().WithZone("")
		fits := a.IsValid() && a.Is4() == (f == IPv4) && !a.IsMulticast() && !a.IsUnspecified()
		if fits && c.onLink(a) && (c.Own == nil || !c.Own(a)) && !slices.Contains(out, a) && len(out) < most {
			out = append(out, a)
		}
	}
	return out
}

func (c *Candidates) onLink(a netip.Addr) bool {
	return linkLocal.Contains(a) || slices.ContainsFunc(c.Subnets, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Mode is the configured `probe`.
type Mode string

// Modes of the contract.
const (
	ModeAuto Mode = "auto"
	ModeICMP Mode = "icmp"
	ModeARP  Mode = "arp"
	ModeLink Mode = "link"
)

// KindOf an instance: with auto ICMP where it has a test address (an IPv6 link-local address is one),
// else ARP or neighbour solicitation. A family that its group does not use is not probed, nor is IPv6 without any
// address of the interface's own, as long as duplicate detection lasts or for good: a solicitation needs a source.
func KindOf(m Mode, family Family, test, used bool) Kind {
	switch {
	case !used:
		return KindNone
	case m == ModeLink:
		return KindLink
	case family == IPv6 && !test:
		return KindNone
	case m == ModeARP:
		return KindARP
	case test:
		return KindICMP
	case m == ModeAuto:
		return KindARP
	default:
		return KindNone
	}
}

// RoundInterval of a track: with auto never more than 10 ARP or neighbour probes a second and
// member. Members of a track share their rounds, so one such member slows all of them.
func RoundInterval(m Mode, interval time.Duration, kinds []Kind) time.Duration {
	if m == ModeAuto && slices.Contains(kinds, KindARP) {
		return max(interval, autoARP)
	}
	return interval
}
