// SPDX-License-Identifier: Apache-2.0

package main

import (
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
	claimed   atomic.Bool
	current   func() bool
	// hush drops what the announcer still has to say of these addresses on other members.
	hush func([]addr.Announcement)
}

// contingencies of one group, for one generation of its words. Not changed after it is published.
type contingencies struct {
	generation [bpf.Families]uint32
	usable     [bpf.Families]uint32
	member     [bpf.GroupMembers][bothFamilies + 1]*contingency
}

// firing is a contingency that was fired, with what came of it.
type firing struct {
	*contingency
	result addr.Result
}

// finish does what the announcements do not: routes and addresses.
func (f *firing) finish() {
	if f != nil {
		if !f.result.Stale {
			f.hush(f.announced)
		}
		f.batch.Write(f.current, &f.result)
	}
}

// fastPath holds what may be fired without asking the engine. Its methods are called on the locked
// threads of the reader and the asker.
type fastPath struct {
	tracks []bpf.Track
	groups [bpf.Groups]atomic.Pointer[contingencies]
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

// verdict announces what was prepared for a verdict of the kernel, and leaves the rest to finish; nil
// where nothing fits, and the engine has to work it out: another generation, or another member failed
// before.
func (f *fastPath) verdict(ev *bpf.Event) *firing {
	group, family := int(ev.Group), int(ev.Family)
	set := f.groups[group].Load()
	if set == nil || ev.Kind != bpf.EventVerdict || ev.Generation != set.generation[family] ||
		ev.Usable != set.usable[family]&^(1<<ev.Bit) {
		return nil
	}
	which := family
	if ev.Both != 0 {
		which = bothFamilies
	}
	return set.member[ev.Bit][which].announce()
}

// carrierLost takes a member without carrier out of both words, as a verdict would, and fires what
// was prepared for that, all of it.
func (f *fastPath) carrierLost(group, bit int) (took [bpf.Families]bool, fired *firing) {
	set := f.groups[group].Load()
	fits := set != nil
	for family := range bpf.Families {
		before, ok := bpf.TakeOut(&f.tracks[bpf.TrackNumber(group, family)], bit)
		took[family] = ok
		fits = fits && ok && before.Generation == set.generation[family] && before.Usable == set.usable[family]
	}
	if !fits {
		return took, nil
	}
	fired = set.member[bit][bothFamilies].announce()
	fired.finish()
	return took, fired
}

func (c *contingency) announce() *firing {
	if c == nil || c.batch == nil || !c.claimed.CompareAndSwap(false, true) {
		return nil
	}
	return &firing{contingency: c, result: c.batch.Announce(c.current)}
}
