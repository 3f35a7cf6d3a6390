// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Batch is the failure of one member, made ready: frames and messages that only have to be sent.
// It is fired at most once.
type Batch struct {
	a      *Applier
	burst  burst
	first  int // frames of the first burst
	casts  burst
	buf    []byte
	chunks []chunk
	// last chunk that has nexthops or routes, or addresses in it; -1: none has
	routes, addresses int
	ops               []Op
	byMessage         []int // index into ops
	ageing            []ageing

	fired    bool
	chunk    int
	now      unix.Timespec
	onFail   func(i int, err error)
	failures []Failure
	// lastFailed is the operation that the last failure is of
	lastFailed int
}

// chunk is a part of the batch's messages that one sendmsg carries: bytes, and the first message.
type chunk struct{ from, to, first int }

// Result is what a fired batch did and when: CLOCK_MONOTONIC in ns, 0 for what did not happen.
type Result struct {
	// Stale: the generation had changed (or the batch was fired before) and nothing more was done.
	Stale                                           bool
	FirstAnnouncement, Announced, Routes, Addresses int64
	// Epoch that the batch began, for Apply; 0 if it wrote nothing.
	Epoch Epoch
	// Frames sent of those given to Prepare, from the first on; the Announcer sends the rest.
	Frames   int
	Failures []Failure
}

// Prepare encodes ops and readies frames (Frames builds them, in order). Operations that are not
// netlink messages (sysctls, multicast) are not part of a batch, nor are those that have to wait for the
// kernel (IPv6 addresses off their old interface); the Apply that follows every batch performs them. Only the first FirstBurst frames will be sent, or, where the rate of
// announcements is unlimited, all of them. The batch keeps copies of ops.
func (a *Applier) Prepare(ops []Op, frames []Frame, unlimited bool) (*Batch, error) {
	b := &Batch{a: a, routes: -1, addresses: -1, lastFailed: -1, first: min(len(frames), FirstBurst), ops: slices.Clone(ops)}
	if unlimited {
		b.first = len(frames)
	}
	b.burst.set(frames[:b.first])
	b.onFail = b.fail
	// Enough for IPv4 addresses, of which there may be thousands.
	const usual = 72
	b.buf, b.byMessage = make([]byte, 0, usual*len(ops)), make([]int, 0, len(ops))
	for i := range ops {
		op := &ops[i]
		if !isMessage(op.Kind) || op.lands() {
			continue
		}
		at := len(b.buf)
		buf, err := Encode(b.buf, op)
		if err != nil {
			return nil, fmt.Errorf("prepare %s: %w", op.Why, err)
		}
		b.buf = buf
		if op.Kind == AddAddress && op.At != 0 {
			b.ageing = append(b.ageing, ageing{len(buf) - cacheinfo, *op})
		}
		isAddress := op.Kind == AddAddress || op.Kind == DeleteAddress
		n := len(b.chunks)
		// The first address begins a chunk, so that the time of the routes before it is known; the
		// first deletion does, so that it is known whether the additions succeeded.
		if n == 0 || a.pointed() || len(b.byMessage)-b.chunks[n-1].first >= chunkMessages ||
			isAddress && b.addresses < 0 || op.Kind == DeleteAddress && ops[b.byMessage[len(b.byMessage)-1]].Kind != DeleteAddress {
			b.chunks = append(b.chunks, chunk{from: at, first: len(b.byMessage)})
			n++
		}
		for range count(buf[at:]) {
			b.byMessage = append(b.byMessage, i)
		}
		b.chunks[n-1].to = len(b.buf)
		switch {
		case isAddress:
			b.addresses = n - 1
		case op.Kind != AddNeighbor:
			b.routes = n - 1
		}
	}
	return b, nil
}

// Report has frames (CastReports) sent after the announcements. To be called before the batch may be fired.
func (b *Batch) Report(frames []Frame) { b.casts.set(frames) }

// Fire performs the batch on the calling thread, which should be locked and of real-time
// priority: Announce, then Write.
func (b *Batch) Fire(current func() bool) Result {
	r := b.Announce(current)
	b.Write(current, &r)
	return r
}

// Announce sends the announcements. Nothing is allocated until the frames are out. current says whether
// the batch's generation is still in force.
//
// It does not wait for the writer lock: the lock's holder may be waiting for the kernel's
// RTNL, the kernel's verdict has taken effect already, and announcements write no kernel state
// of this host. Everything else does wait.
func (b *Batch) Announce(current func() bool) (r Result) {
	if b.fired || !current() {
		r.Stale = true
		return r
	}
	b.fired = true
	announcement := Op{Why: "announcement"}
	b.a.before(&announcement)
	b.announce(&r)
	// One that is lost is sent again by the kernel, once the group is joined.
	b.casts.send(b.a.sender.fd, 0, len(b.casts.frames))
	b.a.after(&announcement)
	r.Failures = b.failures
	return r
}

// Write performs the messages of a batch that was announced with this result, in order, perhaps on
// another thread: whoever announces is then free for the next batch. current is asked again, under the
// writer lock.
func (b *Batch) Write(current func() bool, r *Result) {
	if r.Stale {
		return
	}
	b.write(current, r)
	r.Failures = b.failures
}

// announce sends the first burst. Nothing is allocated, unless a frame fails.
func (b *Batch) announce(r *Result) {
	if b.first == 0 {
		return
	}
	// The first one alone: it is as fast with a thousand addresses as with one.
	n, at, errno := b.burst.send(b.a.sender.fd, 0, 1)
	if n > 0 {
		r.FirstAnnouncement = b.monotonic()
	}
	m, at2, errno2 := b.burst.send(b.a.sender.fd, 1, b.first)
	r.Frames = n + m
	if r.Frames > 0 {
		r.Announced = b.monotonic()
		if r.FirstAnnouncement == 0 {
			r.FirstAnnouncement = r.Announced
		}
	}
	b.frameFailure(at, errno)
	b.frameFailure(at2, errno2)
}

// write performs the messages.
func (b *Batch) write(current func() bool, r *Result) {
	b.a.mu.Lock()
	defer b.a.mu.Unlock()
	if !current() {
		r.Stale = true
		return
	}
	for i := range b.ageing {
		b.ageing[i].refresh(b.buf, boottime())
	}
	for i := range b.chunks {
		b.chunk = i
		if b.strands(i) {
			break
		}
		op := &b.ops[b.byMessage[b.chunks[i].first]]
		b.a.before(op)
		b.a.kernel.Exchange(b.buf[b.chunks[i].from:b.chunks[i].to], b.onFail)
		b.a.after(op)
		if i == b.routes {
			r.Routes = b.monotonic()
		}
		if i == b.addresses {
			r.Addresses = b.monotonic()
		}
	}
	// Last, so that whoever asks for the epoch meanwhile is overtaken.
	r.Epoch = Epoch(b.a.epoch.Add(1))
}

// strands: chunk i deletes addresses, and some address could not be added. What is left is for the
// Apply that follows, which knows which ones to keep.
func (b *Batch) strands(i int) bool {
	if len(b.failures) == 0 || b.ops[b.byMessage[b.chunks[i].first]].Kind != DeleteAddress {
		return false
	}
	return slices.ContainsFunc(b.failures, func(f Failure) bool { return f.Op.Kind == AddAddress })
}

// fail notes the failure of message i of the chunk under way; one is enough of an operation.
func (b *Batch) fail(i int, err error) {
	at := b.byMessage[b.chunks[b.chunk].first+i]
	if op := b.ops[at]; at != b.lastFailed && !satisfied(op.Kind, err) {
		b.lastFailed = at
		b.failures = append(b.failures, Failure{op, err})
	}
}

// frameFailure has no operation of its own: a zero Kind with the interface.
func (b *Batch) frameFailure(at int, errno unix.Errno) {
	if errno == 0 {
		return
	}
	f := &b.burst.frames[at]
	op := Op{Link: f.Link, IP: f.Address, Why: "announcement"}
	b.failures = append(b.failures, Failure{op, fmt.Errorf("announce %s on interface %d: %w", f.Address, f.Link, errno)})
}

// monotonic is CLOCK_MONOTONIC in ns. The Timespec lies in the batch, as a local one would escape.
func (b *Batch) monotonic() int64 {
	_, _, _ = unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_MONOTONIC, uintptr(unsafe.Pointer(&b.now)), 0)
	return b.now.Nano()
}
