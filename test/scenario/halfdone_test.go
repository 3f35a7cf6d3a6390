// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// TestKilledBetweenVerdictAndMove: the daemon is killed at one of the points between the kernel's verdict
// and the move of the address, and started again 50 ms later. The failover is finished, and nothing is
// lost from then on, while the peer's neighbour entry ages and is asked for again. With SOAK=N, N times
// and for a minute each, in which it ages by itself.
func TestKilledBetweenVerdictAndMove(t *testing.T) {
	const points = 8 // that every silent failure has; with neighbours to be told there are ten
	binary, fault := faulty(t)
	s := stage(t, setup{binary: binary})
	watched, from := time.Minute, rand.IntN(points)
	if os.Getenv("SOAK") == "" {
		watched = 2 * time.Second
		// It ages within the time that is watched.
		for key, value := range map[string]string{"base_reachable_time_ms": "300", "delay_first_probe_time": "1", "retrans_time_ms": "100"} {
			require.NoError(t, s.Peer.Sysctl("ipv4/neigh/eth0/"+key, value))
		}
	}
	tr := s.traffic()
	var moved, received []time.Duration
	for i := range often(t, 1) {
		point := 1 + (from+i)%points
		fault.arm("kill", point)
		require.NoError(t, s.Members[0].CutSilent())
		lives := false
		s.wait("the daemon's end", func() (bool, error) {
			all, err := s.client.History(s.context())
			lives = err == nil && len(all) > 0 && all[len(all)-1].ID > s.seen // with fewer operations than the first
			return lives || s.daemon.Ended(), nil
		})
		fault.disarm()
		if lives {
			require.NoError(t, s.Members[0].Repair())
			s.expect("failover hme0", "repair hme0", "failback hme0")
			continue
		}
		require.NoError(t, s.daemon.Kill())
		s.pass(50 * time.Millisecond)
		started := faults.Now()
		require.NoError(t, s.daemon.Start())
		s.wait("the address on hme1", func() (bool, error) {
			is, err := s.where(lab.Data)
			return is == "hme1", err
		})
		moved = append(moved, time.Duration(faults.Now()-started))
		var first int64
		s.wait("traffic that arrives", func() (bool, error) { first = tr.in.FirstArrival(started); return first > 0, nil })
		received = append(received, time.Duration(first-started))
		from := faults.Now()
		if point > 1 {
			require.Less(t, first, from, "it was announced before the daemon was killed")
		}
		for end := from + int64(watched); from < end; {
			s.pass(min(5*time.Second, time.Duration(end-from)))
			to := faults.Now()
			tr.flows(to) // still
			tr.lossless(from)
			from = to
		}
		s.at("hme1", lab.Data)
		t.Logf("point %d: the address moved %v after the start; the peer was heard after %v", point,
			moved[len(moved)-1].Round(100*time.Microsecond), received[len(received)-1].Round(100*time.Microsecond))
		require.NoError(t, s.Members[0].Repair())
		s.wait("everything to be ready again", s.ready)
		s.at("hme0", lab.Data)
		s.news()
	}
	require.NotEmpty(t, moved)
	t.Logf("n %d, watched for %v each; address moved after the start: %s; heard: %s",
		len(moved), watched, quantiles(moved), quantiles(received))
	tr.finish()
}
