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
	aside          = int64(30 * time.Second) // before a dead target is tried again
	leastDeadRun   = 10                      // void rounds
	askEvery       = int64(30 * time.Second)
	askAtMost      = int64(100 * time.Millisecond)
	askUnknown     = int64(time.Second)
	autoARP        = 100 * time.Millisecond // 10 a second: switches shut a port at 15
)

var linkLocal = netip.MustParsePrefix("fe80::/10")

// Candidates for targets of one family of a group.
type Candidates struct {
	Configured []netip.Addr   // where given, only these
	NextHops   []netip.Addr   // of the group's routes
	Neighbours []netip.Addr   // reachable ones, and responders to multicast, the best first
	Own        []netip.Addr   // any address of this host
	Subnets    []netip.Prefix // of the test and data addresses
}

// ChooseTargets of one family: the configured ones (at most 16), else on-link next hops, else up to
// 5 reachable neighbours. An address of this host, or one that is not on link, is never a target.
func ChooseTargets(f Family, c Candidates) []netip.Addr {
	if len(c.Configured) > 0 {
		return c.pick(f, c.Configured, mostConfigured)
	}
	if hops := c.pick(f, c.NextHops, mostChosen); len(hops) > 0 {
		return hops
	}
	return c.pick(f, c.Neighbours, mostChosen)
}

// Source is where the targets are from.
type Source string

// Sources of targets.
const (
	FromConfig     Source = "config"
	FromRoutes     Source = "routes"
	FromNeighbours Source = "neighbours"
)

// SourceOf what ChooseTargets chooses.
func SourceOf(f Family, c Candidates) Source {
	switch {
	case len(c.Configured) > 0:
		return FromConfig
	case len(c.pick(f, c.NextHops, 1)) > 0:
		return FromRoutes
	}
	return FromNeighbours
}

// Retarget is ChooseTargets and SourceOf for a group whose targets so far were those of was, and from
// where. While the group has failed they stay, unless the file or a route names others: a route may
// have gone because of the failure, and a neighbour that does not answer leaves the kernel's table.
// Without them nobody would be asked whether the failure is over. Spec sections 2.7 and 3.1.
func Retarget(f Family, c Candidates, was []netip.Addr, from Source, failed bool) ([]netip.Addr, Source) {
	is := SourceOf(f, c)
	if !failed || is != FromNeighbours || from == FromConfig {
		return ChooseTargets(f, c), is
	}
	if from == FromNeighbours {
		was = append(slices.Clone(was), c.Neighbours...)
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
		if fits && c.onLink(a) && !slices.Contains(c.Own, a) && !slices.Contains(out, a) && len(out) < most {
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
// else ARP or neighbour solicitation. A family that its group does not use is not probed.
func KindOf(m Mode, test, used bool) Kind {
	switch {
	case !used:
		return KindNone
	case m == ModeLink:
		return KindLink
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

// TargetState is how one target of a track does.
type TargetState struct {
	Addr    netip.Addr
	VoidRun uint32 // rounds in a row that nobody answered; 0 while it is not in rotation
	Unknown bool   // its MAC is not known, so that echoes cannot be sent
}

// Rotation keeps dead targets out of the rounds: with one of two dead, every other round is void and
// detection takes twice as long. The zero value is ready.
type Rotation struct {
	until map[netip.Addr]int64 // ns, set aside
	asked map[netip.Addr]int64 // ns, MAC last asked for
}

// InRotation is those of the targets that are to be asked at now (ns). One is set aside for 30 s
// after many void rounds, but only while another one answers: if none does, it is not the targets.
func (r *Rotation) InRotation(now int64, misses int, targets []TargetState) []netip.Addr {
	if r.until == nil {
		r.until = map[netip.Addr]int64{}
	}
	for a, until := range r.until {
		if now >= until {
			delete(r.until, a)
		}
	}
	answering := slices.ContainsFunc(targets, func(t TargetState) bool {
		_, out := r.until[t.Addr]
		return !out && t.VoidRun < uint32(misses)
	})
	var in []netip.Addr
	for _, t := range targets {
		if answering && t.VoidRun >= uint32(max(2*misses, leastDeadRun)) {
			r.until[t.Addr] = now + aside
		}
		if _, out := r.until[t.Addr]; !out || !answering {
			in = append(in, t.Addr)
		}
	}
	return in
}

// AskAgain is the targets whose MAC is to be asked for now: after `misses` void rounds (at most ten
// times a second), every second while it is not known (there are no rounds then; at a start the
// first question may go out before the interface can be answered) and every 30 s. A gateway may
// have got another one. detection.md section 3.
func (r *Rotation) AskAgain(now int64, misses int, targets []TargetState) (ask []netip.Addr) {
	if r.asked == nil {
		r.asked = map[netip.Addr]int64{}
	}
	for _, t := range targets {
		last, ever := r.asked[t.Addr]
		wait := askEvery
		switch {
		case t.VoidRun >= uint32(misses):
			wait = askAtMost
		case t.Unknown:
			wait = askUnknown
		}
		if !ever || now-last >= wait {
			r.asked[t.Addr] = now
			ask = append(ask, t.Addr)
		}
	}
	return ask
}
