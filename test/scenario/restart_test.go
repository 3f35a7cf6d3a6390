// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
	"github.com/ipmpd/ipmpd/test/lab/flow"
)

// often is how often something is repeated that one pass says little of: SOAK times.
func often(t *testing.T, short int) int {
	text := os.Getenv("SOAK")
	if text == "" {
		return short
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, "SOAK is a number")
	return n
}

// TestRestartLosesNothing: not one packet, either way, while the daemon ends and another starts, of the
// same binary or of another one, with the layout of the maps that it finds or with another one; and
// nothing fails over. With and without a place where programs can be pinned.
func TestRestartLosesNothing(t *testing.T) {
	long(t)
	layout := otherLayout(t)
	for _, place := range []struct {
		name  string
		bpffs lab.BPFFS
	}{{"pinned", lab.KeptBPFFS}, {"bpffs of its own", lab.OwnBPFFS}, {"no bpffs", lab.NoBPFFS}} {
		soak := os.Getenv("SOAK") != ""
		if place.bpffs == lab.OwnBPFFS && !soak {
			continue // ends with a daemon like none
		}
		t.Run(place.name, func(t *testing.T) {
			s := stage(t, setup{lab: lab.Options{BPFFS: place.bpffs}})
			tr := s.traffic()
			for _, row := range []struct {
				name  string
				end   func() error
				other string // binary to change to, and back
			}{
				{"SIGTERM", s.daemon.Stop, program},
				{"SIGKILL", s.daemon.Kill, program},
				{"upgrade", s.daemon.Stop, ""},
				{"upgrade with another layout", s.daemon.Stop, layout},
			} {
				if !soak && (row.other == "" || row.name == "SIGTERM") {
					continue // for the kernel they are all the same
				}
				if row.other == "" {
					row.other = built(t, "another", "-ldflags", "-X main.version=another")
				}
				var sum tally
				for i := 0; sum.n < often(t, 1); i++ {
					s.daemon.Upgrade([]string{row.other, program}[i%2])
					sum.add(s.restarted(tr, row.end))
					require.Empty(t, words(s.history()), "round %d", i)
					require.Less(t, i, 20+2*often(t, 1), "this machine loses what nobody cuts")
				}
				t.Logf("%-16s %-28s %s", place.name, row.name, &sum)
				if sum.lost > 0 {
					t.Errorf("%s loses packets", row.name)
				}
			}
			tr.finish()
		})
	}
}

// TestRestartWithAMemberFailed: what the former run knew of a member that is silent still counts, where
// its maps are gone too. The member's address stays where it is, nothing is sent over it, and its
// failover is not told a second time.
func TestRestartWithAMemberFailed(t *testing.T) {
	layout := otherLayout(t)
	for _, row := range []struct {
		name   string
		bpffs  lab.BPFFS
		binary string
	}{{"same maps", lab.KeptBPFFS, program}, {"another layout", lab.KeptBPFFS, layout}, {"no bpffs", lab.NoBPFFS, program}} {
		if row.name != "another layout" && os.Getenv("SOAK") == "" {
			continue // TestEndAndStartAgain, TestMeanwhile
		}
		t.Run(row.name, func(t *testing.T) {
			s := stage(t, setup{lab: lab.Options{BPFFS: row.bpffs}})
			require.NoError(t, s.Members[0].CutSilent())
			s.expect("failover hme0")
			s.at("hme1", lab.Data)
			tr := s.traffic()
			ends := []func() error{s.daemon.Kill, s.daemon.Stop}
			for _, end := range ends[:min(often(t, 1), 2)] {
				s.daemon.Upgrade(row.binary)
				from := faults.Now()
				require.NoError(t, end())
				require.NoError(t, s.daemon.Start())
				s.wait("the daemon", func() (bool, error) { _, err := s.client.Status(s.context()); return err == nil, err })
				s.state("hme0", "failed")
				s.state("hme1", "ok")
				s.pass(300 * time.Millisecond)
				tr.flows(faults.Now())
				tr.lossless(from)
				require.Empty(t, words(s.history()))
				s.daemon.Upgrade(program)
			}
			require.NoError(t, s.Members[0].Repair())
			s.expect("repair hme0", "failback hme0")
			s.at("hme0", lab.Data)
			tr.finish()
		})
	}
}

// otherLayout is a binary whose maps no other can use.
func otherLayout(t *testing.T) string {
	t.Helper()
	return built(t, "layout", "-tags", "otherlayout")
}

// restarted under traffic, until everything is ready and a moment more.
func (s *scene) restarted(tr *traffic, end func() error) trial {
	s.t.Helper()
	from := faults.Now()
	require.NoError(s.t, end())
	started := faults.Now()
	require.NoError(s.t, s.daemon.Start())
	s.wait("everything that is probed to answer", s.ready)
	r := trial{ready: time.Duration(faults.Now() - started)}
	s.pass(100 * time.Millisecond)
	to := faults.Now()
	if tr.in.ArrivedSince(to-int64(20*time.Millisecond)) == 0 {
		for _, c := range [][]string{{"ip", "-n", s.Peer.Name, "-s", "neigh"}, {"ip", "-n", s.Host.Name, "-s", "neigh"},
			{"ip", "netns", "exec", strings.Replace(s.Host.Name, "-host", "-switch0", 1), "bridge", "fdb", "show", "br", "br"},
			{"ip", "-n", s.Host.Name, "-s", "link"}, {"ip", "netns", "exec", s.Host.Name, "nstat", "-az"}} {
			out, err := exec.Command(c[0], c[1:]...).CombinedOutput()
			s.t.Logf("%q: %v\n%s", c, err, out)
		}
	}
	s.pass(50 * time.Millisecond) // the logs
	in, out, reference := tr.in.Gap(from, to), tr.out.Gap(from, to), tr.reference.Gap(from, to)
	require.Positive(s.t, in.Sent)
	require.Positive(s.t, out.Sent)
	r.sent, r.lost, r.noise = in.Sent+out.Sent, in.Lost+out.Lost, reference.Lost
	if r.lost > 0 {
		s.explain(tr, from, started, to)
	}
	return r
}

// explain what was lost: when of which flow, where everybody sends to now, and what the daemon did.
func (s *scene) explain(tr *traffic, from, started, to int64) {
	s.t.Helper()
	for _, f := range []*flow.Flow{tr.in, tr.out, tr.reference} {
		var lost []time.Duration
		for _, p := range f.Packets(from, to-int64(20*time.Millisecond)) {
			if p.Arrived == 0 {
				lost = append(lost, time.Duration(p.Sent-started))
			}
		}
		if len(lost) > 0 {
			s.t.Logf("%s lost %d packets, sent from %v to %v after the start", f.Name, len(lost), lost[0], lost[len(lost)-1])
		}
	}
	mac, err := s.Peer.Neighbour("eth0", lab.Data)
	s.t.Logf("the peer sends to %v (%v); the end was at %s, the start at %s; the log:\n%s",
		mac, err, wall(from), wall(started), s.daemon.Tail(10))
}

// wall is the time of day of a moment, as the log has it.
func wall(at int64) string {
	return time.Now().Add(time.Duration(at - faults.Now())).UTC().Format("15:04:05.000")
}

// trial is one pass: packets both ways, and those that the flow lost which nothing cuts.
type trial struct {
	sent, lost, noise int
	ready             time.Duration
}

// tally of many. A pass in which the machine itself lost packets is not judged.
type tally struct {
	n, sent, lost, bad, noisy int
	ready                     []time.Duration
}

func (y *tally) add(r trial) {
	if r.noise > 0 {
		y.noisy++
		return
	}
	y.n++
	y.sent, y.lost = y.sent+r.sent, y.lost+r.lost
	if r.lost > 0 {
		y.bad++
	}
	y.ready = append(y.ready, r.ready)
}

func (y *tally) String() string {
	return fmt.Sprintf("n %d (and %d not judged), %d packets, %d lost in %d passes; ready after %s",
		y.n, y.noisy, y.sent, y.lost, y.bad, quantiles(y.ready))
}
