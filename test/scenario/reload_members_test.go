// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// TestReloadOfAddresses: one more, which is at home at once, and one less; the other does not notice.
func TestReloadOfAddresses(t *testing.T) {
	s := reloadScene(t, 2, file(blueText([]int{0, 1}, "10")))
	tr := s.traffic()
	s.at("hme0", blue)
	from, rounds := faults.Now(), s.rounds("blue", "hme1")
	s.reload(file(blueText([]int{0, 1}, "10", "20")), "changed: blue")
	s.at("hme1", blue2)
	s.at("hme0", blue)

	s.reload(file(blueText([]int{0, 1}, "10")), "changed: blue")
	owner, err := s.where(blue2)
	require.NoError(t, err)
	require.Empty(t, owner)
	require.Greater(t, s.rounds("blue", "hme1"), rounds, "the same rounds")
	tr.flows(faults.Now())
	tr.lossless(from)
	require.Empty(t, words(s.history()))

	// Both times in one: it changes its length, and its subnet loses nobody.
	s.reload(strings.Replace(file(blueText([]int{0, 1}, "10")), "192.0.2.10/24", "192.0.2.10/25", 1), "changed: blue")
	s.reached(blue)
	s.reload(file(blueText([]int{0, 1}, "10")), "changed: blue")
	s.at("hme0", blue)
	tr.finish()
}

// TestReloadWithAnotherMember: it joins, takes over when it has to, and leaves again.
func TestReloadWithAnotherMember(t *testing.T) {
	s := reloadScene(t, 3, file(blueText([]int{0}, "10")))
	tr := s.traffic()
	from := faults.Now()
	s.reload(file(blueText([]int{0, 2}, "10")), "changed: blue")
	s.wait("the new member", s.allOK)
	s.at("hme0", blue)
	s.reached(lab.TestAddr(2))
	tr.flows(faults.Now())
	tr.lossless(from)
	require.Equal(t, 2, s.programs("hme2"))

	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme2", blue)
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")
	s.at("hme0", blue)

	// In front of the other: another place in the file, the same place for the kernel.
	from = faults.Now()
	rounds := s.rounds("blue", "hme0")
	s.reload(file(blueText([]int{1, 0, 2}, "10")), "changed: blue")
	require.Greater(t, s.rounds("blue", "hme0"), rounds)
	s.wait("the new member", s.allOK)
	s.at("hme1", blue) // its home is the first
	tr.flows(faults.Now())
	tr.lossless(from)
	s.news()

	from = faults.Now()
	s.reload(file(blueText([]int{0, 1}, "10")), "changed: blue")
	s.bare("hme2")
	s.at("hme0", blue)
	tr.flows(faults.Now())
	tr.lossless(from)
	tr.finish()
	s.news()
}

// TestReloadWithoutTheActiveMember under traffic: the address moves, then all that is ours goes.
func TestReloadWithoutTheActiveMember(t *testing.T) {
	s := reloadScene(t, 3, file(blueText([]int{0, 1, 2}, "10")))
	tr := s.traffic()
	s.at("hme0", blue)
	events := s.watchFrom(4)
	from := faults.Now()
	s.reload(file(blueText([]int{1, 2}, "10")), "changed: blue")
	s.bare("hme0")
	s.at("hme1", blue)
	tr.flows(faults.Now())
	tr.lossless(from)
	require.Empty(t, words(s.history()))
	e := s.told(events, control.EventAddressMoved)
	require.Equal(t, "192.0.2.10/24 hme1 from hme0", e.Address+" "+e.Interface+" "+e.Detail)

	// Those who stay are judged as before.
	require.NoError(t, s.Members[1].CutSilent())
	s.expect("failover hme1")
	s.at("hme2", blue)

	// What the former run left is found again under its numbers.
	require.NoError(t, s.daemon.Kill())
	require.NoError(t, s.daemon.Start())
	s.at("hme2", blue)
	s.wait("the daemon", func() (bool, error) { _, err := s.client.Status(s.context()); return err == nil, err })
	require.NoError(t, s.Members[1].Repair())
	s.wait("all to answer", s.allOK)
	s.at("hme1", blue)
	s.bare("hme0")
	tr.flows(faults.Now())
	tr.finish()
	s.news()
}

// TestReloadOfEveryMember: all of them are others; the address goes with them.
func TestReloadOfEveryMember(t *testing.T) {
	s := reloadScene(t, 4, file(blueText([]int{0, 1}, "10")))
	tr := s.traffic()
	from := faults.Now()
	s.reload(file(blueText([]int{2, 3}, "10")), "changed: blue")
	s.at("hme2", blue)
	s.bare("hme0")
	s.bare("hme1")
	tr.flows(faults.Now())
	tr.lossless(from)
	s.wait("all to answer", s.allOK)
	require.NoError(t, s.Members[2].CutSilent())
	s.expect("failover hme2")
	s.at("hme3", blue)
	tr.flows(faults.Now())
	tr.finish()
}

// TestReloadOfGroups: one goes whole, one comes, and the third does not notice.
func TestReloadOfGroups(t *testing.T) {
	both := file(blueText([]int{0, 1}, "10"), redText([]int{2, 3}, "10"))
	s := reloadScene(t, 4, both)
	tr := s.traffic()
	s.at("hme2", red)
	from, rounds := faults.Now(), s.rounds("blue", "hme0")
	for range 2 {
		s.reload(file(blueText([]int{0, 1}, "10")), "gone: red")
		s.bare("hme2")
		s.bare("hme3")
		s.reload(both, "new: red")
		s.at("hme2", red)
		s.wait("all to answer", s.allOK)
	}
	require.Greater(t, s.rounds("blue", "hme0"), rounds)
	tr.flows(faults.Now())
	tr.lossless(from)
	require.Empty(t, words(s.history()))
	require.NoError(t, s.Members[2].CutSilent())
	require.Equal(t, "red", s.expect("failover hme2")[0].Group)
	s.at("hme3", red)
	s.at("hme0", blue)

	// The first goes: the other keeps its place.
	rounds = s.rounds("red", "hme3")
	s.reload(file(redText([]int{2, 3}, "10")), "gone: blue")
	require.Greater(t, s.rounds("red", "hme3"), rounds)
	s.bare("hme0")
	s.bare("hme1")
	require.NoError(t, s.Members[2].Repair())
	s.expect("repair hme2", "failback hme2")
	s.at("hme2", red)

	// By another name it is another group, with all that it had.
	s.reload(file(strings.Replace(redText([]int{2, 3}, "10"), "red:", "crimson:", 1)), "new: crimson; gone: red")
	s.at("hme2", red)
	s.wait("all to answer", s.allOK)
	require.NoError(t, s.Members[2].CutSilent())
	require.Equal(t, "crimson", s.expect("failover hme2")[0].Group)
	s.at("hme3", red)
}

// TestReloadBetweenGroups: an interface and an address change sides in one reload.
func TestReloadBetweenGroups(t *testing.T) {
	s := reloadScene(t, 4, file(blueText([]int{0, 1, 2}, "10", "20"), redText([]int{3}, "10")))
	s.at("hme0", blue)
	s.at("hme1", blue2)
	tr := s.traffic()
	from := faults.Now()
	other := file(blueText([]int{0, 1}, "10"),
		strings.Replace(redText([]int{3, 2}, "10"), "addresses: [", "addresses: [192.0.2.20/24, ", 1))
	s.reload(other, "changed: blue, red")
	s.wait("all to answer", s.allOK)
	s.at("hme0", blue)
	s.at("hme3", blue2)
	s.at("hme2", red)
	prefixes, err := s.Host.Addresses("hme2")
	require.NoError(t, err)
	require.Contains(t, prefixes, netip.MustParsePrefix("192.0.3.13/24"))
	require.NotContains(t, prefixes, netip.MustParsePrefix("192.0.2.13/24"))
	tr.flows(faults.Now())
	tr.lossless(from)
	s.news()

	require.NoError(t, s.Members[3].CutSilent())
	require.Equal(t, "red", s.expect("failover hme3")[0].Group)
	s.at("hme2", blue2, red)
	require.NoError(t, s.Members[0].CutSilent())
	require.Equal(t, "blue", s.expect("failover hme0")[0].Group)
	s.at("hme1", blue)
	tr.flows(faults.Now())
	tr.finish()
}

// TestReloadOfBothFamilies: what is of IPv6 moves, comes and goes like the rest.
func TestReloadOfBothFamilies(t *testing.T) {
	text := func(members []int, addresses string) string {
		return fmt.Sprintf("groups:\n  blue: {%s, detection-time: 2ms, targets: [192.0.2.1, %q], interfaces: {%s}, addresses: [%s]}\n",
			always, lab.Router6, join(members, func(i int) string {
				return fmt.Sprintf("hme%d: {test: [%s/24, %q]}", i, lab.TestAddr(i), lab.TestAddr6(i).String()+"/64")
			}), addresses)
	}
	s := stage(t, setup{lab: lab.Options{Members: 3}, config: text([]int{0, 1, 2}, "192.0.2.10/24"),
		ready: func(s *scene) (bool, error) { return s.allOK() }})
	tr := s.traffic()
	from := faults.Now()
	s.reload(text([]int{0, 1, 2}, `192.0.2.10/24, "`+data6.String()+`"`), "changed: blue")
	s.at("hme1", lab.Data6)
	s.reload(text([]int{0, 2}, `192.0.2.10/24, "`+data6.String()+`"`), "changed: blue")
	s.at("hme2", lab.Data6)
	s.bare("hme1")
	tr.flows(faults.Now())
	tr.lossless(from)
	require.Empty(t, words(s.history()))

	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme2", lab.Data, lab.Data6)
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")

	// Without anything of IPv6 in the file, nothing is probed by it.
	s.reload(file(blueText([]int{0, 2}, "10")), "changed: blue")
	require.NotContains(t, s.group("blue").Interfaces[0].Families, "ipv6")
	s.pass(50 * time.Millisecond)
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme2", lab.Data)
	tr.flows(faults.Now())
	tr.finish()
}

// TestReloadOfWhatWasFound: an address that ipmpd has found on a member moves with its group when the
// member leaves. A test address that was found stays.
func TestReloadOfWhatWasFound(t *testing.T) {
	s := stage(t, setup{lab: lab.Options{Members: 3}, config: file(blueText([]int{0, 1, 2}, "10")),
		ready: func(s *scene) (bool, error) { return s.allOK() },
		prepare: func(t *testing.T, s *scene) {
			s.quiet("", true) // what is there before the programs would be answered for by all
			require.NoError(t, s.Host.AddAddr("hme0", "192.0.2.11/24", "192.0.2.10/24"))
		}})
	// At the start the others did not ask for the target in the name of the address that was found,
	// which would have pulled its replies over to them.
	all, err := s.client.History(s.context())
	require.NoError(t, err)
	require.Empty(t, words(all))
	s.at("hme0", blue)
	s.reload(file(blueText([]int{1, 2}, "10")), "changed: blue")
	s.at("hme1", blue)
	prefixes, err := s.Host.Addresses("hme0")
	require.NoError(t, err)
	prefixes = slices.DeleteFunc(prefixes, func(p netip.Prefix) bool { return p.Addr().IsLinkLocalUnicast() })
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("192.0.2.11/24")}, prefixes)
	require.Zero(t, s.programs("hme0"))
}
