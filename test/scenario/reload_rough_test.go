// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// TestReloadWhileAMemberFails: whichever comes first, the failure or the file, there is one failover.
func TestReloadWhileAMemberFails(t *testing.T) {
	long(t)
	configs := []string{file(blueText([]int{0, 1}, "10", "20")), file(blueText([]int{0, 1, 2}, "10")), file(blueText([]int{0, 1}, "10"))}
	s := reloadScene(t, 3, configs[2])
	tr := s.traffic()
	for i := range 6 {
		s.at("hme0", blue)
		s.news()
		reloaded := make(chan error, 1)
		require.NoError(t, s.daemon.Configure(configs[i%len(configs)]))
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		go func() {
			_, err := s.client.Reload(ctx)
			reloaded <- err
		}()
		s.pass(time.Duration(i) * 3 * time.Millisecond)
		require.NoError(t, s.Members[0].CutSilent())
		require.NoError(t, <-reloaded)
		cancel()
		s.at("hme1", blue)
		s.state0("failed")
		tr.flows(faults.Now())
		require.NoError(t, s.Members[0].Repair())
		s.wait("all to answer", s.allOK)
		h := words(s.history())
		require.Equal(t, 1, strings.Count(strings.Join(h, ","), "failover hme0"), "%q", h)
		require.NotContains(t, h, "failover hme1")
		require.NotContains(t, h, "failover hme2")
	}
	tr.finish()
	s.news()
}

// state0 waits until the first member of the first group is in a state.
func (s *scene) state0(want string) {
	s.t.Helper()
	s.wait("hme0 "+want, func() (bool, error) {
		st, err := s.client.Status(s.context())
		return err == nil && st.Groups[0].Interfaces[0].State == want, err
	})
}

// TestLeftWhileNobodyWatched: a member that the file names no more at the next start is left alone.
func TestLeftWhileNobodyWatched(t *testing.T) {
	s := reloadScene(t, 3, file(blueText([]int{0, 1, 2}, "10")))
	require.NoError(t, s.daemon.Kill())
	require.NoError(t, s.daemon.Configure(file(blueText([]int{1, 2}, "10"))))
	s.quiet("hme1: hme2:", true)
	require.NoError(t, s.daemon.Start())
	s.wait("the daemon to be ready", s.allOK)
	s.at("hme1", blue)
	s.bare("hme0")
	require.NoError(t, s.Members[1].CutSilent())
	s.expect("failover hme1")
	s.at("hme2", blue)
}

// TestReloadAtRandom: whatever file comes after whichever, one address that is in all of them loses
// nobody, nothing is taken for a failure, and nothing is left where it does not belong.
func TestReloadAtRandom(t *testing.T) {
	long(t)
	seed := rand.Uint64()
	if text := os.Getenv("SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	steps := 8
	if text := os.Getenv("STEPS"); text != "" {
		var err error
		steps, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	const members = 6
	s := reloadScene(t, members, file(blueText([]int{0, 1}, "10")))
	tr := s.traffic()
	for range steps {
		order := r.Perm(members)
		inBlue := 1 + r.IntN(3)
		inRed := r.IntN(3)
		addresses := []string{"10", "20", "30"}[:1+r.IntN(3)]
		r.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
		more := []string{"", "", "spread: false", "failback: false", "misses: 5"}[r.IntN(5)]
		groups := []string{groupText("blue", "192.0.2", more, order[:inBlue], addresses...)}
		used := order[:inBlue]
		if inRed > 0 {
			groups = append(groups, redText(order[inBlue:inBlue+inRed], "10"))
			used = order[:inBlue+inRed]
			if r.IntN(2) == 0 {
				slices.Reverse(groups)
			}
		}
		config := file(groups...)
		t.Log(config)
		from := faults.Now()
		s.reloaded(config)
		s.wait("all to answer", s.allOK)
		for i := range members {
			if !slices.Contains(used, i) {
				s.bare(fmt.Sprint("hme", i))
			}
		}
		owner, err := s.where(blue)
		require.NoError(t, err)
		s.at(owner, blue)
		if inRed > 0 {
			owner, err = s.where(red)
			require.NoError(t, err)
			s.at(owner, red)
		}
		tr.flows(faults.Now())
		tr.lossless(from)
		for _, e := range s.news() {
			require.Equal(t, "failback", e.Kind, "only addresses that go home")
		}
	}
	tr.finish()
}
