// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/bpf"
)

// compiledPlan is a Plan made ready to be sent: nothing is left to allocate. Once stored it
// belongs to the prober thread, but for the states, whose atomic fields anybody reads.
type compiledPlan struct {
	tracks    []compiledTrack
	byNumber  [bpf.Tracks]*trackState
	instances [bpf.Instances]*instanceState
}

type compiledTrack struct {
	name     string
	number   int
	interval int64
	state    *trackState
	shared   *bpf.Track
	members  []compiledMember
	targets  []netip.Addr  // all of them, by index
	asked    []askedTarget // in rotation
	cycle    uint32        // rounds after which members and targets meet in the same order again
}

type compiledMember struct {
	name    string
	number  int
	ifindex int
	shared  *bpf.Instance
	state   *instanceState
}

// askedTarget has the messages to one target, by member, twice in a row: any rotation of the
// members is then a slice of them.
type askedTarget struct {
	index    uint16 // in Plan and bpf.Track
	frames   []frame
	messages []message
}

// message is struct mmsghdr.
type message struct {
	header unix.Msghdr
	length uint32
	_      [4]byte
}

// compile takes over the states of what is in the old plan too.
func (p *Prober) compile(plan *Plan, old *compiledPlan) *compiledPlan {
	c := &compiledPlan{tracks: make([]compiledTrack, 0, len(plan.Tracks))}
	for i := range plan.Tracks {
		t := &plan.Tracks[i]
		state := old.byNumber[t.Number]
		if state == nil {
			state = &trackState{}
		}
		c.byNumber[t.Number] = state
		c.tracks = append(c.tracks, p.compileTrack(t, state, c, old))
	}
	return c
}

func (p *Prober) compileTrack(t *Track, state *trackState, c, old *compiledPlan) compiledTrack {
	out := compiledTrack{name: t.Name, number: t.Number, interval: t.Interval.Nanoseconds(), state: state, shared: &p.tracks[t.Number]}
	for i := range t.Targets {
		out.targets = append(out.targets, t.Targets[i].Addr)
	}
	changed := old.changedTargets(out.targets, state)
	var probed []*Member
	for i := range t.Members {
		m := &t.Members[i]
		if m.Kind == bpf.KindNone {
			continue
		}
		number := bpf.InstanceNumber(m.Number, t.Family())
		id := identity{ifindex: m.Ifindex, mac: m.MAC, kind: m.Kind, source: sharedAddr(m.Source).Octet}
		in := old.instances[number]
		if in == nil || in.identity != id || in.track != t.Number {
			in = &instanceState{identity: id, track: t.Number}
		}
		for _, j := range changed {
			in.targetAnswered[j].Store(0)
			in.targetAcked[j].Store(0)
			in.targetRTT[j].forget()
		}
		for j := range t.Targets {
			if t.Targets[j].Aside {
				in.targetRTT[j].forget()
			}
		}
		c.instances[number] = in
		probed = append(probed, m)
		out.members = append(out.members, compiledMember{m.Name, m.Number, m.Ifindex, &p.instances[number], in})
	}
	if t.Paused || len(probed) == 0 {
		return out
	}
	for i := range t.Targets {
		if askable(probed, &t.Targets[i]) {
			out.asked = append(out.asked, messagesTo(probed, t, i))
		}
	}
	if n := len(out.asked); n > 0 {
		out.cycle = uint32(leastCommonMultiple(n, len(probed)))
	}
	return out
}

// changedTargets are the indices that mean another target now; their counts begin anew. The prober
// may count a last round of the old one afterwards, which does no harm.
func (c *compiledPlan) changedTargets(targets []netip.Addr, state *trackState) (changed []int) {
	var before []netip.Addr
	for i := range c.tracks {
		if c.tracks[i].state == state {
			before = c.tracks[i].targets
		}
	}
	for j := range bpf.Targets {
		if j >= len(targets) || j >= len(before) || targets[j] != before[j] {
			state.voidRun[j].Store(0)
			changed = append(changed, j)
		}
	}
	return changed
}

// askable: an echo needs the target's MAC, while ARP and solicitations can ask everybody.
func askable(probed []*Member, target *Target) bool {
	if target.Aside {
		return false
	}
	if target.MAC != ([6]byte{}) {
		return true
	}
	for _, m := range probed {
		if m.Kind != bpf.KindARP {
			return false
		}
	}
	return true
}

func messagesTo(probed []*Member, t *Track, target int) askedTarget {
	n := len(probed)
	out := askedTarget{
		index: uint16(target), frames: make([]frame, n), messages: make([]message, 2*n),
	}
	for i, m := range probed {
		out.frames[i] = probeFrame(m, &t.Targets[target], t.Family())
		b := out.frames[i].bytes
		to := &unix.RawSockaddrLinklayer{
			Family: unix.AF_PACKET, Ifindex: int32(m.Ifindex), Halen: 6,
			Protocol: networkOrder16(uint16(b[12])<<8 | uint16(b[13])),
		}
		copy(to.Addr[:], b[:6])
		vector := &unix.Iovec{Base: unsafe.SliceData(b)}
		vector.SetLen(len(b))
		header := unix.Msghdr{
			Name: (*byte)(unsafe.Pointer(to)), Namelen: unix.SizeofSockaddrLinklayer, Iov: vector,
		}
		header.SetIovlen(1)
		out.messages[i].header = header
		out.messages[i+n].header = header
	}
	return out
}

func leastCommonMultiple(a, b int) int {
	x, y := a, b
	for y != 0 {
		x, y = y, x%y
	}
	return a / x * b
}
