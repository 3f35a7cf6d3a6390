// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// driftRounds are as many as are repaired at once, before it is taken for a contest.
const driftRounds = 2

// TestDriftTimes measures how long each kind of drift lasts: from before it is made to when the host
// is seen to be right again, asked in a loop. SOAK is how many daemons are started for it.
func TestDriftTimes(t *testing.T) {
	text := os.Getenv("SOAK")
	if text == "" {
		t.Skip("a measurement: SOAK=15")
	}
	daemons := 0
	_, err := fmt.Sscan(text, &daemons)
	require.NoError(t, err, "SOAK is a number of daemons")
	kinds := append(wrongs(), ingressOff())
	took := make([][]time.Duration, len(kinds))
	s := stage(t, drifting())
	f := s.foreign("hme0")
	for range daemons {
		s.anotherDaemon()
		for k := range kinds {
			if strings.HasPrefix(kinds[k].name, "nexthop") { // the same thing as in the kind before
				s.anotherDaemon()
			}
			for range driftRounds {
				took[k] = append(took[k], s.lasts(&kinds[k]))
			}
		}
		s.state("hme0", "ok")
		s.news()
		f.untouched()
	}
	for k := range kinds {
		slices.Sort(took[k])
		n := len(took[k])
		t.Logf("%-28s n %d  p50 %s  p99 %s  max %s", kinds[k].name, n, took[k][n/2].Round(time.Microsecond*100),
			took[k][(n*99+99)/100-1].Round(time.Microsecond*100), took[k][n-1].Round(time.Microsecond*100))
	}
}

// anotherDaemon is one that has repaired nothing yet.
func (s *scene) anotherDaemon() {
	s.t.Helper()
	require.NoError(s.t, s.daemon.Stop())
	require.NoError(s.t, s.daemon.Start())
	s.wait("the daemon to be ready", s.ready)
}

func (s *scene) lasts(w *wrong) time.Duration {
	s.t.Helper()
	s.state("hme0", "ok")
	begin := faults.Now()
	w.do(s)
	for !w.right(s) {
		if faults.Now()-begin > int64(patience) {
			s.t.Fatalf("%s is not repaired", w.name)
		}
	}
	return time.Duration(faults.Now() - begin)
}

// ingressOff: without the program no reply is seen, which is how it is noticed.
func ingressOff() wrong {
	var taken link.ID
	return wrong{
		name: "ingress program detached",
		do: func(s *scene) {
			id, ok := s.programsAt("hme0", ebpf.AttachTCXIngress)[0].LinkID()
			require.True(s.t, ok)
			taken = id
			l, err := link.NewFromID(id)
			require.NoError(s.t, err)
			require.NoError(s.t, l.Detach())
			require.NoError(s.t, l.Close())
		},
		right: func(s *scene) bool {
			list, err := s.programsNow("hme0", ebpf.AttachTCXIngress)
			if err != nil || len(list) != 2 { // ours, and the foreign one behind it
				return false
			}
			id, ok := list[0].LinkID()
			return ok && id != taken
		},
	}
}
