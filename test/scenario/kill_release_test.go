// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
)

// inUse is a host of an administrator who had addresses and routes of both families on the members.
func inUse(was *picture) setup {
	return wholeGroup(was, func(s *scene) {
		for _, c := range []string{
			"ip addr add 192.0.2.10/24 brd + dev hme1 label hme1:0",
			"ip addr add 192.0.2.11/24 dev hme0",
			"ip addr add 2001:db8::10/64 dev hme1 nodad",
			"ip route add 203.0.113.0/24 via 192.0.2.1 dev hme1 mtu 1400",
			"ip route add default via 192.0.2.1 dev hme0 proto dhcp metric 100",
			"ip -6 route add 2001:db8:7::/64 via 2001:db8::1 dev hme1",
		} {
			s.command(c)
		}
	})
}

// TestStartAndReleaseKilledAtEveryOperation: SIGKILL before and after each operation of a start on a
// host that is in use, of a start over the remains of a run that was killed in the middle of something,
// of a release by the daemon, and of one without it. The next start puts everything where it belongs,
// and the next release leaves the host as it was before ipmpd.
func TestStartAndReleaseKilledAtEveryOperation(t *testing.T) {
	long(t)
	binary, fault := faulty(t)
	var was picture
	c := inUse(&was)
	c.binary = binary
	s := stage(t, c)
	rows := []struct {
		name   string
		stride int
		at     func(s *scene, n int) bool
	}{
		{"release by the daemon", 40, func(s *scene, n int) bool {
			fault.arm("kill", n)
			s.try("release", "--state", s.daemon.State)
			s.wait("the daemon's end", func() (bool, error) { return s.daemon.Ended(), nil })
			fault.disarm()
			died := s.daemon.Stop() != nil
			s.release()
			require.Equal(s.t, was, s.look(), "point %d", n)
			s.begins()
			return died
		}},
		{"release without a daemon", 40, func(s *scene, n int) bool {
			require.NoError(s.t, s.daemon.Kill())
			fault.arm("kill", n)
			_, err := s.daemon.Run(s.context(), "release", "--state", s.daemon.State)
			fault.disarm()
			s.release()
			require.Equal(s.t, was, s.look(), "point %d", n)
			s.begins()
			return err != nil
		}},
		{"first start", 45, func(s *scene, n int) bool {
			s.goes(was)
			fault.arm("kill", n)
			require.NoError(s.t, s.daemon.Start())
			died := s.beginsOrEnds(fault)
			s.wait("the daemon to be ready", s.ready)
			s.at("hme0", lab.Data, lab.Data6)
			s.route("default", "nhid", "src 192.0.2.10")
			s.route("203.0.113.0/24", "nhid", "mtu 1400")
			if n%4 == 1 {
				s.goes(was)
				s.begins()
			}
			return died
		}},
		{"start over remains", 14, func(s *scene, n int) bool {
			// It was killed with everything on hme1, and since then that is the silent one.
			s.failsOver()
			require.NoError(s.t, s.daemon.Kill())
			require.NoError(s.t, s.Members[0].Repair())
			require.NoError(s.t, s.Members[1].CutSilent())
			fault.arm("kill", n)
			require.NoError(s.t, s.daemon.Start())
			dead := false
			s.wait("the address at hme0, or its end", func() (bool, error) {
				if dead = s.daemon.Ended(); dead {
					return true, nil
				}
				is, err := s.where(lab.Data6)
				return err == nil && is == "hme0" && s.settledAt("hme0"), err
			})
			fault.disarm()
			dead = s.again() || dead
			s.at("hme0", lab.Data, lab.Data6)
			require.NoError(s.t, s.Members[1].Repair())
			s.wait("the daemon to be ready", s.ready)
			s.route("default", "nhid", "src 192.0.2.10")
			return dead
		}},
	}
	picked := pick(len(rows), 2)
	for i, row := range rows {
		if !picked[i] {
			continue
		}
		ran := t.Run(row.name, func(t *testing.T) {
			s := s.in(t)
			each(t, 8, row.stride, func(n int) bool {
				more := row.at(s, n)
				s.in(t).right(lab.Data, lab.Data6)
				s.news()
				return more
			})
		})
		require.True(t, ran, "what comes next would begin with what this has left")
	}
	s.news()
	s.goes(was)
}

// settledAt tells whether a member is ok and the other one known to have failed.
func (s *scene) settledAt(name string) bool {
	st, err := s.client.Status(s.context())
	if err != nil {
		return false
	}
	for _, i := range st.Groups[0].Interfaces {
		if want := map[bool]string{true: "ok", false: "failed"}[i.Name == name]; i.State != want {
			return false
		}
	}
	return true
}

// begins a daemon.
func (s *scene) begins() {
	s.t.Helper()
	require.NoError(s.t, s.daemon.Start())
	s.wait("the daemon to be ready", s.ready)
}

// beginsOrEnds waits until a daemon that was started is ready or has killed itself; then it starts another.
func (s *scene) beginsOrEnds(fault faultpoint) (died bool) {
	s.t.Helper()
	s.wait("the daemon, or its end", func() (bool, error) {
		if died = s.daemon.Ended(); died {
			return true, nil
		}
		return s.ready()
	})
	fault.disarm()
	return s.again() || died
}

// goes: everything is released, and the host as it was.
func (s *scene) goes(was picture) {
	s.t.Helper()
	s.release()
	s.ended()
	require.Equal(s.t, was, s.look())
}
