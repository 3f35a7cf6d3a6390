// SPDX-License-Identifier: Apache-2.0

package trial

import (
	"fmt"
	"time"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
	"github.com/ipmpd/ipmpd/test/lab/flow"
)

// Planned are the packets lost by a move that should lose none.
type Planned struct {
	Inbound, Outbound flow.Gap
}

// Lost packets, both ways.
func (p Planned) Lost() int { return p.Inbound.Lost + p.Outbound.Lost }

// Home waits until the group is ok, the data address is on the first member, and all traffic of
// both directions goes over it, judged by the switch. A flow that stays on another member is
// brought home, see gather. from is when going home began, CLOCK_MONOTONIC ns; what was lost since
// is told.
func (t *Trial) Home(from int64) (Planned, error) {
	first := t.Lab.Members[0]
	err := t.Lab.Wait("the group to be ok and the address at home", bound, t.settled)
	if err != nil {
		return Planned{}, err
	}
	for range 3 {
		over, err := t.carriers(faults.From)
		if err != nil {
			return Planned{}, err
		}
		if only(over, first) == nil {
			break
		}
		if err := t.gather(); err != nil {
			return Planned{}, err
		}
	}
	if err := t.Lab.Wait("both directions on "+first.Name, bound, func() (bool, error) {
		for _, d := range []faults.Direction{faults.From, faults.To} {
			over, err := t.carriers(d)
			if err != nil {
				return false, err
			}
			if err := only(over, first); err != nil {
				return false, fmt.Errorf("direction %d: %w", d, err)
			}
		}
		return true, nil
	}); err != nil {
		return Planned{}, err
	}
	to := faults.Now()
	if err := t.until(to); err != nil {
		return Planned{}, err
	}
	return Planned{Inbound: t.Inbound.Gap(from, to), Outbound: t.Outbound.Gap(from, to)}, nil
}

func only(over []*lab.Member, m *lab.Member) error {
	if len(over) != 1 || over[0] != m {
		return fmt.Errorf("traffic goes over %s", names(over))
	}
	return nil
}

func (t *Trial) settled() (bool, error) {
	s, err := t.Daemon.Status()
	if err != nil {
		return false, err
	}
	for _, g := range s.Groups {
		if g.State != "ok" {
			return false, fmt.Errorf("group %s is %s", g.Name, g.State)
		}
		for _, a := range g.Addresses {
			if a.State != "up" || a.Interface != a.Home {
				return false, fmt.Errorf("%s is %s on %s", a.Address, a.State, a.Interface)
			}
		}
	}
	return true, nil
}

// gather brings outbound traffic to the first member, in the way that place has chosen an address
// for. What comes back to a nexthop group gets its part of the idle buckets in their order, and all
// are idle while the group has one member only. Of two members the first comes back last; with
// more, the others do. Of IPv6 each packet is looked up, so the traffic's own buckets are never idle and stay
// where they are: there too the others come back last.
func (t *Trial) gather() error {
	first, others := t.Lab.Members[0], t.Lab.Members[1:]
	if len(others) == 1 && t.traffic().data.Is4() {
		return t.Bounce(first)
	}
	for _, command := range []string{"offline", "online"} {
		for _, m := range others {
			if err := t.Run(command, m.Name); err != nil {
				return err
			}
		}
	}
	return t.Lab.Wait("the group to be ok after online", bound, t.settled)
}

// Bounce takes a member out of service and back, and waits until the addresses are at home.
func (t *Trial) Bounce(m *lab.Member) error {
	if err := t.Run("offline", m.Name); err != nil {
		return err
	}
	if err := t.Run("online", m.Name); err != nil {
		return err
	}
	return t.Lab.Wait("the group to be ok after online", bound, t.settled)
}

// carriers are the members that data traffic of one direction goes over now.
func (t *Trial) carriers(d faults.Direction) ([]*lab.Member, error) {
	before := make([]uint64, len(t.Lab.Members))
	for i, m := range t.Lab.Members {
		c, err := m.Port.Count(d, faults.IP(faults.Data))
		if err != nil {
			return nil, err
		}
		before[i] = c.Packets
	}
	time.Sleep(10 * time.Millisecond) // a sample of a hundred packets, not a wait
	var over []*lab.Member
	for i, m := range t.Lab.Members {
		c, err := m.Port.Count(d, faults.IP(faults.Data))
		if err != nil {
			return nil, err
		}
		if c.Packets > before[i] {
			over = append(over, m)
		}
	}
	return over, nil
}

func names(members []*lab.Member) string {
	if len(members) == 0 {
		return "no member"
	}
	s := members[0].Name
	for _, m := range members[1:] {
		s += ", " + m.Name
	}
	return s
}
