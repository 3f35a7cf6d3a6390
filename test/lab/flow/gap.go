// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"time"

	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// Gap is what a flow lost in a window of time.
type Gap struct {
	// Longest time between two arrivals, of which the later is in the window. Where nothing was
	// lost between them, the time by which the sender itself was late is taken off.
	Longest    time.Duration
	Start, End int64 // its arrivals, CLOCK_MONOTONIC ns
	// Open: nothing has arrived since Start; Longest is up to the window's end.
	Open       bool
	Sent       int // in the window
	Lost       int // of those
	Duplicates int
	// SenderGap is the sender's longest pause in the window. Where it is above 1 ms, Longest may
	// be that much too long.
	SenderGap time.Duration
}

// inFlight is how long a packet may take to be logged: younger ones are not yet lost.
const inFlight = 10 * time.Millisecond

// patience is how long a starved receiver is waited for.
const patience = 10 * time.Second

// settle waits until what had arrived by then is logged, and what was under way has come.
func (f *Flow) settle(to int64) {
	to += int64(inFlight)
	for end := faults.Now() + int64(patience); f.log.drained.Load() < to && faults.Now() < end; {
		time.Sleep(time.Millisecond)
	}
}

// Gap judges the window from .. to, in CLOCK_MONOTONIC ns, not older than 50 s, when all of it is
// logged.
func (f *Flow) Gap(from, to int64) Gap {
	f.settle(to)
	var g Gap
	sent := f.log.sent.Load()
	first := f.firstSent(from, sent)
	received := make([]uint8, sent-first)
	last := arrival{at: -1}
	for i := f.firstArrival(from); i < f.log.received.Load(); i++ {
		a := f.log.rx[i&(logSize-1)]
		if a.seq >= first && a.seq < sent {
			if received[a.seq-first]++; received[a.seq-first] > 1 {
				g.Duplicates++
			}
		}
		if last.at >= 0 && a.at > from && last.at < to {
			g.between(f, last, a)
		}
		last = a
	}
	if last.at >= 0 && last.at < to && time.Duration(to-last.at) > g.Longest {
		g.Longest, g.Start, g.End, g.Open = time.Duration(to-last.at), last.at, to, true
	}
	for seq := first; seq < sent; seq++ {
		at := f.sentAt(seq)
		if at > to-int64(inFlight) {
			break
		}
		g.Sent++
		if received[seq-first] == 0 {
			g.Lost++
		}
		if seq > first {
			g.SenderGap = max(g.SenderGap, time.Duration(at-f.sentAt(seq-1)))
		}
	}
	return g
}

func (g *Gap) between(f *Flow, a, b arrival) {
	pause := time.Duration(b.at - a.at)
	if b.seq == a.seq+1 {
		pause -= max(0, time.Duration(f.sentAt(b.seq)-f.sentAt(a.seq))-f.Interval)
	}
	if pause > g.Longest {
		g.Longest, g.Start, g.End = pause, a.at, b.at
	}
}

func (f *Flow) sentAt(seq uint64) int64 { return f.log.tx[seq&(logSize-1)] }

// firstSent is the first sequence number sent at or after from, of those still logged.
func (f *Flow) firstSent(from int64, sent uint64) uint64 {
	seq := sent
	for seq > 0 && sent-seq < logSize/2 && f.sentAt(seq-1) >= from {
		seq--
	}
	return seq
}

// firstArrival is the index of an arrival well before from: a gap that the cut began in is seen whole,
// and no packet of the window is missed whose stamp is a little early (the receiver reads two clocks).
func (f *Flow) firstArrival(from int64) uint64 {
	count := f.log.received.Load()
	i := count
	for i > 0 && count-i < logSize/2 {
		i--
		if f.log.rx[i&(logSize-1)].at < from-int64(inFlight) {
			break
		}
	}
	return i
}

// ArrivedSince counts arrivals after a moment, as far as they are logged.
func (f *Flow) ArrivedSince(from int64) int {
	n, count := 0, f.log.received.Load()
	for i := count; i > 0 && count-i < logSize/2 && f.log.rx[(i-1)&(logSize-1)].at > from; i-- {
		n++
	}
	return n
}

// Packet of a flow, CLOCK_MONOTONIC ns; Arrived is 0 where it was lost.
type Packet struct{ Sent, Arrived int64 }

// Packets are those that were sent from .. to.
func (f *Flow) Packets(from, to int64) []Packet {
	f.settle(to)
	sent := f.log.sent.Load()
	first := f.firstSent(from, sent)
	var packets []Packet
	for seq := first; seq < sent && f.sentAt(seq) < to; seq++ {
		packets = append(packets, Packet{Sent: f.sentAt(seq)})
	}
	for i := f.firstArrival(from); i < f.log.received.Load(); i++ {
		if a := f.log.rx[i&(logSize-1)]; a.seq >= first && a.seq-first < uint64(len(packets)) {
			packets[a.seq-first].Arrived = a.at
		}
	}
	return packets
}

// FirstArrival after a moment, CLOCK_MONOTONIC ns; 0 for none.
func (f *Flow) FirstArrival(after int64) int64 {
	for i := f.firstArrival(after); i < f.log.received.Load(); i++ {
		if at := f.log.rx[i&(logSize-1)].at; at > after {
			return at
		}
	}
	return 0
}

// Totals of a whole run.
type Totals struct {
	Sent, Arrived, Duplicates uint64
	Refused                   uint64 // sends that the kernel refused
	Skipped                   uint64 // ticks that a late sender left out
}

// Totals so far.
func (f *Flow) Totals() Totals {
	return Totals{
		Sent: f.log.sent.Load(), Arrived: f.log.received.Load() - f.log.duplicates.Load(),
		Duplicates: f.log.duplicates.Load(), Refused: f.log.errors.Load(), Skipped: f.log.late.Load(),
	}
}
