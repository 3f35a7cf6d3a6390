// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/ipmpd/ipmpd/bpf"
)

// Plan is everything that is to be probed. It is not changed after it was given to Update.
type Plan struct {
	Tracks []Track
}

// Track is what the prober has to know about one family of one group.
type Track struct {
	Name     string        // of the group, for those who watch
	Number   int           // bpf.TrackNumber(group, family); its parity is the family
	Interval time.Duration // between rounds, 50us .. 1h
	Members  []Member      // at most bpf.GroupMembers
	Targets  []Target      // at most bpf.Targets; in the order of bpf.Track.Target
	Paused   bool          // send nothing (nobody left to probe, group released)
}

// Member is one instance: this track's family of one member.
type Member struct {
	Name    string // for those who watch
	Number  int    // bpf.Member number
	Bit     int    // in the words of the group's tracks
	Ifindex int
	MAC     [6]byte
	Kind    uint32     // bpf.KindICMP, bpf.KindARP; bpf.KindNone: not probed
	Source  netip.Addr // test address; ARP only: invalid means 0.0.0.0. Never a data address.
	ICMPID  uint16     // host order
}

// Target of a track. Rounds leave out targets whose MAC is not known, but ARP rounds ask for them. A
// target keeps its index while it is one; to leave a dead one out of the rounds, set it aside.
type Target struct {
	Addr  netip.Addr
	MAC   [6]byte // zero: not known yet
	Aside bool
}

// Family of the track: 0 IPv4, 1 IPv6.
func (t *Track) Family() int { return t.Number % bpf.Families }

// Validate says what is wrong with the plan, if anything.
func (p *Plan) Validate() error {
	seen := map[int]bool{}
	for i := range p.Tracks {
		t := &p.Tracks[i]
		if err := t.validate(); err != nil {
			return fmt.Errorf("track %d: %w", t.Number, err)
		}
		if seen[t.Number] {
			return fmt.Errorf("track %d: twice in the plan", t.Number)
		}
		seen[t.Number] = true
	}
	return nil
}

func (t *Track) validate() error {
	switch {
	case t.Number < 0 || t.Number >= bpf.Tracks:
		return errors.New("no such track")
	case t.Interval < minInterval || t.Interval > maxInterval:
		return fmt.Errorf("interval %v is not between %v and %v", t.Interval, minInterval, maxInterval)
	case len(t.Members) > bpf.GroupMembers:
		return fmt.Errorf("%d members", len(t.Members))
	case len(t.Targets) > bpf.Targets:
		return fmt.Errorf("%d targets", len(t.Targets))
	}
	for _, target := range t.Targets {
		if !t.fits(target.Addr) {
			return fmt.Errorf("target %v is not of its family", target.Addr)
		}
	}
	for _, m := range t.Members {
		if err := t.validateMember(m); err != nil {
			return fmt.Errorf("member %d: %w", m.Number, err)
		}
	}
	return nil
}

func (t *Track) validateMember(m Member) error {
	switch {
	case m.Number < 0 || m.Number >= bpf.Members:
		return errors.New("no such member")
	case m.Bit < 0 || m.Bit >= bpf.GroupMembers:
		return fmt.Errorf("no bit %d", m.Bit)
	case m.Kind > bpf.KindARP:
		return fmt.Errorf("no kind %d", m.Kind)
	case m.Kind == bpf.KindNone:
		return nil
	case m.Source.IsValid() && !t.fits(m.Source):
		return fmt.Errorf("source %v is not of the track's family", m.Source)
	case !m.Source.IsValid() && (m.Kind == bpf.KindICMP || t.Family() == 1):
		// A solicitation without a source is duplicate address detection, not a probe.
		return errors.New("no source address")
	}
	return nil
}

func (t *Track) fits(a netip.Addr) bool {
	if t.Family() == 0 {
		return a.Is4()
	}
	return a.Is6() && !a.Is4In6()
}

// Publish writes what describes the plan's tracks and instances for the BPF programs: Members,
// Member, IntervalNs, Targets, Target of tracks; Kind, IcmpId, Source of instances. Call it before
// Update. It does not disarm (Limit) nor touch the word; the members' map comes first.
func (p *Plan) Publish(instances []bpf.Instance, tracks []bpf.Track) {
	for i := range p.Tracks {
		t := &p.Tracks[i]
		shared := &tracks[t.Number]
		var mask uint32
		for _, m := range t.Members {
			mask |= 1 << m.Bit
			shared.Member[m.Bit] = uint16(m.Number)
			in := &instances[bpf.InstanceNumber(m.Number, t.Family())]
			in.IcmpId = networkOrder16(m.ICMPID)
			in.Source = sharedAddr(m.Source)
			atomic.StoreUint32(&in.Kind, m.Kind)
		}
		for j, target := range t.Targets {
			shared.Target[j].Addr = sharedAddr(target.Addr)
			shared.Target[j].Mac = target.MAC
		}
		atomic.StoreUint32(&shared.IntervalNs, uint32(min(t.Interval.Nanoseconds(), 1<<32-1)))
		atomic.StoreUint32(&shared.Targets, uint32(len(t.Targets)))
		atomic.StoreUint32(&shared.Members, mask)
	}
}

// sharedAddr is the form of struct ipmp_addr: IPv4 as ::ffff:a.b.c.d; all zero when invalid.
func sharedAddr(a netip.Addr) (out bpf.Addr) {
	if a.IsValid() {
		out.Octet = a.As16()
	}
	return out
}

// networkOrder16 is the value of a __be16 field in memory.
func networkOrder16(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}
