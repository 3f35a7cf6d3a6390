// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// timeline runs a schedule for so long and writes down what is sent when: "12ms 192.0.2.10 *" for a
// broadcast, "... 0" for its first neighbour. It asks exactly when the schedule wants to be asked.
func timeline(t *testing.T, s *schedule, start time.Time, span time.Duration) (out []string) {
	t.Helper()
	for now, steps := start, 0; ; steps++ {
		require.Less(t, steps, 1_000_000, "busy loop")
		jobs, next := s.next(now)
		for _, j := range jobs {
			to := "*"
			if j.neighbor >= 0 {
				to = fmt.Sprint(j.neighbor)
			}
			out = append(out, fmt.Sprintf("%s %s %s", now.Sub(start), j.Address, to))
		}
		if next.IsZero() || next.After(start.Add(span)) {
			return out
		}
		require.True(t, next.After(now), "asks again at once")
		now = next
	}
}

var start = time.Unix(1_000_000, 0)

func neighbors(n int) (list []Neighbor) {
	for i := range n {
		list = append(list, Neighbor{IP: netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)}), MAC: MAC{2, 0, 0, 0, 1, byte(i)}})
	}
	return list
}

func TestScheduleTimes(t *testing.T) {
	for _, c := range []struct {
		name string
		a    Announcement
		span time.Duration
		want string
	}{
		{"at once, 10 ms, 100 ms, then every interval", Announcement{Policy: Announce{Count: 5, Interval: time.Second}}, time.Hour,
			"0s *, 10ms *, 100ms *, 1.1s *, 2.1s *"},
		{"once", Announcement{Policy: Announce{Count: 1, Interval: time.Second}}, time.Hour, "0s *"},
		{"the batch was first", Announcement{Sent: true, Neighbors: neighbors(1), Policy: Announce{Count: 3, Interval: time.Second}}, time.Hour,
			"0s 0, 10ms *, 10ms 0, 100ms *, 100ms 0"},
		{"the batch was first, two of three neighbours too", Announcement{Sent: true, Neighbors: neighbors(3), Told: neighbors(2), Policy: Announce{Count: 2}}, time.Hour,
			"0s 0, 10ms *, 10ms 1, 10ms 2, 10ms 0"}, // the third one comes first now
		{"the batch has told all", Announcement{Sent: true, Neighbors: neighbors(2), Told: neighbors(2), Policy: Announce{Count: 1}}, time.Hour, ""},
		{"the batch was first and that is all", Announcement{Sent: true, Policy: Announce{Count: 1}}, time.Hour, ""},
		{"refresh", Announcement{Policy: Announce{Count: 2, Interval: time.Second, Refresh: time.Minute}}, 2*time.Minute + time.Second,
			"0s *, 10ms *, 1m0.01s *, 2m0.01s *"},
		{"none", Announcement{Policy: Announce{}}, time.Hour, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s schedule
			c.a.Address = ip4
			s.add(start, &c.a)
			got := strings.ReplaceAll(strings.Join(timeline(t, &s, start, c.span), ", "), " "+ip4.String(), "")
			require.Equal(t, c.want, got)
			if c.a.Policy.Refresh == 0 {
				require.Empty(t, s.byIP, "forgotten when done")
			}
		})
	}
}

func TestSchedulePace(t *testing.T) {
	var s schedule
	const n = 200
	for i := range n {
		s.add(start, &Announcement{Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Link: 3,
			Neighbors: neighbors(2), Policy: Announce{Count: 3, Interval: time.Second, Rate: 1000}})
	}
	got := timeline(t, &s, start, time.Hour)
	perMillisecond := map[time.Duration]int{}
	first, lines := map[string]int{}, map[string]int{}
	for i, line := range got {
		f := strings.Fields(line)
		at, err := time.ParseDuration(f[0])
		require.NoError(t, err)
		perMillisecond[at.Truncate(time.Millisecond)]++
		lines[f[1]+" "+f[2]]++
		if f[2] == "*" && first[f[1]] == 0 {
			first[f[1]] = i + 1
		}
		limit := FirstBurst + int(at/time.Millisecond) + 1
		require.LessOrEqual(t, i+1, limit, "frames by %s", at)
	}
	require.Equal(t, FirstBurst, perMillisecond[0])
	// Each had its first turn before any had its second, and before any neighbour was told.
	require.Equal(t, n, len(first))
	for ip, i := range first {
		require.LessOrEqual(t, i, n, ip)
		require.Equal(t, 3, lines[ip+" *"], ip)
		require.Positive(t, lines[ip+" 0"], ip)
		require.Positive(t, lines[ip+" 1"], ip)
	}
	require.True(t, strings.HasPrefix(got[1], "0s 192.0.2.1 *"), "in the order given")
}

// Every neighbour is told in every round, also where the rounds come faster than the pace allows.
func TestScheduleTellsAllNeighbors(t *testing.T) {
	var s schedule
	s.add(start, &Announcement{Address: ip4, Link: 3, Neighbors: neighbors(MaxUnicast + 10),
		Policy: Announce{Count: 5, Interval: 20 * time.Millisecond, Rate: 500}})
	told := map[string]int{}
	for _, line := range timeline(t, &s, start, time.Hour) {
		told[strings.Fields(line)[2]]++
	}
	require.Equal(t, 5, told["*"])
	require.Len(t, told, 1+MaxUnicast)
	require.Empty(t, s.byIP)
}

func TestScheduleFollowsTheOwner(t *testing.T) {
	var s schedule
	policy := Announce{Count: 5, Interval: time.Second}
	s.add(start, &Announcement{Address: ip4, Link: 3, MAC: mac0, Policy: policy})
	jobs, _ := s.next(start)
	require.Len(t, jobs, 1)

	s.add(start.Add(time.Millisecond), &Announcement{Address: ip4, Link: 4, MAC: mac1, Policy: policy})
	var links []int
	for now, i := start.Add(time.Millisecond), 0; i < 10; i++ {
		jobs, next := s.next(now)
		for _, j := range jobs {
			f := j.frame()
			links = append(links, f.Link)
			require.Equal(t, mac1[:], f.Data[6:12])
		}
		if next.IsZero() {
			break
		}
		now = next
	}
	require.Equal(t, []int{4, 4, 4, 4, 4}, links, "nothing more of the owner before")

	s.add(start, &Announcement{Address: ip4, Link: 4, Policy: policy})
	s.remove(ip4)
	jobs, next := s.next(start)
	require.Empty(t, jobs)
	require.Zero(t, next)
	require.Empty(t, s.byIP)
}

// What an address's old owner had still to say is dropped, what the new one has is not.
func TestScheduleHush(t *testing.T) {
	var s schedule
	a := Announcement{Address: ip4, Link: 3, MAC: mac0, Policy: Announce{Count: 5, Interval: time.Second}}
	s.add(start, &a)
	jobs, _ := s.next(start)
	require.Len(t, jobs, 1)
	s.hush(&a)
	jobs, next := s.next(start.Add(time.Hour))
	require.Len(t, jobs, 1, "it is the owner")
	require.False(t, jobs[0].dropped)
	require.False(t, next.IsZero())
	s.hush(&Announcement{Address: ip4, Link: 4})
	require.True(t, jobs[0].dropped, "taken, and not sent yet")
	jobs, next = s.next(start.Add(2 * time.Hour))
	require.Empty(t, jobs)
	require.Zero(t, next)
	require.Empty(t, s.byIP)
}

// The last frame of an address is no less true than the others.
func TestScheduleLastIsTrue(t *testing.T) {
	var s schedule
	s.add(start, &Announcement{Address: ip4, Link: 3, Neighbors: neighbors(1), Policy: Announce{Count: 1}})
	s.add(start, &Announcement{Address: netip.AddrFrom4([4]byte{192, 0, 2, 99}), Link: 3, Policy: Announce{Count: 1}})
	jobs, _ := s.next(start)
	require.Len(t, jobs, 3)
	for _, j := range jobs {
		require.False(t, j.dropped)
	}
	require.Empty(t, s.byIP)
}

// What a batch has sent counts against the burst of its port.
func TestScheduleCountsTheBatch(t *testing.T) {
	var s schedule
	policy := Announce{Count: 1, Rate: 1000}
	for i := range 4 {
		s.add(start, &Announcement{Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Link: 3, Policy: policy,
			Neighbors: neighbors(10), Sent: true, Told: neighbors(10)[:min(10, max(0, 12-10*i))]})
	}
	jobs, next := s.next(start) // 4 broadcasts and 12 neighbours are out
	require.Empty(t, jobs)
	require.Equal(t, start.Add(time.Millisecond+1), next)
}

// A slow port does not hold up another.
func TestSchedulePortsAreIndependent(t *testing.T) {
	var s schedule
	for i := range 100 {
		s.add(start, &Announcement{Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Link: 3 + i%2,
			Policy: Announce{Count: 1, Rate: 1}})
	}
	jobs, next := s.next(start)
	require.Len(t, jobs, 2*FirstBurst)
	require.Equal(t, start.Add(time.Second+1), next)
}
