// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/bpf"
)

// TestRefusedAsks: each refused round asks for the carrier at first, later ones ever less often, and one that is
// accepted begins that anew.
func TestRefusedAsks(t *testing.T) {
	q, err := NewQuestions()
	require.NoError(t, err)
	defer q.Close()
	p := &Prober{options: Options{Questions: q}}
	m := &compiledMember{shared: new(bpf.Instance), state: new(instanceState), number: 3, ifindex: 7}
	const round = 100 * time.Microsecond
	now, n := int64(time.Hour), uint32(0)
	asked := func(d time.Duration) (count int) {
		for end := now + d.Nanoseconds(); now < end; now += round.Nanoseconds() {
			n++
			p.refused(m, unix.ENOBUFS, n, now)
			if q.open[0].Swap(0) == 1<<3 {
				count++
			}
		}
		return count
	}
	require.Equal(t, 100, asked(10*time.Millisecond), "each round")
	// After 1, 2, 4, 8, 16, 32, 64 ms.
	require.Equal(t, 7, asked(127*time.Millisecond))
	require.Equal(t, 10, asked(time.Second))
	m.accepted(n, now)
	require.Equal(t, 5, asked(5*round))
}
