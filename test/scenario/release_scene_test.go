// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
)

// release runs the command, which must say nothing and succeed.
func (s *scene) release(groups ...string) {
	s.t.Helper()
	require.Empty(s.t, s.run(append([]string{"release", "--state", s.daemon.State}, groups...)...))
}

// ended: the daemon has ended, by itself with exit code 0 unless it was killed.
func (s *scene) ended() {
	s.t.Helper()
	s.wait("the daemon to end", func() (bool, error) { return s.daemon.Ended(), nil })
	require.NoError(s.t, s.daemon.Stop(), "exit 0")
}

// both families, with everything that a group can have.
func wholeGroup(before *picture, prepare func(s *scene)) setup {
	return setup{
		tests:     dualTests,
		targets:   []netip.Addr{lab.Router, lab.Router6},
		addresses: []netip.Prefix{data4, data6},
		atHome:    "hme0",
		group:     []string{"spread: l4", "routes: [{to: 198.51.100.0/24, via: 192.0.2.1}, {to: '2001:db8:1::/64', via: '2001:db8::1'}]"},
		prepare: func(t *testing.T, s *scene) {
			for _, m := range s.Members { // so that there is something to change and put back
				require.NoError(t, s.Host.Sysctl("ipv4/conf/"+m.Name+"/rp_filter", "1"))
			}
			if prepare != nil {
				prepare(s)
			}
			*before = s.rested()
		},
	}
}

// failsOver in both families, with one entry of the history or two.
func (s *scene) failsOver() {
	s.t.Helper()
	require.NoError(s.t, s.Members[0].CutSilent())
	s.at("hme1", lab.Data, lab.Data6)
	s.state("hme0", "failed")
	s.news()
}

func (s *scene) failsBack() {
	s.t.Helper()
	require.NoError(s.t, s.Members[0].Repair())
	s.at("hme0", lab.Data, lab.Data6)
	s.wait("the daemon to be ready", s.ready)
	s.news()
}

// killed says whether the daemon is killed before a release: in every other row, with SOAK both ways.
func killed(row int) []bool {
	if os.Getenv("SOAK") != "" {
		return []bool{false, true}
	}
	return []bool{row%2 == 1}
}

// on an interface that ipmpd has nothing to do with any more: there every interface answers ARP for
// every address of the host.
func (s *scene) on(name string, addrs ...netip.Addr) {
	s.t.Helper()
	for _, a := range addrs {
		is, err := s.where(a)
		require.NoError(s.t, err)
		require.Equal(s.t, name, is, "%s", a)
		s.reached(a)
	}
}

// command on the host.
func (s *scene) command(line string) {
	s.t.Helper()
	words := strings.Fields(line)
	require.NoError(s.t, s.InHost(func() error {
		out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%s: %w: %s", line, err, out)
		}
		return err
	}))
}

// stderr of a command that succeeds.
func (s *scene) stderr(args ...string) string {
	s.t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(program, append(args, "--socket", s.daemon.Socket)...)
	cmd.Stderr = &out
	require.NoError(s.t, s.InHost(cmd.Run), "%s", &out)
	return out.String()
}

// groupsOK: so many groups, and all members of them.
func (s *scene) groupsOK(groups int) (bool, error) {
	st, err := s.client.Status(s.context())
	if err != nil || len(st.Groups) != groups {
		return false, err
	}
	for _, g := range st.Groups {
		for _, i := range g.Interfaces {
			if i.State != "ok" {
				return false, errors.New(i.Name + " is " + i.State)
			}
		}
	}
	return true, nil
}
