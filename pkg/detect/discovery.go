// SPDX-License-Identifier: Apache-2.0

package detect

import (
	"net/netip"
	"slices"
)

// Discovery finds hosts that answer multicast, for a family of a group that has no router to ask. The
// first five that answer are its targets. Spec section 3.2. The zero value is ready.
type Discovery struct {
	found []netip.Addr
	asked int64 // ns; 0: never
	pause int64 // ns
	again bool  // one was dropped since
}

// Found are those who answered, the first one first.
func (d *Discovery) Found() []netip.Addr { return d.found }

// Due reports whether everybody is to be asked at now (ns), and takes it for done. from is where the
// targets are from, targets how many there are, silent says that none of them answers. It is never
// more than one question a second: every second while nobody answers; at growing pauses, up to 30 s,
// while there is one responder only, or neighbours stand in; once after one was dropped.
func (d *Discovery) Due(now int64, from Source, targets int, silent bool) bool {
	if !from.hosts() {
		*d = Discovery{}
		return false
	}
	wait := d.pause
	switch {
	case targets == 0 || silent || d.again:
		wait = askUnknown
	case from == FromMulticast && targets > 1:
		return false
	}
	if d.asked != 0 && now-d.asked < wait {
		return false
	}
	d.asked, d.again = now, false
	d.pause = min(max(2*d.pause, askUnknown), askEvery)
	return true
}

// Responded: somebody answers who may be a target. It returns whether he is one more.
func (d *Discovery) Responded(a netip.Addr) bool {
	if len(d.found) >= mostChosen || slices.Contains(d.found, a) {
		return false
	}
	d.found = append(d.found, a)
	return true
}

// Drop those of the responders that are dead or slow; it returns whether there were any. Others are
// asked for soon.
func (d *Discovery) Drop(useless func(netip.Addr) bool) bool {
	left := slices.DeleteFunc(slices.Clone(d.found), useless)
	dropped := len(left) < len(d.found)
	d.found = left
	d.again = d.again || dropped
	return dropped
}

// Fits reports whether an address may be a target.
func (c *Candidates) Fits(f Family, a netip.Addr) bool {
	return len(c.pick(f, []netip.Addr{a}, 1)) > 0
}
