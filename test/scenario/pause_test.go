// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// TestVerdictInTheMiddle: the daemon pauses before and after each operation of an offline, a failback, a
// reload, and the kernel decides meanwhile that a member is silent. Both are finished when it goes on:
// neither undoes the other. What a failure of another group has prepared does not wait for it.
func TestVerdictInTheMiddle(t *testing.T) {
	binary, fault := faulty(t)
	third := netip.MustParseAddr("192.0.2.30")
	all := []netip.Addr{blue, blue2, third}
	one := file(blueText([]int{0, 1, 2}, "10", "20", "30"))
	two := file(blueText([]int{0, 1}, "10"), redText([]int{2, 3}, "10"))
	redder := file(blueText([]int{0, 1}, "10"), redText([]int{2, 3}, "10", "20", "30"))
	rows := []struct {
		name    string
		config  string
		before  func(s *scene)
		begin   func(s *scene) // what is interrupted, and goes on
		cut     int            // who is silent meanwhile
		at      []netip.Addr   // where they are in the end: on the last two members but the silent one
		waits   bool           // the failover waits for what is interrupted: it is of the same group
		restore func(s *scene)
	}{
		{"offline", one, nil, func(s *scene) { s.try("offline", "hme0") }, 1, all, true,
			func(s *scene) { s.run("online", "hme0") }},
		{"online", one, func(s *scene) { s.run("offline", "hme0") }, func(s *scene) { s.try("online", "hme0") }, 1, all, true,
			func(s *scene) {}},
		{"failback, and it fails again", one, func(s *scene) {
			require.NoError(s.t, s.Members[0].CutSilent())
			s.expect("failover hme0")
		}, func(s *scene) { require.NoError(s.t, s.Members[0].Repair()) }, 0, all, true, func(*scene) {}},
		{"reload", one, nil, func(s *scene) {
			require.NoError(s.t, s.daemon.Configure(file(blueText([]int{0, 1, 2}, "10", "20", "30", "40"))))
			s.try("reload")
		}, 0, all, true, func(s *scene) { s.reloaded(one) }},
		{"reload that takes a member", one, func(s *scene) { s.quiet(file(blueText([]int{1, 2})), true) }, func(s *scene) {
			require.NoError(s.t, s.daemon.Configure(file(blueText([]int{1, 2}, "10", "20", "30"))))
			s.try("reload")
		}, 1, all, true, func(s *scene) { s.reloaded(one) }},
		{"reload of another group", two, nil, func(s *scene) {
			require.NoError(s.t, s.daemon.Configure(redder))
			s.try("reload")
		}, 0, []netip.Addr{blue, red}, false, func(s *scene) { s.reloaded(two) }},
	}
	picked := pick(len(rows), 1)
	for i, row := range rows {
		if !picked[i] {
			continue
		}
		t.Run(row.name, func(t *testing.T) {
			s := reloadScene(t, 4, row.config, binary)
			each(t, 2, 5, func(n int) bool {
				if row.before != nil {
					row.before(s)
				}
				fault.arm("pause", n)
				begun := make(chan struct{})
				go func() { defer close(begun); row.begin(s) }()
				paused := s.pausesOrSettles(fault, begun)
				silent := s.Members[row.cut]
				if paused {
					was := s.count(silent.Port, faults.To, faults.Dropped)
					require.NoError(t, silent.CutSilent())
					if row.waits {
						// Long enough for the verdict: rounds of 250 us are sent on.
						s.wait("rounds that are lost", func() (bool, error) {
							return s.count(silent.Port, faults.From, faults.Dropped) > was+100, nil
						})
					} else {
						s.at("hme1", blue)
						require.True(t, fault.paused(), "it came in between")
					}
				}
				fault.disarm()
				fault.goOn()
				<-begun
				if paused {
					s.wait(silent.Name+" to have failed, or to be gone", func() (bool, error) {
						st, err := s.client.Status(s.context())
						if err != nil {
							return false, err
						}
						for _, g := range st.Groups {
							for _, i := range g.Interfaces {
								if i.Name == silent.Name && i.State != "failed" {
									return false, nil
								}
							}
						}
						return true, nil
					})
				}
				s.right(row.at...)
				for _, a := range row.at {
					owner, err := s.where(a)
					require.NoError(t, err)
					if paused {
						require.NotEqual(t, silent.Name, owner, "point %d: %s", n, a)
					}
				}
				s.wait("all that was begun to be complete", func() (bool, error) {
					for _, e := range s.history() {
						if !e.Complete {
							return false, nil
						}
					}
					return true, nil
				})
				require.NoError(t, silent.Repair())
				row.restore(s)
				s.wait("all to answer", s.allOK)
				s.right(row.at...)
				s.news()
				return paused
			})
		})
	}
}

// pausesOrSettles waits for a pause, or until what was begun is done and nothing came of it.
func (s *scene) pausesOrSettles(fault faultpoint, begun <-chan struct{}) (paused bool) {
	s.t.Helper()
	s.wait("a pause, or that all is done", func() (bool, error) {
		if paused = fault.paused(); paused {
			return true, nil
		}
		select {
		case <-begun:
		default:
			return false, nil
		}
		return s.allUsable()
	})
	return paused
}

// allUsable: nobody has failed, addresses are at home or where they can be, and all is complete.
func (s *scene) allUsable() (bool, error) {
	st, err := s.client.Status(s.context())
	if err != nil {
		return false, err
	}
	for _, g := range st.Groups {
		off := map[string]bool{}
		for _, i := range g.Interfaces {
			if i.State != "ok" && i.State != "offline" {
				return false, nil
			}
			off[i.Name] = i.State != "ok"
		}
		for _, a := range g.Addresses {
			if a.State != "up" || a.Interface != a.Home && !off[a.Home] {
				return false, nil
			}
		}
	}
	return true, nil
}
