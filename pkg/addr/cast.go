// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"cmp"
	"net/netip"
	"slices"
)

// CastMode says what becomes of the multicast groups that sockets have joined on a member which fails (contract
// section 3, `multicast`).
type CastMode uint8

const (
	// CastOff: nothing.
	CastOff CastMode = iota
	// CastFailover: they are joined on its survivor when it fails.
	CastFailover
	// CastAhead: they are joined there beforehand.
	CastAhead
)

// Heard is a multicast group that sockets have joined on an interface.
type Heard struct {
	Link  int
	Group netip.Addr
	// Sources that they ask for, sorted; nil: any.
	Sources []netip.Addr
}

// Same says whether both are the same.
func (h Heard) Same(o Heard) bool {
	return h.Link == o.Link && h.Group == o.Group && (h.Sources == nil) == (o.Sources == nil) && slices.Equal(h.Sources, o.Sources)
}

// HostCast is a multicast group on an interface as the host tells of it: of all sockets together.
type HostCast struct {
	Link  int
	Group netip.Addr
	Users int
	// Sources that are in somebody's list, with how many ask for it and how many want nothing of it.
	Sources []HostSource
}

// HostSource is one of them.
type HostSource struct {
	Addr             netip.Addr
	Include, Exclude int
}

// Own is what our own sockets are of a HostCast: so many of them, each with these sources (nil: any).
type Own struct {
	Users   int
	Sources []netip.Addr
}

var (
	ssm4        = netip.MustParsePrefix("232.0.0.0/8") // RFC 4607
	solicitedIn = netip.MustParsePrefix("ff02::1:ff00:0/104")
	// kernelsOwn are joined by the kernel for itself, always or as a router.
	kernelsOwn = []netip.Addr{
		netip.MustParseAddr("224.0.0.1"), netip.MustParseAddr("ff02::1"), netip.MustParseAddr("ff02::2"), netip.MustParseAddr("ff05::2")}
)

// Followed says whether a multicast group is one that follows: not what the kernel joins for itself, nor what never leaves
// a host, nor the groups in which neighbours are asked for.
func Followed(group netip.Addr) bool {
	return group.IsMulticast() && !slices.Contains(kernelsOwn, group) && !solicitedIn.Contains(group) &&
		!group.IsInterfaceLocalMulticast()
}

// ssm: of these groups nobody may ask for any source (RFC 4607, RFC 3306).
func ssm(group netip.Addr) bool {
	b := group.As16()
	return ssm4.Contains(group) || group.Is6() && b[0] == 0xff && b[1]&0xf0 == 0x30 && b[2] == 0
}

// Foreign is what sockets of others hear, sorted. own tells of ours.
func Foreign(host []HostCast, own func(link int, group netip.Addr) Own) []Heard {
	var list []Heard
	for i := range host {
		h := &host[i]
		if !Followed(h.Group) {
			continue
		}
		ours := own(h.Link, h.Group)
		users := h.Users - ours.Users
		if users <= 0 {
			continue
		}
		var sources []netip.Addr
		most, sum, excluded := 0, 0, false
		for _, s := range h.Sources {
			n := s.Include
			if slices.Contains(ours.Sources, s.Addr) {
				n--
			}
			if n > 0 {
				sources = append(sources, s.Addr)
				most, sum = max(most, n), sum+n
			}
			excluded = excluded || s.Exclude > 0
		}
		// A socket that takes any source is in no list. Where it cannot be told, more is heard rather than less.
		if excluded || users > sum || !ssm(h.Group) && most < users {
			sources = nil
		}
		slices.SortFunc(sources, netip.Addr.Compare)
		list = append(list, Heard{h.Link, h.Group, sources})
	}
	slices.SortFunc(list, compareHeard)
	return list
}

func compareHeard(a, b Heard) int {
	return cmp.Or(cmp.Compare(a.Link, b.Link), a.Group.Compare(b.Group))
}

// CastMember is a member as far as multicast goes.
type CastMember struct {
	Link int // 0: missing
	// Usable by family, and who takes its traffic when it is not, in order.
	Usable    [2]bool
	Survivors [2][]int
}

// CastSurvivor of a member in a family, now or if it failed now; -1: none. It is the one that the programs take.
func CastSurvivor(members []CastMember, member, family int) int {
	for _, s := range members[member].Survivors[family] {
		if s != member && members[s].Usable[family] && members[s].Link != 0 {
			return s
		}
	}
	return -1
}

// CastFeed is a multicast group with the members, by index, on which others hear it, and those on which we ask for it.
type CastFeed struct {
	Group  netip.Addr
	Joined []int
	Asked  []int
}

// Casts decides what the programs must know of multicast, and what we have to join for it, sorted both. What the
// programs know does not depend on who is usable but for what is asked for: a failure needs no word from here. still
// says whether a member that is usable again is fed by its survivor as yet.
func Casts(mode CastMode, members []CastMember, heard []Heard, still func(member int, group netip.Addr) bool) (feeds []CastFeed, joins []Heard) {
	if mode == CastOff {
		return nil, nil
	}
	at := map[int]int{}
	for i, m := range members {
		if m.Link != 0 {
			at[m.Link] = i
		}
	}
	byGroup, wants := map[netip.Addr]*CastFeed{}, map[linkIP]*Heard{}
	has := map[linkIP]*Heard{}
	for i := range heard {
		h := &heard[i]
		member, is := at[h.Link]
		if !is {
			continue
		}
		has[linkIP{h.Link, h.Group}] = h
		if byGroup[h.Group] == nil {
			byGroup[h.Group] = &CastFeed{Group: h.Group}
		}
		byGroup[h.Group].Joined = append(byGroup[h.Group].Joined, member)
	}
	for i := range heard {
		h := &heard[i]
		member, is := at[h.Link]
		family := familyOf(h.Group)
		if !is || mode == CastFailover && members[member].Usable[family] && !still(member, h.Group) {
			continue
		}
		s := CastSurvivor(members, member, family)
		if s < 0 {
			continue
		}
		key := linkIP{members[s].Link, h.Group}
		if w := wants[key]; w != nil {
			w.Sources = both(w.Sources, h.Sources)
		} else {
			wants[key] = &Heard{key.link, h.Group, h.Sources}
		}
	}
	for key, w := range wants {
		if there := has[key]; there != nil && covers(there.Sources, w.Sources) {
			continue // others have asked for it
		}
		joins = append(joins, *w)
		byGroup[key.ip].Asked = append(byGroup[key.ip].Asked, at[key.link])
	}
	for _, f := range byGroup {
		slices.Sort(f.Joined)
		slices.Sort(f.Asked)
		feeds = append(feeds, *f)
	}
	slices.SortFunc(feeds, func(a, b CastFeed) int { return a.Group.Compare(b.Group) })
	slices.SortFunc(joins, compareHeard)
	return feeds, joins
}

// both lists of sources; nil is any.
func both(a, b []netip.Addr) []netip.Addr {
	if a == nil || b == nil {
		return nil
	}
	all := slices.Concat(a, b)
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

func covers(a, b []netip.Addr) bool {
	return a == nil || b != nil && !slices.ContainsFunc(b, func(s netip.Addr) bool { return !slices.Contains(a, s) })
}
