// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// shape of a reload: from one file to another, and back.
type shape struct {
	name   string
	file   [2]string
	addrs  [2][]netip.Addr // all that the file has
	leaves [2][]string     // interfaces that the file does not name
}

func shapes() []shape {
	red2 := func(members ...int) string {
		return strings.Replace(redText(members, "10"), "addresses: [", "addresses: [192.0.2.20/24, ", 1)
	}
	two := [2][]netip.Addr{{blue, red}, {blue, red}}
	return []shape{
		{"an address", [2]string{file(blueText([]int{0, 1}, "10")), file(blueText([]int{0, 1}, "10", "20"))},
			[2][]netip.Addr{{blue}, {blue, blue2}}, [2][]string{{"hme2", "hme3"}, {"hme2", "hme3"}}},
		{"an address, to another group", [2]string{file(blueText([]int{0, 1}, "10", "20"), redText([]int{2, 3}, "10")),
			file(blueText([]int{0, 1}, "10"), red2(2, 3))},
			[2][]netip.Addr{{blue, blue2, red}, {blue, blue2, red}}, [2][]string{}},
		{"a member", [2]string{file(blueText([]int{0, 1}, "10")), file(blueText([]int{0, 1, 2}, "10"))},
			[2][]netip.Addr{{blue}, {blue}}, [2][]string{{"hme2", "hme3"}, {"hme3"}}},
		{"the active member", [2]string{file(blueText([]int{0, 1, 2}, "10")), file(blueText([]int{1, 2}, "10"))},
			[2][]netip.Addr{{blue}, {blue}}, [2][]string{{"hme3"}, {"hme0", "hme3"}}},
		{"a member, to another group", [2]string{file(blueText([]int{0, 1}, "10"), redText([]int{2, 3}, "10")),
			file(blueText([]int{0}, "10"), redText([]int{2, 3, 1}, "10"))}, two, [2][]string{}},
		{"another name", [2]string{file(blueText([]int{0, 1}, "10"), redText([]int{2, 3}, "10")),
			file(blueText([]int{0, 1}, "10"), strings.Replace(redText([]int{2, 3}, "10"), "red:", "crimson:", 1))}, two, [2][]string{}},
		{"a group", [2]string{file(blueText([]int{0, 1}, "10"), redText([]int{2, 3}, "10")), file(blueText([]int{0, 1}, "10"))},
			[2][]netip.Addr{{blue, red}, {blue}}, [2][]string{{}, {"hme2", "hme3"}}},
	}
}

// TestReloadKilledAtEveryOperation: SIGKILL before and after each operation of a reload, and of a start
// with another file over what a killed daemon left. The next start, which has the new file, finishes it:
// what the file names is in place and answers, what it does not name is gone, and nothing has failed.
func TestReloadKilledAtEveryOperation(t *testing.T) {
	long(t)
	binary, fault := faulty(t)
	list := shapes()
	var was picture
	s := reloadScene(t, 4, list[0].file[0], binary)
	s.run("release")
	s.ended()
	s.quiet("", true) // as those are that the file does not name
	was = s.rested()
	s.begins()
	s.quiet(list[0].file[0], false)
	picked := pick(len(list), 2)
	for i, row := range list {
		for _, restart := range []bool{false, true} {
			if !picked[i] || restart != (i%2 == 1) && os.Getenv("SOAK") == "" {
				continue
			}
			name := map[bool]string{false: ", reload", true: ", start"}[restart]
			ran := t.Run(row.name+name, func(t *testing.T) {
				s := s.in(t)
				s.quiet(row.file[0], true)
				require.NoError(t, s.daemon.Configure(row.file[0]))
				s.run("reload")
				s.quiet(row.file[0], false)
				s.wait("all to answer", s.allOK)
				for _, to := range []int{1, 0} {
					from := 1 - to
					least := 1
					if restart && row.name == "another name" {
						least = 0 // the host has all of it
					}
					each(t, least, 9, func(n int) bool {
						died := s.interrupted(fault, n, row.file[to], restart)
						s.wait("all to answer", s.allOK)
						s.right(row.addrs[to]...)
						for _, a := range row.addrs[from] {
							if !contains(row.addrs[to], a) {
								s.nowhere(a)
							}
						}
						for _, name := range row.leaves[to] {
							s.wait(name+" to be let go", func() (bool, error) { return s.programs(name) == 0, nil })
							s.bare(name)
							s.wait(name+" as it was", func() (bool, error) { return slices.Equal(was.of(name), s.look().of(name)), nil })
						}
						for _, e := range s.news() {
							require.Equal(t, "failback", e.Kind, "point %d: where a start finds an address it stays until its home answers", n)
						}
						// Back, for the next point.
						if died {
							s.reloaded(row.file[from])
							s.wait("all to answer", s.allOK)
							s.right(row.addrs[from]...)
						}
						return died
					})
				}
			})
			require.True(t, ran, "what comes next would begin with what this has left")
		}
	}
	s.news() // looked at above
}

func contains(list []netip.Addr, a netip.Addr) bool {
	for _, b := range list {
		if a == b {
			return true
		}
	}
	return false
}

// in another test of the same scene.
func (s *scene) in(t *testing.T) *scene {
	inner := *s
	inner.t = t
	return &inner
}

// pick a few of so many rows at random; all of them with SOAK.
func pick(of, short int) map[int]bool {
	if os.Getenv("SOAK") != "" {
		short = of
	}
	picked := map[int]bool{}
	for _, i := range rand.Perm(of)[:short] {
		picked[i] = true
	}
	return picked
}

// interrupted by its end at a point: a reload, or a start after a kill, with a file. The daemon runs with
// that file afterwards.
func (s *scene) interrupted(fault faultpoint, n int, config string, restart bool) (died bool) {
	s.t.Helper()
	s.quiet(config, true)
	require.NoError(s.t, s.daemon.Configure(config))
	if restart {
		require.NoError(s.t, s.daemon.Kill())
		fault.arm("kill", n)
		require.NoError(s.t, s.daemon.Start())
		s.wait("the daemon, or its end", func() (bool, error) {
			if died = s.daemon.Ended(); died {
				return true, nil
			}
			return s.allOK()
		})
	} else {
		fault.arm("kill", n)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if _, err := s.daemon.Run(ctx, "reload"); err != nil {
			s.wait("the daemon's end", func() (bool, error) { return s.daemon.Ended(), nil })
		}
		died = s.daemon.Ended()
	}
	fault.disarm()
	// A point may have been on its way, and a process takes a while to end.
	s.wait("the daemon to answer", func() (bool, error) {
		died = s.again() || died
		_, err := s.client.Status(s.context())
		return err == nil, err
	})
	s.quiet(config, false)
	return died
}
