// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// faultpoint is one place, before or after an operation on the host, at which a daemon that was built
// for it kills itself or pauses (cmd/ipmpd/faultpoints.go).
type faultpoint struct {
	t      *testing.T
	file   string
	serial *int
}

// faulty is the program with fault points, for this test.
func faulty(t *testing.T) (binary string, p faultpoint) {
	t.Helper()
	p = faultpoint{t, filepath.Join(t.TempDir(), "fault"), new(int)}
	t.Setenv("IPMPD_FAULT", p.file)
	return built(t, "faulty", "-tags", "faultpoints"), p
}

func (p faultpoint) arm(what string, n int) { p.armAt(what, n, "") }

// armAt the n-th point of one kind of operation (addr.Kind); "": of any.
func (p faultpoint) armAt(what string, n int, kind string) {
	p.t.Helper()
	*p.serial++
	text := []byte(strings.TrimSpace(fmt.Sprintf("%s %d %d %s", what, n, *p.serial, kind)))
	// As a whole: the daemon may be reading it.
	require.NoError(p.t, os.WriteFile(p.file+".new", text, 0o600))
	require.NoError(p.t, os.Rename(p.file+".new", p.file))
}

func (p faultpoint) disarm() {
	p.t.Helper()
	require.NoError(p.t, os.RemoveAll(p.file))
}

// paused tells whether somebody waits to be let go on.
func (p faultpoint) paused() bool {
	_, err := os.Stat(p.file + ".paused")
	return !errors.Is(err, fs.ErrNotExist)
}

func (p faultpoint) goOn() {
	p.t.Helper()
	require.NoError(p.t, os.RemoveAll(p.file+".paused"))
}

// each point from the first to the last that there is, or, without SOAK, a few of them from a random
// one on, stride apart. at tells whether the daemon came that far.
func each(t *testing.T, least, stride int, at func(n int) bool) {
	t.Helper()
	n := 1
	if os.Getenv("SOAK") != "" {
		stride = 1
	} else {
		n += rand.IntN(stride)
	}
	first, count := n, 0
	for ; at(n); n += stride {
		count++
	}
	t.Logf("at %d points, each %d. from the %d. on", count, stride, first)
	require.Greater(t, n, least, "points that there are")
}

// again starts a daemon that has killed itself; false: it lives.
func (s *scene) again() bool {
	s.t.Helper()
	if !s.daemon.Ended() {
		return false
	}
	require.NoError(s.t, s.daemon.Kill())
	require.NoError(s.t, s.daemon.Start())
	return true
}

// right waits until each address is on one member, the peer sends to it there, and is answered.
func (s *scene) right(addrs ...netip.Addr) {
	s.t.Helper()
	for _, a := range addrs {
		owner := ""
		s.wait(fmt.Sprintf("%s on a member", a), func() (bool, error) {
			var err error
			owner, err = s.where(a)
			return owner != "", err
		})
		s.at(owner, a)
	}
}

// nowhere requires that addresses are on no member.
func (s *scene) nowhere(addrs ...netip.Addr) {
	s.t.Helper()
	for _, a := range addrs {
		s.wait(fmt.Sprintf("%s to be gone", a), func() (bool, error) {
			m, err := s.Owner(a)
			return m == nil, err
		})
	}
}
