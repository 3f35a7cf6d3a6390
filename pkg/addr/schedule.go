// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"container/heap"
	"net/netip"
	"slices"
	"time"
)

// Pauses between the first announcements of a change; then it is the interval's.
var firstPauses = [...]time.Duration{10 * time.Millisecond, 90 * time.Millisecond}

// schedule says which announcements are due. Pure: time comes in.
type schedule struct {
	byIP  map[netip.Addr]*item
	ports map[int]*port // by interface: a switch counts by port
	count int
}

// port is what is to be said on one interface.
type port struct {
	bucket
	due     dueHeap // broadcasts to come
	talking []*item // with neighbours still to be told, oldest first
}

// item is one address under announcement.
type item struct {
	Announcement
	number  int       // in the order of announcing
	round   int       // broadcasts sent
	due     time.Time // of the next broadcast
	last    bool      // no more broadcasts
	dropped bool      // forgotten, or replaced by a newer owner
	unicast int       // neighbours still to be told in this round
	cursor  int       // the next of them
}

// job is one frame to send; neighbour < 0 is the broadcast.
type job struct {
	*item
	neighbor int
}

func (j job) frame() Frame {
	var n Neighbor
	if j.neighbor >= 0 {
		n = j.Neighbors[j.neighbor]
	}
	return Frame{Link: j.Link, Address: j.Address, Data: AppendFrame(nil, j.Address, j.MAC, j.Router, n)}
}

func (s *schedule) add(now time.Time, a *Announcement) {
	if s.byIP == nil {
		s.byIP, s.ports = make(map[netip.Addr]*item), make(map[int]*port)
	}
	s.remove(a.Address)
	if a.Policy.Count <= 0 && a.Policy.Refresh <= 0 {
		return
	}
	s.count++
	it := &item{Announcement: *a, due: now, number: s.count}
	it.Neighbors = sameFamily(a.Address, a.Neighbors)
	p := s.ports[a.Link]
	if p == nil {
		p = &port{bucket: bucket{tokens: FirstBurst, at: now}}
		s.ports[a.Link] = p
	}
	p.rate = a.Policy.Rate
	s.byIP[a.Address] = it
	if a.Sent {
		p.refill(now)
		p.tokens -= float64(1 + len(a.Told))
		s.broadcast(p, it, now, it.untold(a.Told))
		return
	}
	heap.Push(&p.due, it)
}

// untold moves neighbours that were told to the end and returns how many others there are.
func (it *item) untold(told []Neighbor) (n int) {
	rest := make([]Neighbor, 0, len(it.Neighbors))
	for _, x := range it.Neighbors {
		if slices.Contains(told, x) {
			rest = append(rest, x)
		} else {
			it.Neighbors[n] = x
			n++
		}
	}
	copy(it.Neighbors[n:], rest)
	return n
}

// sameFamily are the first MaxUnicast neighbours that an announcement of ip makes sense to.
func sameFamily(ip netip.Addr, all []Neighbor) []Neighbor {
	out := make([]Neighbor, 0, min(len(all), MaxUnicast))
	for _, n := range all {
		if len(out) < MaxUnicast && n.IP.Is4() == ip.Is4() {
			out = append(out, n)
		}
	}
	return out
}

func (s *schedule) remove(ip netip.Addr) {
	if it := s.byIP[ip]; it != nil {
		it.dropped = true // the queues skip it when its turn comes
		delete(s.byIP, ip)
	}
}

// hush drops what is to be said of an address on another interface than its new owner's.
func (s *schedule) hush(a *Announcement) {
	if it := s.byIP[a.Address]; it != nil && it.Link != a.Link {
		s.remove(a.Address)
	}
}

// broadcast notes that a round's broadcast is out: the turn of so many neighbours begins (any left from the
// round before keep their place), and the next round is set.
func (s *schedule) broadcast(p *port, it *item, now time.Time, neighbors int) {
	if it.unicast == 0 && neighbors > 0 {
		p.talking = append(p.talking, it)
	}
	it.unicast = neighbors
	it.round++
	var pause time.Duration
	switch policy := it.Policy; {
	case it.round < policy.Count && it.round <= len(firstPauses):
		pause = firstPauses[it.round-1]
	case it.round < policy.Count:
		pause = policy.Interval
	case policy.Refresh > 0:
		pause = policy.Refresh
	default:
		if it.unicast == 0 {
			delete(s.byIP, it.Address)
		}
		it.last = true
		return
	}
	it.due = now.Add(pause)
	heap.Push(&p.due, it)
}

// next takes what may be sent now and says when to ask again; the zero time says not before
// something is added. Broadcasts come before unicasts, and what is due longest before the rest:
// no address has its second turn before each had its first.
func (s *schedule) next(now time.Time) (jobs []job, again time.Time) {
	for link, p := range s.ports {
		p.refill(now)
		jobs = s.broadcasts(p, now, jobs)
		jobs = s.unicasts(p, jobs)
		var wake time.Time
		switch {
		case len(p.talking) > 0:
			wake = p.ready(now)
		case len(p.due) > 0:
			wake = p.due[0].due
			if ready := p.ready(now); wake.Before(ready) {
				wake = ready
			}
		default:
			if p.rate == 0 || p.tokens >= FirstBurst {
				delete(s.ports, link) // full again: nothing to remember
			}
			continue
		}
		if again.IsZero() || wake.Before(again) {
			again = wake
		}
	}
	return jobs, again
}

func (s *schedule) broadcasts(p *port, now time.Time, jobs []job) []job {
	for len(p.due) > 0 {
		it := p.due[0]
		if it.dropped {
			heap.Pop(&p.due)
			continue
		}
		if it.due.After(now) || !p.take() {
			break
		}
		heap.Pop(&p.due)
		jobs = append(jobs, job{it, -1})
		s.broadcast(p, it, now, len(it.Neighbors))
	}
	return jobs
}

func (s *schedule) unicasts(p *port, jobs []job) []job {
	for len(p.talking) > 0 {
		it := p.talking[0]
		for !it.dropped && it.unicast > 0 {
			if !p.take() {
				return jobs
			}
			jobs = append(jobs, job{it, it.cursor})
			it.cursor = (it.cursor + 1) % len(it.Neighbors)
			it.unicast--
		}
		p.talking[0] = nil
		p.talking = p.talking[1:]
		if it.last && !it.dropped {
			delete(s.byIP, it.Address)
		}
	}
	return jobs
}

// dueHeap orders items by the time of their next broadcast.
type dueHeap []*item

func (h dueHeap) Len() int { return len(h) }
func (h dueHeap) Less(i, j int) bool {
	if c := h[i].due.Compare(h[j].due); c != 0 {
		return c < 0
	}
	return h[i].number < h[j].number
}
func (h dueHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)   { *h = append(*h, x.(*item)) }
func (h *dueHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return it
}

// bucket paces the frames of one interface: rate a second after a first burst.
type bucket struct {
	rate   int // 0: unlimited
	tokens float64
	at     time.Time
}

func (b *bucket) refill(now time.Time) {
	b.tokens = min(FirstBurst, b.tokens+now.Sub(b.at).Seconds()*float64(b.rate))
	b.at = now
}

func (b *bucket) take() bool {
	if b.rate == 0 {
		return true
	}
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// ready is when the bucket has a frame's worth again; if not now, no sooner than a timer can tell.
func (b *bucket) ready(now time.Time) time.Time {
	if b.rate == 0 || b.tokens >= 1 {
		return now
	}
	missing := time.Duration((1 - b.tokens) / float64(b.rate) * float64(time.Second))
	return now.Add(max(time.Millisecond, missing+1))
}
