// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// MaxUnicast is how many neighbours are told personally of one address.
	MaxUnicast = 64
	// FirstBurst is how many frames may leave at once; more, and switches shut the port.
	FirstBurst = 16
)

// Announcement is an address with its new owner.
type Announcement struct {
	Address netip.Addr
	Link    int // interface index of the owner
	MAC     MAC // the owner's
	Router  bool
	// Neighbors to tell personally: gateways first, then those in use. Only the first MaxUnicast
	// of the address's family count.
	Neighbors []Neighbor
	Policy    Announce
	// Sent says that a batch has sent the broadcast already: the first round is done but for the neighbours,
	// of which it has told those in Told.
	Sent bool
	Told []Neighbor
}

// Announcer repeats announcements at their pace (contract section 3). It is safe for concurrent use.
type Announcer struct {
	sender *Sender
	log    *slog.Logger
	wake   chan struct{}

	mu    sync.Mutex
	sched schedule
}

// NewAnnouncer sends by s; Run has to run for anything to be sent.
func NewAnnouncer(s *Sender, log *slog.Logger) *Announcer {
	return &Announcer{sender: s, log: log, wake: make(chan struct{}, 1)}
}

// Announce starts or, for an address that is being announced, starts again with the new owner:
// what was still to be said of the old one is dropped.
func (a *Announcer) Announce(list ...Announcement) {
	now := time.Now()
	a.mu.Lock()
	for i := range list {
		a.sched.add(now, &list[i])
	}
	a.mu.Unlock()
	a.poke()
}

// Hush drops what is still to be said of addresses on other interfaces than their new owners', which have
// announced them: said now, it would take the peers back. Announce goes on with the new owners.
func (a *Announcer) Hush(moved []Announcement) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range moved {
		a.sched.hush(&moved[i])
	}
}

// Forget drops addresses that ipmpd no longer announces.
func (a *Announcer) Forget(list ...netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, ip := range list {
		a.sched.remove(ip)
	}
}

func (a *Announcer) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// SendDue sends what is due at once, before Run is there to do it.
func (a *Announcer) SendDue() { a.sendDue() }

func (a *Announcer) sendDue() (next, now time.Time) {
	a.mu.Lock()
	now = time.Now()
	jobs, next := a.sched.next(now)
	a.mu.Unlock()
	var frames []Frame
	for chunk := range slices.Chunk(jobs, chunkFrames) {
		frames = a.stillTrue(frames[:0], chunk)
		if n, err := a.sender.Send(frames); err != nil {
			a.log.Debug("announcements not sent", "sent", n, "of", len(frames), "error", err)
		}
	}
	return next, now
}

// chunkFrames are sent before it is asked again whether what they say is true: 0.1 ms or so.
const chunkFrames = 32

// stillTrue appends the frames of jobs whose address nobody else has got meanwhile.
func (a *Announcer) stillTrue(frames []Frame, jobs []job) []Frame {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, j := range jobs {
		if !j.dropped {
			frames = append(frames, j.frame())
		}
	}
	return frames
}

// Run sends what is due until ctx ends. A frame that cannot be sent is logged and not tried
// again before its next turn: the repetition is the retry.
func (a *Announcer) Run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		next, now := a.sendDue()
		wait := time.Hour
		if !next.IsZero() {
			wait = max(0, next.Sub(now))
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		case <-timer.C:
		}
	}
}
