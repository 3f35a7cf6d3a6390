// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// TestStartUnderPolicing: a target that polices from the first probe on makes no failover in the first
// seconds, in which nothing is known of it yet; so they run at the full rate (docs/decisions/0014). With SOAK
// only: SOAK starts of each kind, of a policer that answers 60, 10 and 1 % of two members' 20,000 probes a
// second.
func TestStartUnderPolicing(t *testing.T) {
	if os.Getenv("SOAK") == "" {
		t.Skip("takes SOAK starts of 3 s for each rate")
	}
	for _, rate := range []float64{12000, 2000, 200} {
		for i := range often(t, 0) {
			t.Run(fmt.Sprintf("%.0f a second, start %d", rate, i), func(t *testing.T) {
				s := stage(t, setup{
					detection: 400 * time.Microsecond,
					prepare: func(t *testing.T, s *scene) {
						require.NoError(t, s.RouterPort.Set(faults.Police(faults.To, faults.Echo(), rate, 10)))
					},
					ready: func(s *scene) (bool, error) {
						_, err := s.client.Status(s.context())
						return err == nil, err
					},
				})
				s.pass(1500 * time.Millisecond)
				all, err := s.client.History(s.context())
				require.NoError(t, err)
				require.Empty(t, words(all), "from the very start on")
			})
		}
	}
}
