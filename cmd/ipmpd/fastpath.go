// SPDX-License-Identifier: Apache-2.0

package main

import (
	"sync"
	"sync/atomic"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/addr"
)

// bothFamilies is the third contingency of a member, after those of IPv4 and IPv6.
const bothFamilies = 2

// contingency is what the failure of one member, in one family or in both, will do: computed and
// encoded ahead, fired at most once.
type contingency struct {
	batch *addr.Batch
	// announced are the addresses that move, for the announcer to repeat.
	announced []addr.Announcement
	then      outcome
	claimed   atomic.Bool
	current   func() bool
}

// contingencies of one group, for one generation of its words. Not changed after it is published.
type contingencies struct {
	generation [bpf.Families]uint32
	usable     [bpf.Families]uint32
	before     outcome
	member     [bpf.GroupMembers][bothFamilies + 1]*contingency
}

// firing is what was announced without asking the engine, with what came of it.
type firing struct {
	*contingency // nil: nothing was prepared, and a relay announced
	announced    []addr.Announcement
	result       addr.Result
	hush         func([]addr.Announcement) // nil: nothing is to be said of them
}

// finish does what the announcements do not: the announcer is told, and routes and addresses, where they are
// prepared, are written.
func (f *firing) finish() {
	if f == nil {
		return
	}
	if f.hush != nil && !f.result.Stale {
		f.hush(f.announced)
	}
	if f.contingency != nil {
		f.batch.Write(f.current, &f.result)
	}
}

// written: routes and addresses as well.
func (f *firing) written() bool { return f != nil && f.contingency != nil }

// fastPath holds what may be fired without asking the engine. Its methods are called on the locked
// threads of the reader, the asker and who hears link messages.
type fastPath struct {
	tracks []bpf.Track
	groups [bpf.Groups]atomic.Pointer[contingencies]
	relays [bpf.Groups]atomic.Pointer[relay]

	// mu: one announces after the other, for what relays know to be what was announced last.
	mu     sync.Mutex
	herald *addr.Herald

	// hush drops what the announcer still has to say of addresses on other members than these.
	hush func([]addr.Announcement)
}

// forget what was prepared for a group.
func (f *fastPath) forget(group int) {
	f.groups[group].Store(nil)
	f.relays[group].Store(nil)
}

// current reports whether a family's word still has the generation of the contingencies. The kernel
// clears bits without raising it.
func (f *fastPath) current(group, family int, set *contingencies) bool {
	word := bpf.ReadWord(&f.tracks[bpf.TrackNumber(group, family)])
	return word.Generation == set.generation[family]
}

// stillCurrent is the question whether the words that a contingency is about have its generation.
func (f *fastPath) stillCurrent(group, which int, set *contingencies) func() bool {
	if which < bothFamilies {
		return func() bool { return f.current(group, which, set) }
	}
	return func() bool { return f.current(group, 0, set) && f.current(group, 1, set) }
}

// verdict announces what was prepared for a verdict of the kernel, and leaves the rest to finish. Where
// nothing fits, because another member failed before or the engine is at work on the group, it
// announces who takes over by the words; nil: the engine has to work it out.
func (f *fastPath) verdict(ev *bpf.Event) *firing {
	if ev.Kind != bpf.EventVerdict {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	group, family := int(ev.Group), int(ev.Family)
	set := f.groups[group].Load()
	if set == nil || ev.Generation != set.generation[family] || ev.Usable != set.usable[family]&^(1<<ev.Bit) {
		return f.relay(group)
	}
	which := family
	if ev.Both != 0 {
		which = bothFamilies
	}
	return f.fire(group, set, int(ev.Bit), which)
}

// carrierLost takes a member without carrier out of both words, as a verdict would, and announces what
// was prepared for that.
func (f *fastPath) carrierLost(group, bit int) (took [bpf.Families]bool, fired *firing) {
	f.mu.Lock()
	defer f.mu.Unlock()
	set := f.groups[group].Load()
	fits := set != nil
	for family := range bpf.Families {
		before, ok := bpf.TakeOut(&f.tracks[bpf.TrackNumber(group, family)], bit)
		took[family] = ok
		fits = fits && ok && before.Generation == set.generation[family] && before.Usable == set.usable[family]
	}
	if !fits {
		return took, f.relay(group)
	}
	return took, f.fire(group, set, bit, bothFamilies)
}

// fire a contingency, unless somebody else has failed since: addresses may be on their way to that one.
func (f *fastPath) fire(group int, set *contingencies, bit, which int) *firing {
	for family := range bpf.Families {
		word := bpf.ReadWord(&f.tracks[bpf.TrackNumber(group, family)])
		if (which == family || which == bothFamilies) && word.Usable != set.usable[family]&^(1<<bit) {
			return f.relay(group)
		}
	}
	c := set.member[bit][which]
	fired := c.announce()
	if fired == nil {
		return f.relay(group)
	}
	fired.hush = f.hush
	f.relays[group].Load().follow(set.before, c.then)
	return fired
}

// relay what nobody has prepared for.
func (f *fastPath) relay(group int) *firing {
	r := f.relays[group].Load()
	if r == nil {
		return nil
	}
	var words [bpf.Families]uint32
	for family := range words {
		words[family] = bpf.ReadWord(&f.tracks[bpf.TrackNumber(group, family)]).Usable
	}
	fired := r.fail(words, f.herald)
	if fired != nil {
		fired.hush = f.hush
	}
	return fired
}

func (c *contingency) announce() *firing {
	if c == nil || c.batch == nil || !c.claimed.CompareAndSwap(false, true) {
		return nil
	}
	return &firing{contingency: c, announced: c.announced, result: c.batch.Announce(c.current)}
}
