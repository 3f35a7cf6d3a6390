// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/cilium/ebpf"
)

// ErrFeedsFull says that more multicast groups are heard than the maps have room for.
var ErrFeedsFull = fmt.Errorf("more than %d multicast groups", Feeds)

// CastOf is the key of a multicast group that members of a group of ours hear.
func CastOf(group int, a netip.Addr) Cast { return Cast{Addr: AddrFrom(a), Group: uint32(group)} }

// Casts lists what is set, also what a former run has left.
func (o *Objects) Casts() []Cast {
	list := make([]Cast, 0, len(o.casts))
	for c := range o.casts {
		list = append(list, c)
	}
	return list
}

// SetFeed says on which members (bits) somebody hears a multicast group, and on which we have asked for it, or are
// about to, for the sake of another one. What the kernel knows of a feed that is there already stays.
//
// Errors: ErrFeedsFull.
func (o *Objects) SetFeed(c Cast, joined, asked uint32) error {
	at, known := o.casts[c]
	if !known {
		free, ok := o.freeFeed()
		if !ok {
			return fmt.Errorf("hear %s: %w", c.Addr.Netip(), ErrFeedsFull)
		}
		at = free
		o.feeds[at] = Feed{}
	}
	atomic.StoreUint32(&o.feeds[at].Joined, joined)
	atomic.StoreUint32(&o.feeds[at].Asked, asked)
	if known {
		return nil
	}
	if err := o.maps["casts"].Put(c, at); err != nil {
		return fmt.Errorf("hear %s: %w", c.Addr.Netip(), err)
	}
	o.casts[c] = at
	return nil
}

// Feed is what is set for a multicast group, and what the kernel has made of it.
func (o *Objects) Feed(c Cast) (f Feed, known bool) {
	at, known := o.casts[c]
	if known {
		f.Joined, f.Asked = atomic.LoadUint32(&o.feeds[at].Joined), atomic.LoadUint32(&o.feeds[at].Asked)
		f.Fed = atomic.LoadUint32(&o.feeds[at].Fed)
	}
	return f, known
}

// DropFeed forgets a multicast group: what comes in for it is nothing to us any more.
func (o *Objects) DropFeed(c Cast) error {
	at, known := o.casts[c]
	if !known {
		return nil
	}
	if err := o.maps["casts"].Delete(c); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("hear %s no more: %w", c.Addr.Netip(), err)
	}
	// A program that has just looked the group up finds nothing to do.
	atomic.StoreUint32(&o.feeds[at].Joined, 0)
	atomic.StoreUint32(&o.feeds[at].Asked, 0)
	delete(o.casts, c)
	return nil
}

// freeFeed is the lowest index that nothing has.
func (o *Objects) freeFeed() (uint32, bool) {
	used := make([]bool, Feeds)
	for _, at := range o.casts {
		used[at] = true
	}
	at := slices.Index(used, false)
	return uint32(at), at >= 0
}

// recallCasts reads what a former run has set.
func (o *Objects) recallCasts() error {
	o.casts = map[Cast]uint32{}
	var c Cast
	var at uint32
	it := o.maps["casts"].Iterate()
	for it.Next(&c, &at) {
		if int(at) < Feeds {
			o.casts[c] = at
		}
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("list multicast groups: %w", err)
	}
	return nil
}
