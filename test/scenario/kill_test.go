// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
)

// TestKilledAtEveryOperation: SIGKILL before and after each thing that the daemon does to the host,
// in a failover, a failback and whatever else moves addresses. After its next start every data
// address answers the peer, is on one member only, and what the host sends of its own accord comes
// from it, over the routes that were there before ipmpd.
func TestKilledAtEveryOperation(t *testing.T) {
	for _, row := range []struct {
		name       string
		begin, end func(s *scene) // what is interrupted, and back again
		done       string         // where the address is when it was not interrupted
		always     bool           // and also when it was: not the operator's word, which may be lost
		least      int            // points that there must be
	}{
		{"silent failure", func(s *scene) { require.NoError(s.t, s.Members[0].CutSilent()) },
			func(s *scene) { require.NoError(s.t, s.Members[0].Repair()) }, "hme1", true, 8},
		{"carrier lost", func(s *scene) { _, err := s.Members[0].CutCarrier(); require.NoError(s.t, err) },
			func(s *scene) { require.NoError(s.t, s.Members[0].Repair()) }, "hme1", true, 8},
		{"offline", func(s *scene) { s.try("offline", "hme0") },
			func(s *scene) { s.run("online", "hme0") }, "hme1", false, 4},
		{"online", func(s *scene) { s.run("offline", "hme0"); s.at("hme1", lab.Data); s.arm(); s.try("online", "hme0") },
			func(s *scene) { s.run("online", "hme0") }, "hme0", false, 4},
		{"failback", func(s *scene) {
			require.NoError(s.t, s.Members[0].CutSilent())
			s.at("hme1", lab.Data)
			s.arm()
			require.NoError(s.t, s.Members[0].Repair())
		}, func(*scene) {}, "hme0", true, 4},
	} {
		t.Run(row.name, func(t *testing.T) {
			binary, fault := faulty(t)
			c := adopting()
			c.binary = binary
			s := stage(t, c)
			seen := s.listenFar()
			each(t, row.least, 4, func(point int) bool {
				s.arm = func() { fault.arm("kill", point) }
				if row.name != "online" && row.name != "failback" { // those arm on the way
					s.arm()
				}
				row.begin(s)
				killed := s.endsOrSettles(row.done)
				fault.disarm()
				// A point may have been on its way, and a process takes a while to end.
				s.wait("the daemon", func() (bool, error) {
					if s.daemon.Ended() {
						killed = true
						if err := errors.Join(s.daemon.Kill(), s.daemon.Start()); err != nil {
							return false, err
						}
					}
					_, err := s.client.Status(s.context())
					return err == nil, err
				})
				if row.always || !killed {
					s.at(row.done, lab.Data)
				}
				s.reached(lab.Data)
				s.route("default", "nhid", "src 192.0.2.10")
				require.Equal(t, lab.Data, seen(lab.Far), "point %d", point)
				row.end(s)
				s.wait("everything to be ready again", s.ready)
				s.at("hme0", lab.Data)
				s.news()
				return killed
			})
		})
	}
}

// try a command whose daemon may be killed meanwhile.
func (s *scene) try(args ...string) {
	_, _ = s.daemon.Run(s.context(), args...)
}

// endsOrSettles waits until the daemon is dead, or the address is where it belongs and all is done.
func (s *scene) endsOrSettles(at string) (dead bool) {
	s.t.Helper()
	s.wait("the daemon's end, or that it is done", func() (bool, error) {
		if s.daemon.Ended() {
			dead = true
			return true, nil
		}
		h, err := s.client.History(s.context())
		if err != nil || len(h) == 0 {
			return false, nil // it is dying
		}
		for _, e := range h {
			if e.ID > s.seen && !e.Complete {
				return false, fmt.Errorf("%s is not complete", e.Kind)
			}
		}
		is, err := s.where(lab.Data)
		return err == nil && is == at, nil
	})
	return dead
}
