// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"

	"github.com/cilium/ebpf"
)

// AddrFrom is the form in which addresses are compared: IPv4 is mapped into IPv6.
func AddrFrom(a netip.Addr) Addr { return Addr{Octet: a.As16()} }

// Netip is the address; IPv4-mapped ones come back as IPv4.
func (a Addr) Netip() netip.Addr { return netip.AddrFrom16(a.Octet).Unmap() }

// linkValue is the value of map "links" (enum link_layout).
func linkValue(member, group, bit int) uint32 {
	return uint32(member) | uint32(group)<<16 | uint32(bit)<<24
}

// SetMember makes an interface known as member number of a group, or changes it.
func (o *Objects) SetMember(number int, m Member) error {
	var old Member
	if err := o.maps["members"].Lookup(uint32(number), &old); err != nil {
		return fmt.Errorf("look up member %d: %w", number, err)
	}
	if err := o.maps["members"].Put(uint32(number), m); err != nil {
		return fmt.Errorf("set member %d: %w", number, err)
	}
	if m.Ifindex != 0 {
		value := linkValue(number, int(m.Group), int(m.Bit))
		if err := o.maps["links"].Put(m.Ifindex, value); err != nil {
			return fmt.Errorf("set link %d: %w", m.Ifindex, err)
		}
		if err := o.setNear(m.Ifindex, value); err != nil {
			return err
		}
	}
	if old.Ifindex != 0 && old.Ifindex != m.Ifindex {
		return o.forgetLink(old.Ifindex, number)
	}
	return nil
}

// forgetLink drops an interface index, unless it is another member's by now.
func (o *Objects) forgetLink(ifindex uint32, number int) error {
	var value uint32
	err := o.maps["links"].Lookup(ifindex, &value)
	if errors.Is(err, ebpf.ErrKeyNotExist) || (err == nil && int(value&0xffff) != number) {
		return nil
	}
	if err == nil {
		// Nearest first: what is gone there is looked for in links.
		err = o.forgetNear(ifindex)
	}
	if err == nil {
		err = o.maps["links"].Delete(ifindex)
	}
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("delete link %d: %w", ifindex, err)
	}
	return nil
}

// setNear puts a link where it is found quickest, unless another one has the place: then "links" alone
// has it.
func (o *Objects) setNear(ifindex, value uint32) error {
	place, at := uint64(0), ifindex&NearMask
	if err := o.maps["near_links"].Lookup(at, &place); err != nil {
		return fmt.Errorf("look up place of link %d: %w", ifindex, err)
	}
	if has := uint32(place >> 32); has != 0 && has != ifindex {
		return nil
	}
	if err := o.maps["near_links"].Put(at, uint64(ifindex)<<32|uint64(value)); err != nil {
		return fmt.Errorf("set place of link %d: %w", ifindex, err)
	}
	return nil
}

func (o *Objects) forgetNear(ifindex uint32) error {
	place, at := uint64(0), ifindex&NearMask
	if err := o.maps["near_links"].Lookup(at, &place); err != nil {
		return fmt.Errorf("look up place of link %d: %w", ifindex, err)
	}
	if uint32(place>>32) != ifindex {
		return nil
	}
	if err := o.maps["near_links"].Put(at, uint64(0)); err != nil {
		return fmt.Errorf("clear place of link %d: %w", ifindex, err)
	}
	return nil
}

// Member returns what is set for a member number; Ifindex is 0 for a free one.
func (o *Objects) Member(number int) (Member, error) {
	var m Member
	if err := o.maps["members"].Lookup(uint32(number), &m); err != nil {
		return m, fmt.Errorf("look up member %d: %w", number, err)
	}
	return m, nil
}

// SetSurvivors publishes, for an instance, the bits of the members that take over its traffic, in
// order. The idle copy is written first, then the index: a reader sees the old list or the new one.
func (o *Objects) SetSurvivors(instance int, bits []uint8) error {
	var s Survivors
	m := o.maps["survivors"]
	if err := m.Lookup(uint32(instance), &s); err != nil {
		return fmt.Errorf("look up survivors of %d: %w", instance, err)
	}
	copyOf := (s.Index + 1) & 1
	s.Order[copyOf] = [GroupMembers]uint8{}
	s.Count[copyOf] = uint8(copy(s.Order[copyOf][:], bits))
	if err := m.Put(uint32(instance), s); err != nil {
		return fmt.Errorf("set survivors of %d: %w", instance, err)
	}
	s.Index = copyOf
	if err := m.Put(uint32(instance), s); err != nil {
		return fmt.Errorf("switch survivors of %d: %w", instance, err)
	}
	return nil
}

func ownerKey(a netip.Addr) uint32 {
	b := a.As4()
	return binary.NativeEndian.Uint32(b[:])
}

// SetOwner makes a member the one that answers ARP for an IPv4 data address.
func (o *Objects) SetOwner(a netip.Addr, member int) error {
	if err := o.maps["owners"].Put(ownerKey(a), Owner{Member: uint16(member)}); err != nil {
		return fmt.Errorf("set owner of %s: %w", a, err)
	}
	return nil
}

// FixOwner makes a member the one that answers ARP for an IPv4 test address, usable or not.
func (o *Objects) FixOwner(a netip.Addr, member int) error {
	if err := o.maps["owners"].Put(ownerKey(a), Owner{Member: uint16(member), Fixed: 1}); err != nil {
		return fmt.Errorf("fix owner of %s: %w", a, err)
	}
	return nil
}

// DeleteOwner lets every member answer for an address again.
func (o *Objects) DeleteOwner(a netip.Addr) error {
	err := o.maps["owners"].Delete(ownerKey(a))
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("delete owner of %s: %w", a, err)
	}
	return nil
}

// Owners lists the addresses that have an owner, with its member number.
func (o *Objects) Owners() (map[netip.Addr]int, error) {
	all := map[netip.Addr]int{}
	var key uint32
	var owner Owner
	it := o.maps["owners"].Iterate()
	for it.Next(&key, &owner) {
		var b [4]byte
		binary.NativeEndian.PutUint32(b[:], key)
		all[netip.AddrFrom4(b)] = int(owner.Member)
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("list owners: %w", err)
	}
	return all, nil
}

// Traffic sums a member's counters over all CPUs; stamps are the newest. Seen is the newest round
// of each family that any CPU has seen.
func (o *Objects) Traffic(member int) (Traffic, error) {
	var per []Traffic
	var sum Traffic
	if err := o.maps["traffic"].Lookup(uint32(member), &per); err != nil {
		return sum, fmt.Errorf("look up traffic of member %d: %w", member, err)
	}
	for _, t := range per {
		sum.Replies += t.Replies
		sum.Other += t.Other
		sum.Redirected += t.Redirected
		sum.ReplyNs = max(sum.ReplyNs, t.ReplyNs)
		sum.OtherNs = max(sum.OtherNs, t.OtherNs)
		for f := range sum.Seen {
			sum.Seen[f] = max(sum.Seen[f], t.Seen[f])
		}
	}
	return sum, nil
}

// Counters sums all counters over all CPUs, by the reason's name (ipmp.h without IPMP_R_, in lower
// case).
func (o *Objects) Counters() (map[string]uint64, error) {
	all := make(map[string]uint64, Reasons)
	for r := range uint32(Reasons) {
		var per []uint64
		if err := o.maps["counters"].Lookup(r, &per); err != nil {
			return nil, fmt.Errorf("look up counter %d: %w", r, err)
		}
		var sum uint64
		for _, n := range per {
			sum += n
		}
		all[ReasonName(Reason(r))] = sum
	}
	return all, nil
}

// Word is the state of a track that the kernel and Go share: which of its members are usable.
type Word struct {
	Generation uint32
	Usable     uint32
}

func wordOf(v uint64) Word { return Word{Generation: uint32(v >> 32), Usable: uint32(v)} }

// Forget what an instance was, because another member has its number from now on. Nothing of it may
// be judged or probed.
func Forget(i *Instance) {
	atomic.StoreUint32(&i.Limit, 0)
	atomic.StoreUint32(&i.Kind, KindNone)
	*i = Instance{}
}

// ReadWord returns a track's word. Safe for concurrent use.
func ReadWord(t *Track) Word { return wordOf(atomic.LoadUint64(&t.Word)) }

// ChangeWord sets and clears bits of a track's word and raises its generation, by
// compare-and-exchange, so that no verdict of the kernel is overwritten. Safe for concurrent use.
func ChangeWord(t *Track, set, clear uint32) Word {
	for {
		old := atomic.LoadUint64(&t.Word)
		w := wordOf(old)
		w.Usable = w.Usable&^clear | set
		w.Generation++
		if atomic.CompareAndSwapUint64(&t.Word, old, uint64(w.Generation)<<32|uint64(w.Usable)) {
			return w
		}
	}
}

// TakeOut clears a member's bit in a track's word without raising the generation, as a verdict of
// the kernel does, and only if another bit stays set. It returns the word that it changed. Safe for
// concurrent use.
func TakeOut(t *Track, bit int) (before Word, ok bool) {
	for {
		old := atomic.LoadUint64(&t.Word)
		w := wordOf(old)
		mask := uint32(1) << bit
		if w.Usable&mask == 0 || w.Usable&^mask == 0 {
			return w, false
		}
		if atomic.CompareAndSwapUint64(&t.Word, old, old&^uint64(mask)) {
			return w, true
		}
	}
}
