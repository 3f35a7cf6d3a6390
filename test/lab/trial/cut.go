// SPDX-License-Identifier: Apache-2.0

package trial

import (
	"fmt"
	"time"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
	"github.com/ipmpd/ipmpd/test/lab/flow"
)

// Kind of a cut.
type Kind string

const (
	Silent  Kind = "silent"  // every frame lost, link still up
	Carrier Kind = "carrier" // cable pulled
)

// Cut is what came of one.
type Cut struct {
	Kind   Kind
	Member string
	At     int64 // CLOCK_MONOTONIC ns: of the first frame dropped; carrier: of the last that passed
	// Inbound and Outbound are judged at the receiving application; Reference was not cut.
	Inbound, Outbound, Reference flow.Gap
	// Elsewhere: traffic of that direction did not go over the member, so its gap tells nothing.
	InboundElsewhere, OutboundElsewhere bool
	// Missed: no failover in the history, or the traffic did not come back.
	Missed bool
	// Failover is the daemon's entry.
	Failover lab.HistoryEntry
	// Unexplained are failovers that this cut does not explain.
	Unexplained []lab.HistoryEntry
	Wire        Wire
}

// Wire is what the switch saw of a failover: ns after the cut, 0 for never.
type Wire struct {
	Outbound     time.Duration // first data frame from another member
	Announcement time.Duration // first that passed
	Suppressed   uint64        // announcements dropped by Options.FirstLost
	// Inbound is not seen at the switch, which floods what it has no port for, but at the
	// application: the first arrival after that announcement.
	Inbound time.Duration
}

// Cut cuts the first member. The traffic must be at home, see [Trial.Home]. The member stays cut:
// the caller repairs it.
func (t *Trial) Cut(kind Kind) (Cut, error) { return t.CutMember(kind, t.Lab.Members[0]) }

// CutMember cuts any member.
func (t *Trial) CutMember(kind Kind, m *lab.Member) (Cut, error) {
	c := Cut{Kind: kind, Member: m.Name}
	early, err := t.news()
	if err != nil {
		return c, err
	}
	c.Unexplained = failovers(early)
	if err := t.arm(m); err != nil {
		return c, err
	}
	if c.At, err = t.pull(kind, m); err != nil {
		return c, err
	}
	c.Missed = t.comesBack(c.At) != nil
	end := max(c.At+int64(t.opts.Window), faults.Now())
	if err := t.until(end); err != nil {
		return c, err
	}
	c.Inbound, c.Outbound = t.Inbound.Gap(c.At, end), t.Outbound.Gap(c.At, end)
	c.Reference = t.Reference.Gap(c.At, end)
	if c.Wire, err = t.wire(m, c.At); err != nil {
		return c, err
	}
	if back := t.Inbound.FirstArrival(c.At + int64(c.Wire.Announcement)); c.Wire.Announcement != 0 && back != 0 {
		c.Wire.Inbound = time.Duration(back - c.At)
	}
	return c, t.explain(&c)
}

func (t *Trial) pull(kind Kind, m *lab.Member) (int64, error) {
	if kind == Carrier {
		return pullCable(m)
	}
	if err := m.CutSilent(); err != nil {
		return 0, err
	}
	var at int64
	err := t.Lab.Wait("the first frame dropped", time.Second, func() (ok bool, err error) {
		at, err = m.Port.CutAt()
		return at != 0, err
	})
	return at, err
}

// pullCable tells when the last frame from the host passed the port: the kernel may take its time
// before it sets the port down, but probes pass every round until it has.
func pullCable(m *lab.Member) (int64, error) {
	asked, err := m.CutCarrier()
	if err != nil {
		return 0, err
	}
	c, err := m.Port.Count(faults.From, faults.All)
	return max(asked, c.Last), err
}

// comesBack waits for steady traffic both ways. What arrives a millisecond after the cut has not
// come over the member that was cut.
func (t *Trial) comesBack(cut int64) error {
	const steady = 400 // packets: 40 ms
	since := cut + int64(time.Millisecond)
	return t.Lab.Wait("the traffic to come back", 5*time.Second, func() (bool, error) {
		return t.Inbound.ArrivedSince(since) > steady && t.Outbound.ArrivedSince(since) > steady, nil
	})
}

// arm prepares the other members' ports for a failover.
func (t *Trial) arm(cut *lab.Member) error {
	for _, m := range t.Lab.Members {
		if m == cut {
			continue
		}
		if t.opts.FirstLost {
			if err := m.Port.Set(faults.Burst(faults.From, faults.Announcement(), 5*time.Millisecond)); err != nil {
				return err
			}
		}
		if err := m.Port.Reset(faults.From, faults.Announced, faults.IP(faults.Data)); err != nil {
			return err
		}
	}
	return nil
}

func (t *Trial) wire(cut *lab.Member, at int64) (Wire, error) {
	var w Wire
	for _, m := range t.Lab.Members {
		if m == cut {
			continue
		}
		for _, row := range []struct {
			d    faults.Direction
			s    faults.Slot
			into *time.Duration
		}{
			{faults.From, faults.IP(faults.Data), &w.Outbound},
			{faults.From, faults.Announced, &w.Announcement},
		} {
			c, err := m.Port.Count(row.d, row.s)
			if err != nil {
				return w, err
			}
			if after := time.Duration(c.First - at); c.First != 0 && (*row.into == 0 || after < *row.into) {
				*row.into = after
			}
		}
		if !t.opts.FirstLost {
			continue
		}
		states, err := m.Port.States()
		if err != nil {
			return w, err
		}
		for _, s := range states {
			w.Suppressed += s.Dropped
		}
	}
	return w, nil
}

// explain finds the cut in the daemon's history.
func (t *Trial) explain(c *Cut) error {
	found := false
	err := t.Lab.Wait("the failover in the history", time.Second, func() (bool, error) {
		entries, err := t.news()
		if err != nil {
			return false, err
		}
		for _, e := range failovers(entries) {
			switch {
			case e.Interface != c.Member:
				c.Unexplained = append(c.Unexplained, e)
			case !found:
				c.Failover, found = e, true
			}
		}
		return found, nil
	})
	if err != nil {
		c.Missed = true
	}
	if t.Daemon.Ended() {
		return fmt.Errorf("after the %s cut of %s: %w", c.Kind, c.Member, err)
	}
	return nil
}

func failovers(entries []lab.HistoryEntry) []lab.HistoryEntry {
	var found []lab.HistoryEntry
	for _, e := range entries {
		if e.Kind == "failover" {
			found = append(found, e)
		}
	}
	return found
}

// Repair plugs every member in again.
func (t *Trial) Repair() error {
	for _, m := range t.Lab.Members {
		if err := m.Repair(); err != nil {
			return err
		}
	}
	return nil
}

// Unexplained are the failovers since the last cut was judged.
func (t *Trial) Unexplained() ([]lab.HistoryEntry, error) {
	entries, err := t.news()
	return failovers(entries), err
}
